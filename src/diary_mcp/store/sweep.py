"""The sweep: what the queue has lost is put on it again, and expiries are carried out."""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import groupby
from uuid import uuid4

from psycopg.rows import class_row

from diary_mcp.domain.fields import EntryId
from diary_mcp.service.ports.workflows import PERMISSION_QUEUE, PermissionChange
from diary_mcp.store.database import Connection, Database, fetch_flag
from diary_mcp.store.expiry import carry_out_expiry
from diary_mcp.store.sql import load_queries
from diary_mcp.store.workflow_queue import DbosQueue

_SQL = load_queries("sweep")
_ENTRIES_PER_TRANSACTION = 500
_ENTRIES_PER_CHANGE = 25
# Younger than this, a change has its workflow still coming.
_DEADLINE = timedelta(seconds=5)
_REFUSAL_PATIENCE = timedelta(hours=1)


@dataclass(frozen=True)
class _Forgotten:
    entry_id: EntryId
    generation: int
    deleted: bool


class PostgresSweep:
    """`Sweep` on a pool that no unit of work waits for."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def sweep(self) -> int:
        """Sweeps until nothing is left to sweep, or another process is at it.

        Returns:
            How many entries were put on the queue.

        Raises:
            DatabaseUnavailableError: PostgreSQL gives no answer in time; what was swept before
                that is committed.
        """
        return await self._repeat(carry_out_expiry) + await self._repeat(_enqueue_forgotten)

    async def _repeat(self, sweep_some: Callable[[Connection, int], Awaitable[int]]) -> int:
        total = 0
        while True:
            async with self._database.transaction() as connection:
                if not await fetch_flag(connection, _SQL["lock_sweep"], {}):
                    return total
                swept = await sweep_some(connection, _ENTRIES_PER_TRANSACTION)
            total += swept
            if swept < _ENTRIES_PER_TRANSACTION:
                return total


async def _enqueue_forgotten(connection: Connection, limit: int) -> int:
    cursor = connection.cursor(row_factory=class_row(_Forgotten))
    await cursor.execute(
        _SQL["list_forgotten"],
        {
            "queue": PERMISSION_QUEUE,
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
    """Several entries to a change; which workflow settles them is all the same to them."""
    repetition = uuid4().hex
    for deleted, entries in groupby(forgotten, key=lambda entry: entry.deleted):
        workflow = "remove_entry_relations" if deleted else "grant_ownership"
        remaining = list(entries)
        while batch := remaining[:_ENTRIES_PER_CHANGE]:
            del remaining[:_ENTRIES_PER_CHANGE]
            yield PermissionChange(
                workflow,
                tuple(entry.entry_id for entry in batch),
                batch[0].generation,
                repetition=repetition,
            )
