"""What the use cases need from the outside, as narrow Protocols.

The service gets a `PermissionReader`; only the workflows and `reconcile` get a
`PermissionWriter`, so no use case can change a tuple.
"""

from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from diary_mcp.domain.entry import Entry, EntryFilters, EntrySummary
from diary_mcp.domain.fields import AgentName, EntryId, Grantee, GroupName
from diary_mcp.domain.history import EntryVersion, VersionSummary
from diary_mcp.domain.relations import RelationTuple
from diary_mcp.domain.share import Share
from diary_mcp.service.archive import ArchiveReader, ArchiveWriter, EntryReference
from diary_mcp.service.changes import PermissionChange
from diary_mcp.service.digests import ReflectionReader
from diary_mcp.service.index.ports import SearchReader
from diary_mcp.service.index.similar_ports import SimilarReader
from diary_mcp.service.records import (
    EntryCounts,
    EntryPosition,
    EntryRecord,
    EntryRevision,
    Readership,
    RememberedRequest,
    SharePosition,
    TagCount,
)
from diary_mcp.service.signing.ports import ChainReader, ChainWriter


class PermissionReader(Protocol):
    """Questions to the permission backend. Every answer is current, none is cached.

    Raises (every method):
        PermissionBackendUnavailableError: no usable answer in time; never a silent no or yes.
    """

    async def check_view(self, agent: AgentName, entry_ids: Collection[EntryId]) -> set[EntryId]:
        """Those of `entry_ids` that `agent` may view, directly or through a group."""
        ...

    async def list_groups(self, agent: AgentName) -> set[GroupName]:
        """Groups that `agent` belongs to, directly or through a nested group."""
        ...


class PermissionWriter(Protocol):
    """Reads and writes an entry's tuples.

    Raises (every method):
        PermissionBackendUnavailableError: it is unknown whether a write was applied.
        PermissionRefusedError: the backend refuses the request for good; nothing was written.
    """

    async def list_entry_tuples(self, entry_ids: Collection[EntryId]) -> set[RelationTuple]:
        """Every tuple whose object is one of the entries."""
        ...

    async def patch(
        self, *, insert: Collection[RelationTuple], delete: Collection[RelationTuple]
    ) -> None:
        """Applies the whole difference atomically; what is there already, or gone, is no error."""
        ...

    def scan_entry_tuples(self) -> AsyncIterator[Sequence[RelationTuple]]:
        """Every tuple of the namespace `DiaryEntry`, page by page, in no order.

        One page is in memory at a time. Tuples that come or go meanwhile may be missed.
        """
        ...


class GroupMembers(Protocol):
    """Who belongs to a group. The permission backend alone keeps it: no row says so too.

    Raises (every method):
        PermissionBackendUnavailableError: no usable answer in time.
        PermissionRefusedError: the backend refuses the request for good; nothing was written.
    """

    async def add(self, group: GroupName, member: Grantee) -> None:
        """Makes `member` a direct member; nothing changes where it is one.

        Raises:
            InvalidArgumentError: a group that would nest more than two levels deep.
        """
        ...

    async def remove(self, group: GroupName, member: Grantee) -> bool:
        """`False` where it was no direct member."""
        ...

    async def list_members(self, group: GroupName) -> list[Grantee]:
        """Direct members, agents and groups (`group:NAME`), sorted."""
        ...


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


class EntryReader(Protocol):
    """Entries as rows. Whether the caller may see them is the service's to decide."""

    async def find(self, reader: Readership, reference: str) -> Entry | None:
        """The entry with this id, or the reader's own with this key.

        Returns:
            It, with the reader's `role`; `None` where the rows neither make the reader its owner
            nor share it with one of `reader.grantees`.
        """
        ...

    async def was_owned_by(self, agent: AgentName, entry_id: EntryId) -> bool:
        """Whether the agent has deleted this entry of its own, and its relations still wait."""
        ...

    async def list_page(
        self, reader: Readership, filters: EntryFilters, after: EntryPosition | None, limit: int
    ) -> list[EntrySummary]:
        """At most `limit` entries after `after`, newest `date` first, then by id."""
        ...

    async def list_tags(self, owner: AgentName, prefix: str, limit: int) -> list[TagCount]:
        """The owner's tags that begin with `prefix`, the most used first."""
        ...

    async def count(self, owner: AgentName) -> EntryCounts: ...


