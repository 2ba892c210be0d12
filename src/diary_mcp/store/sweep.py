"""The sweep: what the queue has lost, what it has too much of, and what has expired."""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import timedelta
from itertools import groupby
from typing import Literal, NamedTuple
from uuid import uuid4

from psycopg.rows import class_row

from diary_mcp.domain.fields import EntryId
from diary_mcp.service.ports.workflows import (
    PERMISSION_QUEUES,
    PERMISSION_WORKFLOWS,
    PermissionChange,
    PermissionWorkflow,
    RelatedId,
)
from diary_mcp.store.database import Connection, Database, fetch_flag
from diary_mcp.store.expiry import carry_out_expiry, carry_out_role_expiry
from diary_mcp.store.sql import load_queries
from diary_mcp.store.workflow_queue import DbosQueue, batches_of_a_change

_SQL = load_queries("sweep")
_ENTRIES_PER_TRANSACTION = 500
# To find them, everything that waits on the queue is read, so not many times.
_FORGOTTEN_PER_TRANSACTION = 5_000
# Younger than this, a change has its workflow still coming.
_DEADLINE = timedelta(seconds=5)
_REFUSAL_PATIENCE = timedelta(hours=1)
# They run within a second; only what changes all the time has more waiting.
_WAITING_PER_ENTRY = 10


class _Forgotten(NamedTuple):
    id: RelatedId
    namespace: Literal["DiaryEntry", "Diary", "Group"]
    generation: int
    deleted: bool

    @property
    def workflow(self) -> PermissionWorkflow:
        """Which one settles it is all the same to it."""
        if self.namespace == "Group":
            return "remove_grantee_relations"
        if self.namespace == "Diary":
            return "remove_diary_relations" if self.deleted else "grant_diary_ownership"
        return "remove_entry_relations" if self.deleted else "grant_ownership"


class _Placed(NamedTuple):
    id: EntryId
    generation: int


class PostgresSweep:
    """`Sweep` on a pool that no unit of work waits for."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def sweep(self) -> int:
        """Sweeps until nothing is left to sweep, or another process is at it.

        Returns:
            How many entries and diaries were put on the queue.

        Raises:
            DatabaseUnavailableError: PostgreSQL gives no answer in time; what was swept before
                that is committed.
        """
        await self._repeat(_end_superseded)
        work = (carry_out_expiry, carry_out_role_expiry, _place_entries)
        swept = sum([await self._repeat(sweep_some) for sweep_some in work])
        return swept + await self._repeat(_enqueue_forgotten, _FORGOTTEN_PER_TRANSACTION)

    async def _repeat(
        self,
        sweep_some: Callable[[Connection, int], Awaitable[int]],
        limit: int = _ENTRIES_PER_TRANSACTION,
    ) -> int:
        total = 0
        while True:
            async with self._database.transaction() as connection:
                if not await fetch_flag(connection, _SQL["lock_sweep"], {}):
                    return total
                swept = await sweep_some(connection, limit)
            total += swept
            if swept < limit:
                return total


async def _end_superseded(connection: Connection, limit: int) -> int:
    cursor = await connection.execute(
        _SQL["end_superseded"],
        {
            "queues": list(PERMISSION_QUEUES),
            "workflows": list(PERMISSION_WORKFLOWS),
            "kept": _WAITING_PER_ENTRY,
            "limit": limit,
        },
    )
    return cursor.rowcount


async def _place_entries(connection: Connection, limit: int) -> int:
    cursor = connection.cursor(row_factory=class_row(_Placed))
    await cursor.execute(_SQL["place_entries"], {"limit": limit})
    placed = await cursor.fetchall()
    queue = DbosQueue(connection)
    for entry in placed:
        await queue.enqueue(PermissionChange("move_entry", (entry.id,), entry.generation))
    if len(placed) < limit:
        await connection.execute(_SQL["mark_placed"])
    return len(placed)


async def _enqueue_forgotten(connection: Connection, limit: int) -> int:
    cursor = connection.cursor(row_factory=class_row(_Forgotten))
    await cursor.execute(
        _SQL["list_forgotten"],
        {
            "queues": list(PERMISSION_QUEUES),
            "deadline": _DEADLINE,
            "refusal_patience": _REFUSAL_PATIENCE,
            "limit": limit,
        },
    )
    forgotten = await cursor.fetchall()
    queue = DbosQueue(connection)
    for change in _changes(forgotten):
        await queue.enqueue(change)
    return len(forgotten)


def _changes(forgotten: Sequence[_Forgotten]) -> Iterator[PermissionChange]:
    """Several to a change."""
    repetition = uuid4().hex
    for _, alike in groupby(forgotten, key=lambda each: each.workflow):
        for batch in batches_of_a_change(list(alike)):
            yield PermissionChange(
                batch[0].workflow,
                tuple(each.id for each in batch),
                batch[0].generation,
                repetition=repetition,
            )
