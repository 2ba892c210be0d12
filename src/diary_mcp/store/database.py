"""Connections to one database: the pool that lends them, and what is done on one."""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext, suppress
from functools import partial
from types import MappingProxyType, TracebackType
from typing import LiteralString, NamedTuple

import anyio
import anyio.lowlevel
import psycopg
import structlog
from psycopg.pq import TransactionStatus
from psycopg.rows import scalar_row
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from diary_mcp.store.bounded_connection import SURE_S, BoundedConnection, is_quiet
from diary_mcp.store.bounded_connection import (
    Connection as Connection,  # noqa: PLC0414  # what a pool lends
)
from diary_mcp.store.connecting import (
    CONNECT_TIMEOUT_S,
    Limits,
    complete_url,
    open_connection,
    other_hosts_s,
    prepare_session,
)
from diary_mcp.store.failures import REACH_IT, raise_translated, translate_errors

# Bounds on the server's side: a shielded transaction cannot be cancelled from here, and a process
# that sleeps in one must not lock the others out (docs/time-limits.md).
_POOL_LIMITS: Limits = MappingProxyType(
    {
        "statement_timeout": "10s",
        "lock_timeout": "5s",
        "idle_in_transaction_session_timeout": "15s",
        # A call's statements end within milliseconds. Where a table is large, PostgreSQL may guess
        # that some take long, and would start processes for them or compile them each time.
        "max_parallel_workers_per_gather": "0",
        "jit": "off",
    }
)

# A command that sleeps may not keep locks either.
_LONG_LIMITS: Limits = MappingProxyType({"idle_in_transaction_session_timeout": "60s"})
LONGEST_STATEMENT_S = 3600.0
"""For what reads or changes everything there is, and ends by itself."""

_TRANSACTION_LIMIT = "transaction_timeout"
_KNOWS_TRANSACTION_LIMIT = 170_000
_LIFT_TRANSACTION_LIMIT = (
    "select set_config(name, '0', true) from pg_settings where name = 'transaction_timeout'"
)

_BRIEFLY = "select set_config('statement_timeout', '1s', true)"

# What is asked a second time will be asked again. PostgreSQL parses it anew each time before, and
# keeps no plan until it has made five after.
_ASKED_BEFORE = 1

# Every client has a server of its own, and all of them share PostgreSQL's connections.
_IDLE_S = 15.0
_RECONNECT_S = 3

# Far beyond what a queue that moves can take.
_NEVER_S = 24 * 3600.0
# All who wait are told that the queue moves, so not at every hand-over.
_TOLD_EVERY_S = 0.1
# The pool ends connections that are old, and sees them when they are given back.
_SHOWN_EVERY_S = 60.0
# After a failure the pool goes on trying for a few seconds, and then when it is asked.
_OF_LATE_S = 10.0


class WaitLimits(NamedTuple):
    """How long this side of a connection waits, in seconds (docs/time-limits.md).

    `transaction_s` bounds a transaction, also where the process sleeps while it sends something
    long; PostgreSQL 17 and later keep it, and 0 is no limit. `answer_s` bounds the wait for one
    answer: PostgreSQL has ended the statement, or the transaction, by then. A connection that
    was used less than `sure_s` ago is taken for alive; another has `check_s` to say so. A call
    waits for a connection until nobody was given one for `silence_s`.
    """

    transaction_s: float = 30
    answer_s: float = 30
    sure_s: float = SURE_S
    check_s: float = 2
    silence_s: float = CONNECT_TIMEOUT_S


DEFAULT_WAITS = WaitLimits()

Read = Callable[[Connection], Awaitable[None]]

_log: structlog.stdlib.BoundLogger = structlog.get_logger()


class TellingPool(AsyncConnectionPool[Connection]):
    """A pool that knows why it could not connect of late; psycopg's only logs it."""

    _failure: psycopg.Error | None = None
    _failed_at = float("-inf")

    @property
    def failure(self) -> psycopg.Error | None:
        """Of whatever attempt: others may have gone well since."""
        return self._failure if time.monotonic() - self._failed_at < _OF_LATE_S else None

    async def _connect(self, timeout: float | None = None) -> Connection:  # noqa: ASYNC109  # psycopg's
        try:
            return await super()._connect(timeout)
        except psycopg.Error as error:
            self._failure, self._failed_at = error, time.monotonic()
            raise


