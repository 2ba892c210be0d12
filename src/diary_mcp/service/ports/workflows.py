"""What is put on the durable queue in the transaction that causes it.

Names, ids and arguments here are a wire format: rows written by an older version are run by a
newer one, so they are added to and never changed. Arguments carry ids, never content.
"""

from datetime import datetime
from typing import Literal, NamedTuple, Protocol, get_args
from uuid import UUID

from diary_mcp.domain.fields import DiaryId, EntryId, Grantee, RemovalId

PERMISSION_QUEUE = "permissions"
DIARY_QUEUE = "diaries"
"""A queue of its own: a process of an older version must not claim what it does not know."""
INDEXING_QUEUE = "indexing"
INDEXING_WORKFLOW = "index_entries"
SIGNATURE_QUEUE = "signatures"
EXPIRY_WORKFLOW = "expire_signature_request"
QUEUES = (PERMISSION_QUEUE, DIARY_QUEUE, INDEXING_QUEUE, SIGNATURE_QUEUE)
PERMISSION_QUEUES = (PERMISSION_QUEUE, DIARY_QUEUE)
APPLICATION_NAME = "diary-mcp"

Duty = Literal["run", "watch", "rest"]
"""What a process does for all: run workflows, watch for work, or leave both to another one."""

EntryWorkflow = Literal[
    "grant_ownership", "grant_viewer", "revoke_viewer", "remove_entry_relations"
]
DiaryWorkflow = Literal[
    "grant_diary_ownership",
    "grant_diary_role",
    "revoke_diary_role",
    "transfer_diary",
    "remove_diary_relations",
    "move_entry",
]
RemovalWorkflow = Literal["remove_grantee_relations"]
PermissionWorkflow = EntryWorkflow | DiaryWorkflow | RemovalWorkflow
ENTRY_WORKFLOWS: tuple[EntryWorkflow, ...] = get_args(EntryWorkflow)
PERMISSION_WORKFLOWS: tuple[PermissionWorkflow, ...] = (
    *ENTRY_WORKFLOWS,
    *get_args(DiaryWorkflow),
    *get_args(RemovalWorkflow),
)
RelatedId = EntryId | DiaryId | RemovalId
"""What has relation tuples: an entry, a diary, or a name that was removed. No two share an id."""


class PermissionChange(NamedTuple):
    """One event that the permission backend must come to agree with: of entries, a diary, a name.

    `generation` is the entry's or the diary's, raised in the same transaction. A batch of new
    entries is one change: all of them are at generation 1, and the first names it.
    """

    workflow: PermissionWorkflow
    ids: tuple[RelatedId, ...]
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
        return str(self.ids[0])

    @property
    def queue(self) -> str:
        """Where its workflow waits."""
        return PERMISSION_QUEUE if self.workflow in ENTRY_WORKFLOWS else DIARY_QUEUE

    def arguments(self, trace_parent: str | None = None) -> list[list[str] | str | None]:
        """Positional arguments of the workflow, as JSON values.

        With a W3C `traceparent` the workflow goes on with the trace of the change; there is no
        third argument otherwise.
        """
        ids = [str(each) for each in self.ids]
        trace = [] if trace_parent is None else [trace_parent]
        return [ids, self.grantee, *trace]


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


class PollRate(NamedTuple):
    """How often a process looks, and how many workflows it runs at once."""

    interval_s: float
    at_once: int


class PollRates(NamedTuple):
    """The poll_rate of a queue by what waits in it."""

    idle: PollRate
    busy: PollRate
    """While an entry is not settled at once, or work that was left to wait is done away with."""
    burst: PollRate
    """While many changes come, and all of them are settled beside the queue."""
