"""Entries as rows: read, changed inside a unit of work, and announced when they changed."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, Protocol, TypedDict

from diary_mcp.domain.entry import Entry, EntryFilters, EntrySummary
from diary_mcp.domain.fields import AgentName, DiaryId, EntryId, Grantee
from diary_mcp.domain.version import EntryRecord, EntryVersion, VersionSummary


class Readership(NamedTuple):
    """The caller, and the groups that something may have been shared with in its place.

    Without groups: what the rows alone tell. With a place: of what is in that diary.
    """

    caller: AgentName
    groups: tuple[Grantee, ...] = ()
    place: "Place | None" = None


class Place(NamedTuple):
    """One diary to look into; without `id` it is a `main` that has no row."""

    owner: AgentName
    name: str
    id: DiaryId | None


@dataclass(frozen=True)
class Reach:
    """What a caller may read beside its own: all that is in some diaries, and some entries."""

    diaries: frozenset[DiaryId] = frozenset()
    mains: frozenset[AgentName] = frozenset()
    """Whose `main` is one of the diaries: an entry there may name no diary."""

    entries: frozenset[EntryId] = frozenset()

    def __le__(self, other: "Reach") -> bool:
        return (
            self.diaries <= other.diaries
            and self.mains <= other.mains
            and self.entries <= other.entries
        )


@dataclass(frozen=True)
class EntryReference:
    """The two names of an entry."""

    id: EntryId
    key: str | None


class EntryPosition(NamedTuple):
    """Where a list goes on: after this entry."""

    date: datetime
    id: EntryId


class RememberedRequest(NamedTuple):
    """A create call that was answered: the hash of its arguments, and the entry it made."""

    arguments_hash: str
    entry_id: EntryId


class TagCount(TypedDict):
    tag: str
    count: int
    is_others: bool
    """Whether another agent's entry has it."""


class EntryCounts(TypedDict):
    """How many entries an agent owns, and how many of them it shares at present."""

    entries: int
    shared: int


class EntryReader(Protocol):
    """Entries as rows. Whether the caller may see them is the service's to decide."""

    async def find(self, reader: Readership, reference: str) -> Entry | None:
        """The entry with this id, or the reader's own with this key.

        Returns:
            It, with the reader's `role`; `None` where the rows neither make the reader its owner
            nor share it with the reader or one of its groups.
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

    async def list_tags(
        self, owner: AgentName, where: Place | Reach | None, prefix: str, limit: int
    ) -> list[TagCount]:
        """Tags that begin with `prefix`, the most used first.

        The owner's; or a diary's, or those of all that is within reach too.
        """
        ...

    async def count(self, owner: AgentName, place: Place | None = None) -> EntryCounts: ...


class EntryWriter(Protocol):
    """Changes of entries, inside a unit of work."""

    async def insert(self, record: EntryRecord) -> EntryId | None:
        """Adds an entry with `generation` 1, not yet applied.

        Returns:
            The imported entry that waited for this key and supersedes the new one now, if any.

        Raises:
            ConflictError: the owner has an entry with this key, or as `supersede`.
        """
        ...

    async def supersede(self, newer: EntryId, older: Sequence[EntryId]) -> None:
        """Each of `older` is superseded by `newer` from now on.

        Raises:
            ConflictError: one is superseded already, was deleted meanwhile, or supersedes `newer`
                itself, at whatever distance.
        """
        ...

    async def update(self, previous: Entry, revised: Entry) -> bool:
        """Puts `revised` in the place of `previous`, which goes into the history.

        Returns:
            `False`, and nothing changes, where another change was first.
        """
        ...

    async def delete(self, entry_id: EntryId) -> None:
        """Removes the entry, its history and its shares; leaves a tombstone of ids only."""
        ...

    async def would_leave_superseded(self, entry_id: EntryId, diary_id: DiaryId | None) -> bool:
        """Whether a move would leave another owner's entry behind that this one supersedes."""
        ...

    async def move(self, entry_id: EntryId, diary_id: DiaryId | None) -> None:
        """Puts the entry into a diary, or into its owner's `main`.

        What another agent's entry supersedes, or is superseded by, is so in one diary alone: what
        would reach out of it ends.
        """
        ...

    async def raise_generation(self, entry_id: EntryId, owner: AgentName) -> int | None:
        """Locks the entry for this unit of work and counts one more permission change.

        Returns:
            The new generation, or `None` where `owner` has no such entry (any more).
        """
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
        self, owner: AgentName, place: Place | None, prefix: str, limit: int
    ) -> list[EntryReference]:
        """Own entries, in `place` where there is one, by key or id, the newest first."""
        ...

    async def suggest_sessions(
        self, owner: AgentName, place: Place | None, prefix: str, limit: int
    ) -> list[str]: ...

    async def suggest_tags(
        self, owner: AgentName, place: Place | None, prefix: str, limit: int
    ) -> list[str]: ...

    async def suggest_names(self, prefix: str, limit: int) -> list[str]:
        """Agents and groups, sorted."""
        ...


class Announcement(NamedTuple):
    """An entry changed. Where `reader` is named, that agent or group could read it until now.

    Without an entry: what `reader` may read, taken together, is not what it was.
    """

    entry_id: EntryId | None
    reader: Grantee | None = None


class Announcer(Protocol):
    """Tells of every change that any process commits."""

    def listen(self) -> AbstractAsyncContextManager[AsyncIterator[Announcement]]:
        """What is committed from the beginning of the block on.

        Raises:
            DatabaseUnavailableError: the connection failed; what was announced meanwhile is lost.
        """
        ...
