"""What the rows want the permission backend to hold, read and recorded under a lock per entry."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from hashlib import blake2b
from typing import Literal, NamedTuple
from uuid import UUID

from psycopg import Error
from psycopg.rows import args_row, class_row, scalar_row

from diary_mcp.domain.errors import DiaryError, LocksLostError
from diary_mcp.domain.fields import AgentName, DiaryId, EntryId, Grantee
from diary_mcp.domain.relations import (
    RelationTuple,
    diary_tuple,
    owner_tuple,
    parent_tuple,
    viewer_tuple,
)
from diary_mcp.service.ports.settlement import WaitingWorkflow
from diary_mcp.service.ports.workflows import ENTRY_WORKFLOWS, PERMISSION_QUEUE, RelatedId
from diary_mcp.service.telemetry import NO_TELEMETRY, Telemetry
from diary_mcp.store.database import Connection, Database
from diary_mcp.store.failures import is_unavailability
from diary_mcp.store.sql import load_queries

_Namespace = Literal["DiaryEntry", "Diary", "Group"]
_SQL = load_queries("settlement")
# Whoever sweeps does it in a third of a minute, and another one where that process sleeps.
_EXPIRY_IS_OVERDUE = timedelta(minutes=2)


class Backlog(NamedTuple):
    """How far the permission backend is behind the rows.

    `longest_wait` is since the oldest change that is not settled yet was made, by PostgreSQL's
    clock. `refused` entries are not pending: the backend will not take them, and each keeps the
    reason. `expiries` are of shares and roles, and should have been carried out two minutes ago.
    """

    pending: int
    longest_wait: timedelta
    refused: int
    expiries: int = 0


class _Wanted(NamedTuple):
    """The rows of one entry or diary; a tombstone, or a name that was removed, has no tuples."""

    id: UUID
    namespace: _Namespace
    generation: int
    applied: bool
    live: bool
    owner: AgentName
    parent: DiaryId | None
    writers: list[Grantee]
    viewers: list[Grantee]

    def list_tuples(self) -> set[RelationTuple]:
        if not self.live:
            return set()
        if self.namespace == "Diary":
            diary_id = DiaryId(self.id)
            return {
                diary_tuple(diary_id, "owner", self.owner),
                *(diary_tuple(diary_id, "writer", grantee) for grantee in self.writers),
                *(diary_tuple(diary_id, "viewer", grantee) for grantee in self.viewers),
            }
        entry_id = EntryId(self.id)
        return {
            owner_tuple(entry_id, self.owner),
            *(viewer_tuple(entry_id, grantee) for grantee in self.viewers),
            *([] if self.parent is None else [parent_tuple(entry_id, self.parent)]),
        }


class PostgresSettlements:
    """`SettlementStore` on a pool of its own.

    The connection is held while the permission backend is asked. A backend in the same PostgreSQL
    must take its connections from another pool, or both wait for each other.
    """

    def __init__(self, database: Database, telemetry: Telemetry = NO_TELEMETRY) -> None:
        self._database = database
        self._telemetry = telemetry

    @asynccontextmanager
    async def lock_relations(
        self, ids: Sequence[RelatedId]
    ) -> AsyncGenerator["PostgresLockedRelations"]:
        """Locks entries and diaries; an unknown id wants nothing and is no error."""
        async with self._database.transaction() as connection:
            cursor = connection.cursor(row_factory=class_row(_Wanted))
            # Two statements, of which the second sees what was there once the first had the lock.
            # In turn, each with an answer of its own: a process that waits here for the lock may be
            # given it in its sleep, and PostgreSQL counts for how long it is idle then.
            await connection.execute(_SQL["lock_relations"], {"keys": _lock_keys(ids)})
            await cursor.execute(_SQL["read_wanted"], {"ids": list(ids)})
            relations = PostgresLockedRelations(connection, ids, await cursor.fetchall())
            try:
                yield relations
            except (Error, DiaryError) as error:
                await _require_locks(connection, error)
                raise
        for latency_s in relations.latencies_s:
            self._telemetry.count_settling(latency_s)

    async def read_relations(self, ids: Sequence[RelatedId]) -> "PostgresRelations":
        async with self._database.connection() as connection:
            cursor = connection.cursor(row_factory=class_row(_Wanted))
            await cursor.execute(_SQL["read_wanted"], {"ids": list(ids)})
            return PostgresRelations(ids, await cursor.fetchall())

    async def list_waiting(self, limit: int) -> list[WaitingWorkflow]:
        async with self._database.connection() as connection:
            cursor = connection.cursor(row_factory=class_row(WaitingWorkflow))
            await cursor.execute(
                _SQL["list_waiting"],
                {
                    "queue": PERMISSION_QUEUE,
                    "workflows": list(ENTRY_WORKFLOWS),
                    "limit": limit,
                },
            )
            return await cursor.fetchall()

    async def end_waiting(self, waiting: Sequence[WaitingWorkflow]) -> None:
        async with self._database.connection() as connection:
            await connection.execute(
                _SQL["end_waiting"], {"ids": [each.workflow_id for each in waiting]}
            )

    async def list_unsettled(self, after: RelatedId | None, limit: int) -> list[RelatedId]:
        async with self._database.connection() as connection:
            cursor = connection.cursor(row_factory=args_row(_as_related))
            await cursor.execute(_SQL["list_unsettled"], {"after": after, "limit": limit})
            return await cursor.fetchall()

    async def list_overdue(self, overdue: timedelta, limit: int) -> list[RelatedId]:
        async with self._database.connection() as connection:
            cursor = connection.cursor(row_factory=args_row(_as_related))
            await cursor.execute(_SQL["list_overdue"], {"overdue": overdue, "limit": limit})
            return await cursor.fetchall()

    async def get_identity(self) -> UUID:
        """Which diary this is, to a permission backend that others could use as well."""
        async with self._database.connection() as connection:
            cursor = connection.cursor(row_factory=scalar_row)
            await cursor.execute(_SQL["get_identity"])
            identity: object = await cursor.fetchone()
        assert isinstance(identity, UUID), "a migration has made it"  # noqa: S101  # an invariant
        return identity

    async def count_backlog(self) -> Backlog:
        async with self._database.connection() as connection:
            cursor = connection.cursor(row_factory=class_row(Backlog))
            await cursor.execute(_SQL["count_backlog"], {"overdue": _EXPIRY_IS_OVERDUE})
            backlog = await cursor.fetchone()
        return backlog or Backlog(0, timedelta(), 0)


class PostgresRelations:
    """`Relations` as one statement has read them."""

    def __init__(self, ids: Sequence[RelatedId], rows: Sequence[_Wanted]) -> None:
        self._ids = ids
        self._rows = rows

    @property
    def wanted(self) -> set[RelationTuple]:
        return {wanted for row in self._rows for wanted in row.list_tuples()}

    @property
    def are_applied(self) -> bool:
        return all(row.live and row.applied for row in self._rows)

    @property
    def entry_ids(self) -> list[EntryId]:
        others = self._list_of("Diary", "Group")
        return [EntryId(each) for each in self._ids if each not in others]

    @property
    def diary_ids(self) -> list[DiaryId]:
        others = self._list_of("DiaryEntry", "Group")
        return [DiaryId(each) for each in self._ids if each not in others]

    @property
    def removed_grantees(self) -> list[Grantee]:
        return [Grantee(row.owner) for row in self._rows if row.namespace == "Group"]

    def _list_of(self, *namespaces: _Namespace) -> set[UUID]:
        return {row.id for row in self._rows if row.namespace in namespaces}


class PostgresLockedRelations(PostgresRelations):
    """`LockedRelations` of what one transaction has locked."""

    def __init__(
        self, connection: Connection, ids: Sequence[RelatedId], rows: Sequence[_Wanted]
    ) -> None:
        super().__init__(ids, rows)
        self._connection = connection
        self.latencies_s: list[float] = []
        """How long ago what is applied now was changed."""

    async def mark_applied(self) -> None:
        """Also removes what is left of what is deleted and the backend has forgotten."""
        applied = self._connection.cursor(row_factory=scalar_row)
        await applied.execute(
            _SQL["mark_applied"],
            {
                "ids": [row.id for row in self._rows],
                "generations": [row.generation for row in self._rows],
            },
        )
        self.latencies_s += [latency_s async for latency_s in applied]
        if any(not row.live for row in self._rows):
            await self._connection.execute(_SQL["remove_tombstones"], {"ids": list(self._ids)})

    async def mark_refused(self, reason: str) -> None:
        await self._connection.execute(
            _SQL["mark_refused"], {"ids": list(self._ids), "reason": reason}
        )


async def _require_locks(connection: Connection, failure: Exception) -> None:
    """The locks live as long as the transaction, which PostgreSQL ends if it is idle for long."""
    try:
        await connection.execute(_SQL["check_transaction"])
    except Error as error:
        if not is_unavailability(error):
            return
        raise LocksLostError(
            "PostgreSQL has ended the transaction in which entries were being settled. They are "
            "settled again."
        ) from failure


def _as_related(each: UUID) -> RelatedId:
    return EntryId(each)


def _lock_keys(ids: Sequence[RelatedId]) -> list[int]:
    """Advisory lock keys, sorted; two that share one merely settle one after the other."""
    digests = (blake2b(b"settle" + each.bytes, digest_size=8) for each in ids)
    return sorted({int.from_bytes(digest.digest(), "big", signed=True) for digest in digests})
