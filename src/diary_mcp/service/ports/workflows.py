"""What is put on the durable queue in the transaction that causes it.

Names, ids and arguments here are a wire format: rows written by an older version are run by a
newer one, so they are added to and never changed. Arguments carry ids, never content.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol
from uuid import UUID

from diary_mcp.domain.fields import EntryId, Grantee

PERMISSION_QUEUE = "permissions"
INDEXING_QUEUE = "indexing"
INDEXING_WORKFLOW = "index_entries"
SIGNATURE_QUEUE = "signatures"
EXPIRY_WORKFLOW = "expire_signature_request"
QUEUES = (PERMISSION_QUEUE, INDEXING_QUEUE, SIGNATURE_QUEUE)
APPLICATION_NAME = "diary-mcp"

PermissionWorkflow = Literal[
    "grant_ownership", "grant_viewer", "revoke_viewer", "remove_entry_relations"
]


@dataclass(frozen=True)
class PermissionChange:
    """One event that the permission backend must come to agree with.

    `generation` is the entry's, raised in the same transaction. A batch of new entries is one
    change: all of them are at generation 1, and the first names it.
    """

    workflow: PermissionWorkflow
    entry_ids: tuple[EntryId, ...]
    generation: int = 1
    grantee: Grantee | None = None
    repetition: str | None = None

    @property
    def workflow_id(self) -> str:
        """Names the event, never the pair: an id that has run once never runs again."""
        event = f"{self.workflow}:{self.partition}:{self.generation}"
        return event if self.repetition is None else f"{event}:{self.repetition}"

    @property
    def adds_entries(self) -> bool:
        """Whether its entries may still have to be indexed for search."""
        return self.workflow == "grant_ownership"

    @property
    def partition(self) -> str:
        """The queue partition: work of one entry runs one at a time."""
        return str(self.entry_ids[0])

    def arguments(self, trace_parent: str | None = None) -> list[list[str] | str | None]:
        """Positional arguments of the workflow, as JSON values.

        With a W3C `traceparent` the workflow goes on with the trace of the change; there is no
        third argument otherwise.
        """
        entry_ids = [str(entry_id) for entry_id in self.entry_ids]
        trace = [] if trace_parent is None else [trace_parent]
        return [entry_ids, self.grantee, *trace]


class WorkflowQueue(Protocol):
    """The durable queue of permission changes, on the connection of a unit of work."""

    async def enqueue(self, change: PermissionChange) -> None:
        """Schedules the change's workflow; it exists once the unit of work commits.

        A change that grants new entries to their owner also asks for their indexing.
        """
        ...

    async def enqueue_expiry(self, request_id: UUID, at: datetime) -> None:
        """Schedules the removal of a signature request that nobody has used by then."""
        ...

    async def request_indexing(self) -> None:
        """Schedules that what is not indexed is, unless that waits to be run already."""
        ...


@dataclass(frozen=True)
class PollRate:
    """How often a process looks, and how many workflows it runs at once."""

    interval_s: float
    at_once: int


@dataclass(frozen=True)
class PollRates:
    """The poll_rate of a queue by what waits in it."""

    idle: PollRate
    busy: PollRate
    """While an entry is not settled at once, or work that was left to wait is done away with."""
    burst: PollRate
    """While many changes come, and all of them are settled beside the queue."""
