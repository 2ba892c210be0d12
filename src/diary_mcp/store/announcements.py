"""Announcements of changed entries, through PostgreSQL's LISTEN and NOTIFY."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

from diary_mcp.domain.fields import EntryId, Grantee
from diary_mcp.service.ports.watching import Announcement
from diary_mcp.store.database import Connection, connect, translate_errors
from diary_mcp.store.sql import load_queries

_SQL = load_queries("announcement")
_QUIET_S = 20


class PostgresAnnouncements:
    """`Announcer` on a connection of its own."""

    def __init__(self, database_url: str) -> None:
        self._database_url = database_url

    @asynccontextmanager
    async def listen(self) -> AsyncGenerator[AsyncIterator[Announcement]]:
        async with connect(self._database_url, longest_wait_s=_QUIET_S) as connection:
            await connection.execute(_SQL["listen"])
            yield _announcements(connection)


async def _announcements(connection: Connection) -> AsyncGenerator[Announcement]:
    with translate_errors():
        while True:
            async for notification in connection.notifies(timeout=_QUIET_S):
                entry_id, _, reader = notification.payload.partition(" ")
                yield Announcement(EntryId(UUID(entry_id)), Grantee(reader) if reader else None)
            # Whoever only listens does not notice that nobody is there any more.
            await connection.execute(_SQL["ask"])