class EntryWriter(Protocol):
    """Changes of entries, inside a unit of work."""

    async def insert(self, record: EntryRecord) -> EntryId | None:
        """Adds an entry with `generation` 1, not yet applied.

        Returns:
            The imported entry that waited for this key and supersedes the new one now, if any.

        Raises:
            ConflictError: the owner has an entry with this key, or the superseded entry is
                superseded already.
            NotFoundError: the superseded entry was deleted meanwhile.
        """
        ...

    async def update(self, previous: Entry, revision: EntryRevision) -> bool:
        """Puts `revision` in the place of `previous`, which goes into the history.

        Returns:
            `False`, and nothing changes, where another change was first.
        """
        ...

    async def delete(self, entry_id: EntryId) -> None:
        """Removes the entry, its history and its shares; leaves a tombstone of ids only."""
        ...

    async def raise_generation(self, entry_id: EntryId, owner: AgentName) -> int | None:
        """Locks the entry for this unit of work and counts one more permission change.

        Returns:
            The new generation, or `None` where `owner` has no such entry (any more).
        """
        ...


class ShareReader(Protocol):
    async def may_reach(self, agent: AgentName) -> bool:
        """Whether any active share names the agent or any group at all."""
        ...

    async def list_page(
        self,
        owner: AgentName,
        entry_id: EntryId | None,
        after: SharePosition | None,
        limit: int,
    ) -> list[Share]:
        """Active shares that `owner` gave, oldest first; of one entry where it is named."""
        ...


class ShareWriter(Protocol):
    async def put(
        self, entry_id: EntryId, grantee: Grantee, expires_at: datetime | None, note: str | None
    ) -> Share:
        """Adds the share, or replaces `expires_at` and `note` of the one that is there."""
        ...

    async def remove(self, entry_id: EntryId, grantee: Grantee) -> bool:
        """Removes an active share; `False` where there is none."""
        ...

    async def count_groups(self, entry_id: EntryId) -> int: ...


class AgentDirectory(Protocol):
    """Agents and groups by name. Who belongs to a group only the permission backend knows."""

    async def register(self, agent: AgentName) -> None: ...

    async def exists(self, grantee: Grantee) -> bool: ...

    async def list_similar(self, grantee: Grantee, limit: int) -> list[Grantee]:
        """Names that exist, the most similar to `grantee` first."""
        ...


class RequestLog(Protocol):
    """Which create calls were answered already, by idempotency key."""

    async def claim(
        self, agent: AgentName, key: str, request: RememberedRequest
    ) -> RememberedRequest:
        """Remembers `request` under the key, unless an earlier one has it.

        Waits for a call with this key that is being committed at this moment.

        Returns:
            The request that holds the key: `request` itself, or the earlier one.
        """
        ...


class HistoryReader(Protocol):
    """What entries said before."""

    async def list_versions(self, entry_id: EntryId, limit: int) -> list[VersionSummary]:
        """Versions before the present one, the newest first."""
        ...

    async def find_version(self, entry_id: EntryId, version: int) -> EntryVersion | None: ...


class SuggestionReader(Protocol):
    """What begins with a few characters."""

    async def suggest_entries(
        self, owner: AgentName, prefix: str, limit: int
    ) -> list[EntryReference]:
        """Own entries by key or id, the newest first."""
        ...

    async def suggest_sessions(self, owner: AgentName, prefix: str, limit: int) -> list[str]: ...

    async def suggest_names(self, prefix: str, limit: int) -> list[str]:
        """Agents and groups, sorted."""
        ...


@dataclass(frozen=True)
class Reading:
    """Everything that can be read, on one connection."""

    entries: EntryReader
    shares: ShareReader
    agents: AgentDirectory
    archive: ArchiveReader
    reflection: ReflectionReader
    history: HistoryReader
    suggestions: SuggestionReader
    search: SearchReader
    similar: SimilarReader
    chain: ChainReader


@dataclass(frozen=True)
class UnitOfWork:
    """One PostgreSQL transaction on one connection: all of it commits, or nothing does."""

    entries: EntryReader
    entry_changes: EntryWriter
    shares: ShareWriter
    agents: AgentDirectory
    requests: RequestLog
    workflows: WorkflowQueue
    archive: ArchiveWriter
    chain: ChainWriter


class Store(Protocol):
    """Raises (every method): DatabaseUnavailableError: PostgreSQL gives no answer in time."""

    def reading(self) -> AbstractAsyncContextManager[Reading]: ...

    def snapshot(self) -> AbstractAsyncContextManager[Reading]:
        """Reads everything as it was at one moment."""
        ...

    def unit_of_work(self) -> AbstractAsyncContextManager[UnitOfWork]:
        """Commits when the block ends, rolls back when it raises; shielded from cancellation."""
        ...