class PoolQueue:
    """Hands out a pool's connections in the order in which they were asked for.

    psycopg's limit counts from when a connection was asked for, so that the last of a burst of
    quick calls would be told that PostgreSQL is not answering. This one counts from when anybody
    was last given one.

    One connection that nobody waits for stays here, where the next call takes it at once: the
    pool takes one back in a task of its own, and looks at more than a call needs.
    """

    def __init__(self, pool: TellingPool, silence_s: float) -> None:
        self._pool = pool
        self._silence_s = silence_s
        self._kept: Connection | None = None
        self._kept_at = time.monotonic()
        self._was_kept = anyio.Event()
        self._shown_at = time.monotonic()
        self._waits: set[anyio.CancelScope] = set()
        self._told_at = time.monotonic()

    async def take(self) -> Connection:
        """A connection, to be given back to the pool.

        Raises:
            PoolTimeout: nobody was given one for as long as the limit is.
        """
        kept = await self._take_kept()
        if kept is not None:
            return kept
        with anyio.move_on_after(self._silence_s) as wait:
            self._waits.add(wait)
            try:
                connection = await self._pool.getconn(_NEVER_S)
            finally:
                self._waits.remove(wait)
            self._tell_that_it_moves()
            return connection
        told = f"no connection became free for {self._silence_s:g} s"
        failure = self._pool.failure
        raise PoolTimeout(told if failure is None else f"{told}: {failure}") from failure

    async def give_back(self, connection: Connection) -> None:
        """Takes back what `take` has given."""
        now = time.monotonic()
        if (
            self._kept is None
            and not self._waits
            and not self._pool.closed
            and connection.info.transaction_status == TransactionStatus.IDLE
            and now - self._shown_at < _SHOWN_EVERY_S
        ):
            self._kept, self._kept_at = connection, now
            self._was_kept.set()
            return
        self._shown_at = now
        await self._pool.putconn(connection)

    async def let_go(self, idle_s: float) -> None:
        """Gives back to the pool what nobody has asked for so long; until it is cancelled."""
        while True:
            await self._was_kept.wait()
            await anyio.sleep(self._kept_at + idle_s - time.monotonic())
            if time.monotonic() < self._kept_at + idle_s:
                continue
            self._was_kept = anyio.Event()
            connection, self._kept = self._kept, None
            if connection is not None:
                await self._pool.putconn(connection)

    async def close(self) -> None:
        """Closes what stayed here, as the pool does with what it has."""
        if self._kept is not None:
            await self._kept.close()

    async def _take_kept(self) -> Connection | None:
        connection, self._kept = self._kept, None
        if connection is None:
            return None
        try:
            await _check_unless_quiet(connection)
        except psycopg.Error:
            await self._pool.putconn(connection)
            return None
        except BaseException:
            await self._pool.putconn(connection)
            raise
        return connection

    def _tell_that_it_moves(self) -> None:
        now = time.monotonic()
        if now - self._told_at < min(_TOLD_EVERY_S, self._silence_s):
            return
        self._told_at = now
        for wait in self._waits:
            wait.deadline = anyio.current_time() + self._silence_s


