"""The durable queue as the store sees it: DBOS's tables and its SQL function, without DBOS.

Importing DBOS costs more than everything else at start-up, and writing to its queue needs
nothing but SQL.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TypeVar
from uuid import UUID

from psycopg.types.json import Json

from diary_mcp.service.ports.workflows import (
    APPLICATION_NAME,
    EXPIRY_WORKFLOW,
    INDEXING_QUEUE,
    INDEXING_WORKFLOW,
    SIGNATURE_QUEUE,
    PermissionChange,
    RelatedId,
)
from diary_mcp.service.telemetry import NO_TELEMETRY, Telemetry
from diary_mcp.store.database import Connection, Database, fetch_count, fetch_flag
from diary_mcp.store.sql import load_queries

REQUIRED_SCHEMA_VERSION = 125
"""What DBOS 3.4.0 migrates to; a later 3.4 may be further, and is as good."""

# Their locks are held together while they are settled.
_ENTRIES_PER_CHANGE = 25
# Whoever runs it looks at another clock.
_CLOCKS_DIFFER_MS = 1_000
_SQL = load_queries("workflow_queue")
_INDEXING = {
    "indexing_workflow": INDEXING_WORKFLOW,
    "indexing_queue": INDEXING_QUEUE,
    "application": APPLICATION_NAME,
}

_Item = TypeVar("_Item")


def batches_of_a_change(items: Sequence[_Item]) -> Iterator[Sequence[_Item]]:
    """As many entries or diaries together as one change may be about."""
    for start in range(0, len(items), _ENTRIES_PER_CHANGE):
        yield items[start : start + _ENTRIES_PER_CHANGE]


class DbosQueue:
    """The durable queue on one connection: what is enqueued commits or rolls back with it."""

    def __init__(self, connection: Connection, telemetry: Telemetry = NO_TELEMETRY) -> None:
        self._connection = connection
        self._telemetry = telemetry
        self.changed: list[RelatedId] = []
        """What has permissions to be settled once this is committed."""
        self.leaves_to_index = False
        """Whether there is something to index once this is committed."""

    async def enqueue(self, change: PermissionChange) -> None:
        """Schedules the change's workflow; it exists once the transaction commits.

        A change whose id is there already, even finished, adds nothing.
        """
        arguments = change.arguments(self._telemetry.trace_parent)
        await self._connection.execute(
            _SQL["enqueue_with_indexing" if change.adds_entries else "enqueue"],
            {
                **_INDEXING,
                "workflow": change.workflow,
                "queue": change.queue,
                "arguments": [Json(argument) for argument in arguments],
                "workflow_id": change.workflow_id,
                "partition": change.partition,
            },
        )
        self.changed += change.ids
        self.leaves_to_index |= change.adds_entries

    async def enqueue_expiry(self, request_id: UUID, at: datetime) -> None:
        """Schedules the removal of a signature request that nobody has used by then."""
        await self._connection.execute(
            _SQL["enqueue_later"],
            {
                "workflow": EXPIRY_WORKFLOW,
                "queue": SIGNATURE_QUEUE,
                "arguments": [Json(str(request_id))],
                "workflow_id": f"{EXPIRY_WORKFLOW}:{request_id}",
                "at_ms": int(at.timestamp() * 1_000) + _CLOCKS_DIFFER_MS,
                "application": APPLICATION_NAME,
            },
        )

    async def request_indexing(self) -> None:
        """Schedules the indexing of whatever waits for it, unless that is scheduled already."""
        await self._connection.execute(_SQL["request_indexing"], _INDEXING)
        self.leaves_to_index = True


async def check_workflow_schema(connection: Connection) -> bool:
    """Whether DBOS's tables are there, and no older than the queue and the takeover need."""
    if not await fetch_flag(connection, _SQL["schema_exists"], {}):
        return False
    version = await fetch_count(connection, _SQL["get_schema_version"], {})
    return version is not None and version >= REQUIRED_SCHEMA_VERSION


async def count_refused_rows(database: Database) -> int:
    """How many rows of the workflows do not hold JSON: nobody reads them, nor has written them."""
    async with database.connection() as connection:
        return await fetch_count(connection, _SQL["count_refused_rows"], {}) or 0
