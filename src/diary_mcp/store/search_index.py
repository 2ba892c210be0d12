"""The search index in PostgreSQL, written."""

from collections.abc import AsyncGenerator, Collection, Sequence
from contextlib import asynccontextmanager

from psycopg.rows import class_row, scalar_row
from psycopg.types.json import Json

from diary_mcp.domain.fields import EntryId
from diary_mcp.domain.version import SearchText
from diary_mcp.service.ports.index import IndexStage, VectorsOfEntry, WordsOfEntry
from diary_mcp.store.database import Connection, Database, fetch_flag
from diary_mcp.store.sql import load_queries
from diary_mcp.store.workflow_queue import DbosQueue

_SQL = load_queries("search")
_POSTING_TYPES = ("text", "text", "uuid", "int8")


class PostgresSearchIndex:
    """`IndexStore` on a pool that no unit of work waits for."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @asynccontextmanager
    async def claim(
        self, stage: IndexStage, version: str, limit: int
    ) -> AsyncGenerator["PostgresClaim"]:
        async with self._database.connection() as connection:
            texts: list[SearchText] | None = None
            try:
                cursor = connection.cursor(row_factory=class_row(SearchText))
                await cursor.execute(_SQL[f"claim_{stage}"], {"version": version, "limit": limit})
                texts = await cursor.fetchall()
                yield PostgresClaim(connection, texts)
            finally:
                # Mostly there is nothing; whatever was cut off may have claimed something.
                if texts != [] and not connection.broken:
                    await connection.execute(_SQL["release_claims"])

    async def request_if_waiting(self, words_version: str, model: str | None) -> int:
        async with self._database.transaction() as connection:
            if not await fetch_flag(
                connection, _SQL["is_waiting"], {"words_by": words_version, "model": model}
            ):
                return 0
            await DbosQueue(connection).request_indexing()
        return 1


class PostgresClaim:
    """`IndexClaim` by advisory locks, which go with the connection."""

    def __init__(self, connection: Connection, texts: Sequence[SearchText]) -> None:
        self._connection = connection
        self.texts = texts

    async def write_words(self, version: str, rows: Sequence[WordsOfEntry]) -> int:
        async with self._connection.transaction():
            unchanged = await _lock_unchanged(self._connection, [row.text for row in rows])
            kept = [row for row in rows if row.text.id in unchanged]
            await self._connection.execute(_SQL["remove_postings"], {"ids": list(unchanged)})
            await _copy_postings(self._connection, kept)
            indexed = [
                {
                    "id": str(row.text.id),
                    "words": sum(row.counts.values()),
                    "length": len(row.text.content),
                    "asks": row.is_question,
                }
                for row in kept
            ]
            await self._connection.execute(
                _SQL["mark_words"], {"version": version, "indexed": Json(indexed)}
            )
        return len(kept)

    async def write_vectors(self, version: str, rows: Sequence[VectorsOfEntry]) -> int:
        async with self._connection.transaction():
            unchanged = await _lock_unchanged(self._connection, [row.text for row in rows])
            kept = [row for row in rows if row.text.id in unchanged]
            await self._connection.cursor().executemany(
                _SQL["write_vectors"],
                [{"model": version, "vectors": row.vectors, "id": row.text.id} for row in kept],
            )
        return len(kept)


async def _lock_unchanged(connection: Connection, texts: Collection[SearchText]) -> set[EntryId]:
    cursor = connection.cursor(row_factory=scalar_row)
    await cursor.execute(
        _SQL["lock_documents"],
        {"ids": [text.id for text in texts], "versions": [text.version for text in texts]},
    )
    return set(await cursor.fetchall())


async def _copy_postings(connection: Connection, rows: Sequence[WordsOfEntry]) -> None:
    async with connection.cursor().copy(_SQL["copy_postings"]) as copy:
        copy.set_types(_POSTING_TYPES)
        for row in rows:
            for term, count in row.counts.items():
                await copy.write_row((row.text.owner, term, row.text.id, count))
