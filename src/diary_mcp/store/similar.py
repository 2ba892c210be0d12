"""Entries that share words, in PostgreSQL."""

from collections.abc import Mapping, Sequence

from psycopg.rows import class_row

from diary_mcp.domain.fields import AgentName, EntryId
from diary_mcp.service.index.ports import SearchText
from diary_mcp.service.index.similar_ports import SharedWords
from diary_mcp.store.database import Connection
from diary_mcp.store.sql import load_queries

_SQL = load_queries("similar")


class PostgresSimilar:
    """`SimilarReader` on one connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def list_similar(
        self, owner: AgentName, before: EntryId, counts: Mapping[str, int], rarest: Sequence[str]
    ) -> list[SharedWords]:
        cursor = self._connection.cursor(row_factory=class_row(SharedWords))
        await cursor.execute(
            _SQL["list_similar"],
            {
                "owner": owner,
                "before": before,
                "terms": list(counts),
                "counts": list(counts.values()),
                "rarest": list(rarest),
            },
        )
        return await cursor.fetchall()

    async def list_unindexed_before(self, owner: AgentName, before: EntryId) -> list[SearchText]:
        cursor = self._connection.cursor(row_factory=class_row(SearchText))
        await cursor.execute(_SQL["list_unindexed_before"], {"owner": owner, "before": before})
        return await cursor.fetchall()
