"""Entries that share words, in PostgreSQL."""

from collections.abc import Mapping, Sequence

from psycopg.rows import class_row
from psycopg.types.json import Json

from diary_mcp.domain.fields import AgentName, EntryId
from diary_mcp.domain.version import SearchText
from diary_mcp.service.ports.search import Candidates, SharedWords
from diary_mcp.store.database import Connection
from diary_mcp.store.sql import load_queries

_SQL = load_queries("similar")


class PostgresSimilar:
    """`SimilarReader` on one connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def list_candidates(
        self, owner: AgentName, before: EntryId, counts: Mapping[str, int], rarest: Sequence[str]
    ) -> Candidates:
        unindexed = self._connection.cursor(row_factory=class_row(SearchText))
        indexed = self._connection.cursor(row_factory=class_row(SharedWords))
        # Two statements in one round trip, in this order: what is indexed between them must not
        # be missing from both.
        async with self._connection.pipeline():
            await unindexed.execute(
                _SQL["list_unindexed_before"], {"owner": owner, "before": before}
            )
            await indexed.execute(
                _SQL["list_similar"],
                {
                    "owner": owner,
                    "before": before,
                    "counts": Json(counts),
                    "rarest": list(rarest),
                },
            )
        return Candidates(await indexed.fetchall(), await unindexed.fetchall())
