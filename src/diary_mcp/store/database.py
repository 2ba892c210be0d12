"""Connections to PostgreSQL, and what their failures mean to a caller."""

import re
import selectors
from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial
from types import MappingProxyType
from typing import LiteralString, TypeVar

import anyio
import anyio.lowlevel
import psycopg
from psycopg import AsyncConnection, AsyncCursor, AsyncPipeline
from psycopg.rows import scalar_row
from psycopg_pool import AsyncConnectionPool

from diary_mcp.domain.errors import DatabaseUnavailableError
from diary_mcp.store.connecting import (
    CONNECT_TIMEOUT_S,
    Limits,
    complete_url,
    open_connection,
    prepare_session,
)
from diary_mcp.store.connecting import (
    Connection as Connection,  # noqa: PLC0414  # what a pool lends
)

# Bounds on the server's side: a shielded transaction cannot be cancelled from here, and a process
# that sleeps in one must not lock the others out (docs/time-limits.md).
_POOL_LIMITS: Limits = MappingProxyType(
    {
        "statement_timeout": "10s",
        "lock_timeout": "5s",
        "idle_in_transaction_session_timeout": "15s",
    }
)

# Also holds while the process sleeps after a statement whose result it has not asked for. In
# PostgreSQL 17 and later.
_TRANSACTION_LIMIT_S = 30
_LIMIT_TRANSACTION = "select set_config('transaction_timeout', %s, true)"
_KNOWS_TRANSACTION_LIMIT = 170_000

_REACH_IT = (
    "Make sure that it runs and lets this user in, and that DIARY_MCP_DATABASE_URL is right where "
    "it is set; then try again."
)
_LOOK_FIRST = (
    "Try again in a moment; `diary-mcp status` shows what is wrong. If this was a change, look "
    "whether it was made before you repeat it."
)
_READ_ONLY = (
    "This PostgreSQL is read-only, and nothing was changed: it is a standby, or "
    "default_transaction_read_only is on. Point DIARY_MCP_DATABASE_URL at the primary; of several "
    "hosts in it, the primary is found by itself."
)


class Database:
    """A small pool of connections to one PostgreSQL database."""

    def __init__(self, pool: AsyncConnectionPool[Connection], transaction_limit_s: float) -> None:
        self._pool = pool
        self._transaction_limit = f"{round(transaction_limit_s * 1000)}ms"

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
        """One transaction, shielded from cancellation: it ends by commit or by rollback.

        A tool call that the client cancels would otherwise be cut anywhere, and closing the
        connection is all that psycopg could do then.

        Raises:
            DatabaseUnavailableError: no connection in time, or it failed under the block. Where
                it failed during the commit, the outcome is unknown.
        """
        with anyio.CancelScope(shield=True), translate_errors():
            async with self._lent() as connection, connection.transaction():
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
        with anyio.CancelScope(shield=True), translate_errors():
            # Rolls back what an error has left open.
            async with self._lent() as connection:
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
    async def _lent(self) -> AsyncGenerator[Connection]:
        """One of the pool's; closed where another host may be the primary by now."""
        async with self._pool.connection() as connection:
            try:
                yield connection
            except psycopg.errors.ReadOnlySqlTransaction:
                await connection.close()
                raise


@asynccontextmanager
async def connect(url: str) -> AsyncGenerator[Connection]:
    """One connection in autocommit, outside any pool, without limits on the server's side.

    Raises:
        DatabaseUnavailableError: no connection in time, or it failed under the block.
    """
    with translate_errors(_REACH_IT):
        opened = await open_connection(url)
    with translate_errors():
        async with opened as connection:
            yield connection


@asynccontextmanager
async def open_database(
    url: str,
    *,
    max_size: int,
    min_size: int = 1,
    transaction_limit_s: float = _TRANSACTION_LIMIT_S,
) -> AsyncGenerator[Database]:
    """Opens a pool on `url` for as long as the block runs.

    Raises:
        DatabaseUnavailableError: the server gives no answer, or refuses the user or database.
    """
    # The pool would only say that it timed out; one plain connection says why.
    async with connect(url):
        pass
    pool = AsyncConnectionPool[Connection](
        complete_url(url),
        kwargs={"autocommit": True},
        configure=partial(prepare_session, url=url, limits=_POOL_LIMITS),
        connection_class=_PooledConnection,
        min_size=min_size,
        max_size=max_size,
        timeout=CONNECT_TIMEOUT_S,
        # Every client has a server of its own, and all of them share PostgreSQL's connections.
        max_idle=15,
        open=False,
        check=_check_unless_quiet,
        # psycopg_pool 3.3 loses a slot when a task is cancelled while it returns a connection;
        # with any reset callback the return runs in a worker of the pool instead.
        reset=_reset,
    )
    async with pool:
        yield Database(pool, transaction_limit_s)


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
        if not is_unavailability(error):
            raise
        if isinstance(error, psycopg.errors.ReadOnlySqlTransaction):
            raise DatabaseUnavailableError(_READ_ONLY) from error
        reason = _reason(error)
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
        | psycopg.errors.ReadOnlySqlTransaction,
    )


def _reason(error: psycopg.Error) -> str:
    told = str(error).strip()
    reason = told.splitlines()[0] if told else type(error).__name__
    if isinstance(error, psycopg.ProgrammingError):
        # What libpq quotes of a URL that it cannot parse may be the password.
        return re.sub('".*"', '"…"', reason)
    return reason


_Row = TypeVar("_Row")


class _PooledConnection(AsyncConnection[tuple[object, ...]]):
    """A connection whose transactions PostgreSQL can end while this process sleeps.

    It counts the time from the moment at which it says that it is ready. To what psycopg sends
    when a result of a pipeline is fetched (a flush) it never says that: the transaction would
    keep its locks for as long as the process is stopped. To a sync it does.
    """

    open_pipeline: AsyncPipeline | None = None

    @asynccontextmanager
    async def pipeline(self) -> AsyncGenerator[AsyncPipeline]:
        self.cursor_factory = _SyncingCursor
        outer = self.open_pipeline
        async with super().pipeline() as pipeline:
            self.open_pipeline = pipeline
            try:
                yield pipeline
            finally:
                self.open_pipeline = outer


class _SyncingCursor(AsyncCursor[_Row]):
    async def fetchone(self) -> _Row | None:
        await self._sync()
        return await super().fetchone()

    async def fetchall(self) -> list[_Row]:
        await self._sync()
        return await super().fetchall()

    async def __anext__(self) -> _Row:
        await self._sync()
        return await super().__anext__()

    async def _sync(self) -> None:
        connection = self.connection
        if (
            isinstance(connection, _PooledConnection)
            and connection.open_pipeline is not None
            and self.pgresult is None
        ):
            await connection.open_pipeline.sync()


async def _check_unless_quiet(connection: Connection) -> None:
    """Asks PostgreSQL before a connection is handed out, but only where it has something to say.

    Nothing was asked on it, so what there is to read is its end, or a notice. That way the first
    calls after a restart of PostgreSQL find a new connection, and all others save a round trip.
    """
    with selectors.DefaultSelector() as selector:
        selector.register(connection.fileno(), selectors.EVENT_READ)
        is_quiet = selector.select(timeout=0) == []
    if not is_quiet:
        await AsyncConnectionPool.check_connection(connection)


async def _reset(_connection: Connection) -> None:
    await anyio.lowlevel.checkpoint()
