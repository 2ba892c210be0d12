"""The store: reading on one connection, and the unit of work in one transaction."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from diary_mcp.service.ports import Reading, UnitOfWork
from diary_mcp.store.agents import PostgresAgents
from diary_mcp.store.archive import PostgresArchive
from diary_mcp.store.database import Database
from diary_mcp.store.entries import PostgresEntries
from diary_mcp.store.history import PostgresHistory
from diary_mcp.store.reflection import PostgresReflection
from diary_mcp.store.search import PostgresSearch
from diary_mcp.store.shares import PostgresShares
from diary_mcp.store.suggestions import PostgresSuggestions
from diary_mcp.store.workflow_queue import DbosQueue


class PostgresStore:
    """`Store` on a PostgreSQL that holds the diary's schema and DBOS's."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @asynccontextmanager
    async def reading(self) -> AsyncGenerator[Reading]:
        async with self._database.connection() as connection:
            yield Reading(
                entries=PostgresEntries(connection),
                shares=PostgresShares(connection),
                agents=PostgresAgents(connection),
                archive=PostgresArchive(connection),
                reflection=PostgresReflection(connection),
                history=PostgresHistory(connection),
                suggestions=PostgresSuggestions(connection),
                search=PostgresSearch(connection),
            )

    @asynccontextmanager
    async def unit_of_work(self) -> AsyncGenerator[UnitOfWork]:
        async with self._database.transaction() as connection:
            entries = PostgresEntries(connection)
            agents = PostgresAgents(connection)
            yield UnitOfWork(
                entries=entries,
                entry_changes=entries,
                shares=PostgresShares(connection),
                agents=agents,
                requests=agents,
                workflows=DbosQueue(connection),
                archive=PostgresArchive(connection),
            )