class Database:
    """A small pool of connections to one PostgreSQL database."""

    def __init__(self, queue: PoolQueue) -> None:
        self._queue = queue

    def connection(self) -> AbstractAsyncContextManager[Connection]:
        """A connection in autocommit: each statement is its own transaction.

        Raises:
            DatabaseUnavailableError: no connection in time, or it failed under the block.
        """
        return _Lent(self._queue)

    async def check(self) -> None:
        """Makes sure that PostgreSQL answers now.

        Raises:
            DatabaseUnavailableError: it does not.
        """
        async with self.connection() as connection:
            await AsyncConnectionPool.check_connection(connection)

    @asynccontextmanager
    async def snapshot(self) -> AsyncGenerator[Connection]:
        """A connection on which everything is as it was at one moment; nothing can be changed.

        It takes as long as there is something to read, and locks nobody out.

        Raises:
            DatabaseUnavailableError: no connection in time, or it failed under the block.
        """
        async with self.connection() as connection, connection.transaction():
            await connection.execute("set transaction isolation level repeatable read, read only")
            await connection.execute(_LIFT_TRANSACTION_LIMIT)
            yield connection

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[Connection]:
        """One transaction; with a connection it ends by commit or rollback, also if cancelled.

        A tool call that the client cancels would otherwise be cut anywhere, and closing the
        connection is all that psycopg could do then. One that still waits for a connection has
        done nothing, and does nothing.

        Raises:
            DatabaseUnavailableError: no connection in time, or it failed under the block. Where
                it failed during the commit, the outcome is unknown.
        """
        async with _Lent(self._queue, shield=True) as connection, connection.transaction():
            yield connection

    @asynccontextmanager
    async def pipelined_transaction(
        self, behind: Collection[Read] = ()
    ) -> AsyncGenerator[Connection]:
        """The same in few round trips: only results that are fetched are waited for.

        A statement that fails is told by the next one whose result is fetched, or at the end; what
        was sent after it is not done. Neither `rowcount` nor anything else about a result is known
        before it is fetched.

        What is `behind` it when the block ends goes out with the commit, and reads what that has
        left. It has a second, and where it fails nothing is told but the log.

        Raises:
            DatabaseUnavailableError: as `transaction` does.
        """
        # Rolls back what an error has left open.
        async with _Lent(self._queue, shield=True) as connection:
            async with connection.pipeline():
                await connection.execute("begin", prepare=False)
                try:
                    yield connection
                except BaseException:
                    with suppress(psycopg.Error):
                        await connection.rollback()
                    raise
                committed = await connection.execute("commit", prepare=False)
                failure = await _read_behind(connection, behind) if behind else None
            if committed.statusmessage != "COMMIT":
                raise failure or psycopg.InternalError("A failed transaction cannot be committed.")
            if failure is not None:
                _log.warning("database.read_behind_failed", exc_info=failure)


