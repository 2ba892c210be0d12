"""Connections to PostgreSQL, and what their failures mean to a caller."""

import re
import time
from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import LiteralString

import anyio
import anyio.lowlevel
import psycopg
from psycopg.rows import scalar_row
from psycopg_pool import AsyncConnectionPool

from diary_mcp.domain.errors import DatabaseUnavailableError, UnavailableError
from diary_mcp.store.connecting import (
    CONNECT_TIMEOUT_S,
    SURE_S,
    BoundedConnection,
    Limits,
    complete_url,
    is_quiet,
    open_connection,
    other_hosts_s,
    prepare_session,
)
from diary_mcp.store.connecting import (
    Connection as Connection,  # noqa: PLC0414  # what a pool lends
)
from diary_mcp.store.pool_queue import PoolQueue, TellingPool

# Bounds on the server's side: a shielded transaction cannot be cancelled from here, and a process
# that sleeps in one must not lock the others out (docs/time-limits.md).
_POOL_LIMITS: Limits = MappingProxyType(
    {
        "statement_timeout": "10s",
        "lock_timeout": "5s",
        "idle_in_transaction_session_timeout": "15s",
    }
)

# A command that sleeps may not keep locks either.
_LONG_LIMITS: Limits = MappingProxyType({"idle_in_transaction_session_timeout": "60s"})
LONGEST_STATEMENT_S = 3600.0
"""For what reads or changes everything there is, and ends by itself."""

_LIMIT_TRANSACTION = "select set_config('transaction_timeout', %s, true)"
_KNOWS_TRANSACTION_LIMIT = 170_000

_RECONNECT_S = 3

_REACH_IT = (
    "Make sure that it runs and lets this user in, and that DIARY_MCP_DATABASE_URL is right where "
    "it is set; then try again."
)
_LOOK_FIRST = (
    "Try again in a moment; `diary-mcp status` shows what is wrong. If this was a "
    "change, check whether it was made before you repeat it."
)
# What refuses a connection has no SQLSTATE in psycopg, only a text: PostgreSQL's, or PgBouncer's.
_IS_TOO_MANY = re.compile(
    "too many (clients|connections)|connection slots are reserved|no more connections allowed"
)
_TOO_MANY = (
    "Close servers and other clients that are not used, or raise the limit, which is "
    "max_connections unless a role, a database or a pooler has one of its own: each server uses up "
    "to 17 connections."
)
_REMOVED_NOW = (
    "An agent or a group of this name was removed a moment ago, and the permission backend has not "
    "forgotten it yet. Try again in a moment; `diary-mcp status` shows whether the backend answers."
)
_REMOVAL_CONSTRAINTS = frozenset(
    {
        "removal_is_settled",
        # Told where the removal has committed between a statement's insert and its check.
        "entry_owner_exists",
        "diary_owner_exists",
        "agent_token_agent_exists",
    }
)
_READ_ONLY = (
    "This PostgreSQL is read-only, and nothing was changed: it is a standby, or "
    "default_transaction_read_only is on. Point DIARY_MCP_DATABASE_URL at the primary; of several "
    "hosts in it, the primary is found by itself."
)


@dataclass(frozen=True)
class WaitLimits:
    """How long this side of a connection waits, in seconds (docs/time-limits.md).

    `transaction_s` bounds a unit of work, also while the process sleeps after a statement whose
    result it has not asked for; PostgreSQL 17 and later keep it. `answer_s` bounds the wait for one
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


class Database:
    """A small pool of connections to one PostgreSQL database."""

    def __init__(self, pool: TellingPool, waits: WaitLimits, *, connecting_s: float = 0) -> None:
        """`connecting_s` is what a new connection may take beside the silence of a queue."""
        self._pool = pool
        self._queue = PoolQueue(pool, waits.silence_s + connecting_s)
        self._transaction_limit = f"{round(waits.transaction_s * 1000)}ms"

    @asynccontextmanager
    async def connection(self) -> AsyncGenerator[Connection]:
        """A connection in autocommit: each statement is its own transaction.

        Raises:
            DatabaseUnavailableError: no connection in time, or it failed under the block.
        """
        with translate_errors():
            async with self._lent() as connection:
                yield connection

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

        Raises:
            DatabaseUnavailableError: no connection in time, or it failed under the block.
        """
        async with self.connection() as connection, connection.transaction():
            await connection.execute("set transaction isolation level repeatable read, read only")
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
        with translate_errors():
            async with self._lent(shield=True) as connection, connection.transaction():
                yield connection

    @asynccontextmanager
    async def pipelined_transaction(self) -> AsyncGenerator[Connection]:
        """The same in few round trips: only results that are fetched are waited for.

        A statement that fails is told by the next one whose result is fetched, or at the end; what
        was sent after it is not done. Neither `rowcount` nor anything else about a result is known
        before it is fetched.

        Raises:
            DatabaseUnavailableError: as `transaction` does.
        """
        with translate_errors():
            # Rolls back what an error has left open.
            async with self._lent(shield=True) as connection:
                async with connection.pipeline():
                    await connection.execute("begin", prepare=False)
                    if connection.info.server_version >= _KNOWS_TRANSACTION_LIMIT:
                        await connection.execute(_LIMIT_TRANSACTION, [self._transaction_limit])
                    try:
                        yield connection
                    except BaseException:
                        with suppress(psycopg.Error):
                            await connection.rollback()
                        raise
                    committed = await connection.execute("commit", prepare=False)
                if committed.statusmessage != "COMMIT":
                    raise psycopg.InternalError("A failed transaction cannot be committed.")

    @asynccontextmanager
    async def _lent(self, *, shield: bool = False) -> AsyncGenerator[Connection]:
        """One of the pool's; closed where another host may be the primary by now."""
        connection = await self._queue.take()
        with anyio.CancelScope(shield=shield):
            try:
                # Ends a transaction that was left open; the pool goes on with the connection.
                async with connection:
                    yield connection
            except psycopg.errors.ReadOnlySqlTransaction:
                await connection.close()
                raise
            finally:
                await self._pool.putconn(connection)


