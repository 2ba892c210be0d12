"""Drift: where the permission backend's tuples and the settled rows disagree.

The backend's tuples are copied, page by page, into a temporary table and compared there, so that
a million entries are PostgreSQL's to hold and not ours.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import LiteralString

from psycopg.rows import class_row, kwargs_row, scalar_row

from diary_mcp.domain.relations import RelationTuple, SubjectSet
from diary_mcp.service.ports.settlement import DriftCounts, Grant
from diary_mcp.store.database import LONGEST_STATEMENT_S, Connection, connect
from diary_mcp.store.relation_tuples import read_relation_tuple
from diary_mcp.store.sql import load_queries

_SQL = load_queries("drift")
_SESSION: tuple[LiteralString, ...] = (
    "set statement_timeout = 0",
    _SQL["remember_settled"],
    _SQL["create_present"],
)


class PostgresDriftFinder:
    """`DriftFinder` on a connection of its own, which the temporary tables go with."""

    def __init__(self, database_url: str) -> None:
        self._database_url = database_url

    @asynccontextmanager
    async def compare(
        self, pages: AsyncIterator[Sequence[RelationTuple]]
    ) -> AsyncGenerator["PostgresDrift"]:
        async with connect(self._database_url, longest_wait_s=LONGEST_STATEMENT_S) as connection:
            for statement in _SESSION:
                await connection.execute(statement)
            async with connection.cursor().copy(_SQL["copy_present"]) as copy:
                async for page in pages:
                    for each in page:
                        await copy.write_row(_columns(each))
            await connection.execute(_SQL["find_drift"])
            yield PostgresDrift(connection)


class PostgresDrift:
    """What was found, in temporary tables."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def count(self) -> DriftCounts:
        cursor = self._connection.cursor(row_factory=class_row(DriftCounts))
        await cursor.execute(_SQL["count_drift"])
        return await cursor.fetchone() or DriftCounts(missing=0, stray=0)

    async def list_objects(self, after: str | None, limit: int) -> list[str]:
        cursor = self._connection.cursor(row_factory=scalar_row)
        await cursor.execute(_SQL["list_objects"], {"after": after, "limit": limit})
        return [str(found) for found in await cursor.fetchall()]

    async def list_grants(self, after: Grant | None, limit: int) -> list[Grant]:
        cursor = self._connection.cursor(row_factory=class_row(Grant))
        await cursor.execute(
            _SQL["list_grants"],
            {
                "after_object": after and after.object,
                "after_relation": after and after.relation,
                "after_grantee": after and after.grantee,
                "limit": limit,
            },
        )
        return await cursor.fetchall()

    async def list_tuples(self, object_name: str) -> list[RelationTuple]:
        cursor = self._connection.cursor(row_factory=kwargs_row(read_relation_tuple))
        await cursor.execute(_SQL["list_tuples"], {"object": object_name})
        return await cursor.fetchall()

    async def list_misplaced(self, objects: Sequence[str]) -> list[RelationTuple]:
        cursor = self._connection.cursor(row_factory=kwargs_row(read_relation_tuple))
        await cursor.execute(_SQL["list_misplaced"], {"objects": list(objects)})
        return await cursor.fetchall()


def _columns(each: RelationTuple) -> tuple[str | None, ...]:
    if isinstance(each.subject, SubjectSet):
        subject = each.subject
        return (
            each.namespace, each.object, each.relation, None,
            subject.namespace, subject.object, subject.relation,
        )  # fmt: skip
    return each.namespace, each.object, each.relation, each.subject, None, None, None