class _Lent:
    """One of the pool's connections; closed where another host may be the primary by now.

    By hand, because most calls borrow twice: generators take longer than all the rest of it.
    """

    def __init__(self, queue: PoolQueue, *, shield: bool = False) -> None:
        """Where it is to `shield`, nobody calls the block off once there is a connection."""
        self._queue = queue
        self._scope = anyio.CancelScope(shield=True) if shield else nullcontext()

    async def __aenter__(self) -> Connection:
        try:
            self._connection = await self._queue.take()
        except psycopg.Error as error:
            raise_translated(error)
        self._scope.__enter__()
        return self._connection

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        try:
            await self._give_back(exc_type, exc_val, exc_tb)
        except psycopg.Error as error:
            raise_translated(error)
        finally:
            self._scope.__exit__(exc_type, exc_val, exc_tb)
        if isinstance(exc_val, psycopg.Error):
            raise_translated(exc_val)

    async def _give_back(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        connection = self._connection
        try:
            # Ends a transaction that was left open; the pool goes on with the connection.
            await connection.__aexit__(exc_type, exc_val, exc_tb)
            if isinstance(exc_val, psycopg.errors.ReadOnlySqlTransaction):
                await connection.close()
        except psycopg.errors.ReadOnlySqlTransaction:
            await connection.close()
            raise
        finally:
            await self._queue.give_back(connection)


@asynccontextmanager
async def connect(
    url: str, *, longest_wait_s: float = DEFAULT_WAITS.answer_s
) -> AsyncGenerator[BoundedConnection]:
    """One connection in autocommit, outside any pool, whose statements may take long.

    Raises:
        DatabaseUnavailableError: no connection in time, no answer for `longest_wait_s`, or it
            failed under the block.
    """
    with translate_errors(REACH_IT):
        opened = await open_connection(url, _LONG_LIMITS, longest_wait_s=longest_wait_s)
    with translate_errors():
        try:
            async with opened as connection:
                yield connection
        finally:
            # psycopg leaves it open where its rollback is called off.
            await opened.close()


@asynccontextmanager
async def open_database(
    url: str,
    *,
    max_size: int,
    min_size: int = 1,
    idle_s: float = _IDLE_S,
    waits: WaitLimits = DEFAULT_WAITS,
) -> AsyncGenerator[Database]:
    """Opens a pool on `url` for as long as the block runs, and connects when somebody asks.

    Args:
        url: as the user wrote it.
        max_size: how many connections there are at most.
        min_size: how many stay open though nobody asks for one; 0 for what is seldom done, in
            bursts.
        idle_s: for how long the others are kept, about.
        waits: how long this side waits.
    """
    pool = TellingPool(
        complete_url(url),
        kwargs={"autocommit": True, "prepare_threshold": _ASKED_BEFORE},
        configure=partial(_configure, url, waits),
        connection_class=BoundedConnection,
        min_size=min_size,
        max_size=max_size,
        max_idle=idle_s,
        # The pauses between its attempts double for as long as it goes on by itself. Once it has
        # given up, it tries at once when a connection is asked for.
        reconnect_timeout=_RECONNECT_S,
        open=False,
        check=_check_unless_quiet,
        # psycopg_pool 3.3 loses a slot when a task is cancelled while it returns a connection;
        # with any reset callback the return runs in a worker of the pool instead.
        reset=_reset,
    )
    async with pool:
        # After a failover the host in front may be one that says nothing any more.
        queue = PoolQueue(pool, waits.silence_s + other_hosts_s(url))
        letting_go = None if min_size else asyncio.create_task(queue.let_go(idle_s))
        try:
            yield Database(queue)
        finally:
            if letting_go is not None:
                letting_go.cancel()
            await queue.close()


async def fetch_flag(
    connection: Connection, statement: LiteralString, parameters: Mapping[str, object]
) -> bool:
    """Whether the statement's one value is true; no row is `False`."""
    cursor = await connection.execute(statement, parameters)
    row = await cursor.fetchone()
    return row is not None and row[0] is True


async def fetch_count(
    connection: Connection, statement: LiteralString, parameters: Mapping[str, object]
) -> int | None:
    """The statement's one integer; `None` where it gave no row."""
    cursor = connection.cursor(row_factory=scalar_row)
    await cursor.execute(statement, parameters)
    value: object = await cursor.fetchone()
    return value if isinstance(value, int) else None


async def _read_behind(connection: Connection, behind: Collection[Read]) -> Exception | None:
    """Why something could not be read; of what came before it, where that has failed."""
    try:
        # Until PostgreSQL is told to go on, which ends the transaction that this begins.
        await connection.execute(_BRIEFLY)
        for read in behind:
            await read(connection)
    except Exception as error:  # noqa: BLE001  # what is committed stays so
        return error
    return None


async def _check_unless_quiet(connection: Connection) -> None:
    """Asks PostgreSQL before a connection is handed out, but only where there is reason to.

    That way the first calls after a restart of PostgreSQL find a new connection, and all others
    save a round trip.
    What was not used for a while may have been lost without a word, by a firewall or with its host.
    """
    if not isinstance(connection, BoundedConnection):
        await AsyncConnectionPool.check_connection(connection)
    elif (
        not is_quiet(connection.fileno())
        or time.monotonic() - connection.answered_at > connection.sure_s
    ):
        with connection.waiting_at_most(connection.check_s):
            await AsyncConnectionPool.check_connection(connection)


async def _configure(url: str, waits: WaitLimits, connection: Connection) -> None:
    limits = dict(_POOL_LIMITS)
    if connection.info.server_version >= _KNOWS_TRANSACTION_LIMIT:
        limits[_TRANSACTION_LIMIT] = f"{round(waits.transaction_s * 1000)}ms"
    await prepare_session(connection, url, limits)
    if isinstance(connection, BoundedConnection):
        connection.longest_wait_s = waits.answer_s
        connection.sure_s, connection.check_s = waits.sure_s, waits.check_s


async def _reset(_connection: Connection) -> None:
    await anyio.lowlevel.checkpoint()
