"""The store: reading on one connection, and the unit of work in one transaction."""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager

from diary_mcp.domain.fields import EntryId
from diary_mcp.service.ports.store import Reading, UnitOfWork
from diary_mcp.service.telemetry import NO_TELEMETRY, Telemetry
from diary_mcp.store.agents import PostgresAgents
from diary_mcp.store.archive import PostgresArchive
from diary_mcp.store.chain import PostgresChain
from diary_mcp.store.database import Connection, Database
from diary_mcp.store.entries import PostgresEntries
from diary_mcp.store.history import PostgresHistory
from diary_mcp.store.reflection import PostgresReflection
from diary_mcp.store.search import PostgresSearch
from diary_mcp.store.shares import PostgresShares
from diary_mcp.store.similar import PostgresSimilar
from diary_mcp.store.suggestions import PostgresSuggestions
from diary_mcp.store.workflow_queue import DbosQueue


class PostgresStore:
    """`Store` on a PostgreSQL that holds the diary's schema and DBOS's."""

    def __init__(
        self,
        database: Database,
        telemetry: Telemetry = NO_TELEMETRY,
        *,
        wants_signatures: bool = True,
        committed: Callable[[Sequence[EntryId]], None] = lambda _entry_ids: None,
    ) -> None:
        """`committed` is told, after the commit, which entries have a permission workflow now."""
        self._database = database
        self._telemetry = telemetry
        self._wants_signatures = wants_signatures
        self._committed = committed

    @asynccontextmanager
    async def reading(self) -> AsyncGenerator[Reading]:
        async with self._database.connection() as connection:
            yield _reading(connection)

    @asynccontextmanager
    async def snapshot(self) -> AsyncGenerator[Reading]:
        async with self._database.snapshot() as connection:
            yield _reading(connection)

    @asynccontextmanager
    async def unit_of_work(self) -> AsyncGenerator[UnitOfWork]:
        with self._telemetry.span("diary.transaction", {}):
            async with self._database.pipelined_transaction() as connection:
                workflows = DbosQueue(connection, self._telemetry)
                yield self._unit_of_work(connection, workflows)
        if workflows.changed:
            self._committed(workflows.changed)

    def _unit_of_work(self, connection: Connection, workflows: DbosQueue) -> UnitOfWork:
        wanted = self._wants_signatures
        entries = PostgresEntries(connection, wants_signature=wanted)
        agents = PostgresAgents(connection)
        return UnitOfWork(
            entries=entries,
            entry_changes=entries,
            shares=PostgresShares(connection),
            agents=agents,
            requests=agents,
            workflows=workflows,
            archive=PostgresArchive(connection, wants_signature=wanted),
            chain=PostgresChain(connection),
        )


def _reading(connection: Connection) -> Reading:
    return Reading(
        entries=PostgresEntries(connection),
        shares=PostgresShares(connection),
        agents=PostgresAgents(connection),
        archive=PostgresArchive(connection),
        reflection=PostgresReflection(connection),
        history=PostgresHistory(connection),
        suggestions=PostgresSuggestions(connection),
        search=PostgresSearch(connection),
        similar=PostgresSimilar(connection),
        chain=PostgresChain(connection),
    )
