"""What somebody who types may mean, in PostgreSQL."""

from psycopg.rows import class_row, scalar_row

from diary_mcp.domain.fields import AgentName
from diary_mcp.service.ports.entries import EntryReference
from diary_mcp.store.database import Connection
from diary_mcp.store.sql import load_queries

_SQL = load_queries("suggestion")


class PostgresSuggestions:
    """`SuggestionReader` on one connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def suggest_entries(
        self, owner: AgentName, prefix: str, limit: int
    ) -> list[EntryReference]:
        cursor = self._connection.cursor(row_factory=class_row(EntryReference))
        await cursor.execute(
            _SQL["suggest_entries"], {"owner": owner, "prefix": prefix, "limit": limit}
        )
        return await cursor.fetchall()

    async def suggest_sessions(self, owner: AgentName, prefix: str, limit: int) -> list[str]:
        cursor = self._connection.cursor(row_factory=scalar_row)
        await cursor.execute(
            _SQL["suggest_sessions"], {"owner": owner, "prefix": prefix, "limit": limit}
        )
        return [str(session) for session in await cursor.fetchall()]

    async def suggest_names(self, prefix: str, limit: int) -> list[str]:
        cursor = self._connection.cursor(row_factory=scalar_row)
        await cursor.execute(_SQL["suggest_names"], {"prefix": prefix, "limit": limit})
        return [str(name) for name in await cursor.fetchall()]