@asynccontextmanager
async def connect(
    url: str, *, longest_wait_s: float = DEFAULT_WAITS.answer_s
) -> AsyncGenerator[BoundedConnection]:
    """One connection in autocommit, outside any pool, whose statements may take long.

    Raises:
        DatabaseUnavailableError: no connection in time, no answer for `longest_wait_s`, or it
            failed under the block.
    """
    with translate_errors(_REACH_IT):
        opened = await open_connection(url, _LONG_LIMITS, longest_wait_s=longest_wait_s)
    with translate_errors():
        async with opened as connection:
            yield connection


@asynccontextmanager
async def open_database(
    url: str,
    *,
    max_size: int,
    min_size: int = 1,
    waits: WaitLimits = DEFAULT_WAITS,
) -> AsyncGenerator[Database]:
    """Opens a pool on `url` for as long as the block runs.

    Raises:
        DatabaseUnavailableError: the server gives no answer, or refuses the user or database.
    """
    # The pool would only say that it timed out; one plain connection says why.
    async with connect(url):
        pass
    pool = TellingPool(
        complete_url(url),
        kwargs={"autocommit": True},
        configure=partial(_configure, url, waits),
        connection_class=BoundedConnection,
        min_size=min_size,
        max_size=max_size,
        # Every client has a server of its own, and all of them share PostgreSQL's connections.
        max_idle=15,
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
        yield Database(pool, waits, connecting_s=other_hosts_s(url))


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


@contextmanager
def translate_errors(advice: str = _LOOK_FIRST) -> Generator[None]:
    """Turns a connection's failure inside the block into a `DatabaseUnavailableError`."""
    try:
        yield
    except psycopg.Error as error:
        if error.diag.constraint_name in _REMOVAL_CONSTRAINTS:
            raise UnavailableError(_REMOVED_NOW) from error
        if not is_unavailability(error):
            raise
        if isinstance(error, psycopg.errors.ReadOnlySqlTransaction):
            raise DatabaseUnavailableError(_READ_ONLY) from error
        reason = _reason(error)
        if _IS_TOO_MANY.search(str(error)):
            raise DatabaseUnavailableError(
                f"PostgreSQL has no connection left for this process ({reason}). {_TOO_MANY}"
            ) from error
        raise DatabaseUnavailableError(
            f"PostgreSQL is not answering as it should ({reason}). {advice}"
        ) from error


def is_unavailability(error: psycopg.Error) -> bool:
    """Whether it is PostgreSQL, and not the statement, that has failed.

    The only place that decides it: what ends a session, and what a server says that only reads,
    comes in other classes than a lost connection does.
    """
    if isinstance(error, psycopg.ProgrammingError):
        # A URL that cannot be parsed has no SQLSTATE.
        return error.sqlstate is None
    return isinstance(
        error,
        psycopg.OperationalError
        | psycopg.InterfaceError
        | psycopg.errors.IdleInTransactionSessionTimeout
        | psycopg.errors.TransactionTimeout
        | psycopg.errors.ReadOnlySqlTransaction
        # A server whose installation is gone cannot load what it has not loaded yet.
        | psycopg.errors.UndefinedFile,
    )


def _reason(error: psycopg.Error) -> str:
    told = str(error).strip()
    reason = told.splitlines()[0] if told else type(error).__name__
    if isinstance(error, psycopg.ProgrammingError):
        # What libpq quotes of a URL that it cannot parse may be the password.
        return re.sub('".*"', '"…"', reason)
    return reason


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
    await prepare_session(connection, url=url, limits=_POOL_LIMITS)
    if isinstance(connection, BoundedConnection):
        connection.longest_wait_s = waits.answer_s
        connection.sure_s, connection.check_s = waits.sure_s, waits.check_s


async def _reset(_connection: Connection) -> None:
    await anyio.lowlevel.checkpoint()
