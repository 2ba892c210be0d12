"""The store: reading on one connection, and the unit of work in one transaction."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass
from types import TracebackType

from psycopg.rows import args_row

from diary_mcp.service.ports.store import Reading, UnitOfWork
from diary_mcp.service.ports.workflows import RelatedId
from diary_mcp.service.telemetry import NO_TELEMETRY, Telemetry
from diary_mcp.store.agents import PostgresAgents
from diary_mcp.store.archive import PostgresArchive
from diary_mcp.store.audit import PostgresAudit
from diary_mcp.store.chain import PostgresChain
from diary_mcp.store.database import Connection, Database, Read
from diary_mcp.store.diaries import PostgresDiaries
from diary_mcp.store.entries import (
    PostgresEntries,
    PostgresHistory,
    PostgresSimilar,
    PostgresSuggestions,
)
from diary_mcp.store.outlines import PostgresOutlines
from diary_mcp.store.reflection import PostgresReflection
from diary_mcp.store.removals import PostgresRemovals
from diary_mcp.store.search import PostgresSearch
from diary_mcp.store.shares import PostgresShares
from diary_mcp.store.sql import load_queries
from diary_mcp.store.workflow_queue import DbosQueue

_SQL = load_queries("identity")


class PostgresStore:
    """`Store` on a PostgreSQL that holds the diary's schema and DBOS's."""

    def __init__(
        self,
        database: Database,
        telemetry: Telemetry = NO_TELEMETRY,
        *,
        wants_signatures: bool = True,
        committed: Callable[[Sequence[RelatedId]], None] = lambda _ids: None,
        written: Callable[[], None] = lambda: None,
    ) -> None:
        """Both are told after the commit: what has a permission workflow, what is to be indexed."""
        self._database = database
        self._telemetry = telemetry
        self._wants_signatures = wants_signatures
        self._committed = committed
        self._written = written

    async def get_cursor_key(self) -> bytes:
        """What every process on this database signs cursors with."""
        async with self._database.connection() as connection:
            cursor = connection.cursor(row_factory=args_row(bytes))
            await cursor.execute(_SQL["get_cursor_key"])
            (key,) = await cursor.fetchall()
        return key

    def reading(self) -> AbstractAsyncContextManager[Reading]:
        return _Read(self._database.connection())

    @asynccontextmanager
    async def snapshot(self) -> AsyncGenerator[Reading]:
        async with self._database.snapshot() as connection:
            yield _Reading(connection)

    @asynccontextmanager
    async def unit_of_work(self) -> AsyncGenerator[UnitOfWork]:
        span = (
            self._telemetry.span("diary.transaction", {})
            if self._telemetry.is_on
            else nullcontext()
        )
        with span:
            behind: list[Read] = []
            async with self._database.pipelined_transaction(behind) as connection:
                workflows = DbosQueue(connection, self._telemetry)
                after_commit: list[Callable[[], None]] = []
                yield _UnitOfWork(
                    connection, workflows, self._wants_signatures, after_commit, behind
                )
        for tell in after_commit:
            tell()
        if workflows.changed:
            self._committed(workflows.changed)
        if workflows.leaves_to_index:
            self._written()


class _Read:
    """The readers on a connection that is lent for a block."""

    def __init__(self, lent: AbstractAsyncContextManager[Connection]) -> None:
        self._lent = lent

    async def __aenter__(self) -> Reading:
        return _Reading(await self._lent.__aenter__())

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> bool | None:
        return await self._lent.__aexit__(exc_type, exc_val, exc_tb)


@dataclass(frozen=True)
class _Reading:
    """Makes each reader when it is asked for: a call needs one or two of them."""

    _connection: Connection

    @property
    def entries(self) -> PostgresEntries:
        return PostgresEntries(self._connection)

    @property
    def shares(self) -> PostgresShares:
        return PostgresShares(self._connection)

    @property
    def diaries(self) -> PostgresDiaries:
        return PostgresDiaries(self._connection)

    @property
    def agents(self) -> PostgresAgents:
        return PostgresAgents(self._connection)

    @property
    def archive(self) -> PostgresArchive:
        return PostgresArchive(self._connection)

    @property
    def audit(self) -> PostgresAudit:
        return PostgresAudit(self._connection)

    @property
    def reflection(self) -> PostgresReflection:
        return PostgresReflection(self._connection)

    @property
    def history(self) -> PostgresHistory:
        return PostgresHistory(self._connection)

    @property
    def suggestions(self) -> PostgresSuggestions:
        return PostgresSuggestions(self._connection)

    @property
    def search(self) -> PostgresSearch:
        return PostgresSearch(self._connection)

    @property
    def outlines(self) -> PostgresOutlines:
        return PostgresOutlines(self._connection)

    @property
    def similar(self) -> PostgresSimilar:
        return PostgresSimilar(self._connection)

    @property
    def chain(self) -> PostgresChain:
        return PostgresChain(self._connection)


@dataclass(frozen=True)
class _UnitOfWork:
    _connection: Connection
    workflows: DbosQueue
    _wants_signatures: bool
    _after_commit: list[Callable[[], None]]
    _behind: list[Read]

    def read_behind(self, read: Callable[[Reading], Awaitable[None]]) -> None:
        self._behind.append(lambda connection: read(_Reading(connection)))

    @property
    def entries(self) -> PostgresEntries:
        return PostgresEntries(self._connection, wants_signature=self._wants_signatures)

    @property
    def entry_changes(self) -> PostgresEntries:
        return self.entries

    @property
    def shares(self) -> PostgresShares:
        return PostgresShares(self._connection)

    @property
    def diaries(self) -> PostgresDiaries:
        return PostgresDiaries(self._connection)

    @property
    def agents(self) -> PostgresAgents:
        return PostgresAgents(self._connection)

    @property
    def removals(self) -> PostgresRemovals:
        return PostgresRemovals(self._connection)

    @property
    def requests(self) -> PostgresAgents:
        return self.agents

    @property
    def archive(self) -> PostgresArchive:
        return PostgresArchive(self._connection, wants_signature=self._wants_signatures)

    @property
    def chain(self) -> PostgresChain:
        return PostgresChain(self._connection, self._after_commit)
