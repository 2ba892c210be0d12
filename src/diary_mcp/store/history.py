"""Earlier versions of entries, in PostgreSQL."""

from psycopg.rows import class_row

from diary_mcp.domain.fields import EntryId
from diary_mcp.domain.version import EntryVersion, VersionSummary
from diary_mcp.store.database import Connection
from diary_mcp.store.sql import load_queries

_SQL = load_queries("history")


class PostgresHistory:
    """`HistoryReader` on one connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def list_versions(self, entry_id: EntryId, limit: int) -> list[VersionSummary]:
        cursor = self._connection.cursor(row_factory=class_row(VersionSummary))
        await cursor.execute(_SQL["list_versions"], {"entry_id": entry_id, "limit": limit})
        return await cursor.fetchall()

    async def find_version(self, entry_id: EntryId, version: int) -> EntryVersion | None:
        cursor = self._connection.cursor(row_factory=class_row(EntryVersion))
        await cursor.execute(_SQL["find_version"], {"entry_id": entry_id, "version": version})
        return await cursor.fetchone()
