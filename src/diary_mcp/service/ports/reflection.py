"""What a digest of an owner's entries is made from, and who reads it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import NamedTuple, Protocol

from diary_mcp.domain.fields import AgentName, EntryId, EntryType, Grantee
from diary_mcp.service.ports.entries import Place, Reach, TagCount


@dataclass(frozen=True)
class EntrySelection:
    """Which of an owner's entries a digest is about."""

    owner: AgentName
    since: datetime | None = None
    until: datetime | None = None
    types: Sequence[EntryType] | None = None
    within: Place | Reach | None = None
    """A diary: then its entries are meant, whoever owns them. Or what is meant beside one's own."""
    groups: tuple[Grantee, ...] = ()
    """Those that the owner is in: what supersedes an entry may be open to them."""
    min_importance: float | None = None
    """Of what is named; what is counted may have less."""

    def only(self, entry_type: EntryType) -> "EntrySelection":
        """Those of one type; none where it was not selected."""
        selected = self.types is None or entry_type in self.types
        return replace(self, types=(entry_type,) if selected else ())


class TypeCount(NamedTuple):
    """Entries of one type; nothing supersedes the `current` ones."""

    type: EntryType
    entries: int
    current: int


class DayCount(NamedTuple):
    """Entries of one type, of one day in UTC."""

    day: date
    type: EntryType
    entries: int


class OpenedCount(NamedTuple):
    """By how much the number of problems that nothing supersedes changed on a day."""

    day: date
    opened: int


@dataclass(frozen=True)
class Preview:
    """What a digest needs of an entry; `opening` is the beginning of its content."""

    id: EntryId
    owner: AgentName | None
    """Whose it is, where that is another agent."""

    type: EntryType
    date: datetime
    importance: float
    title: str | None
    opening: str


@dataclass(frozen=True)
class CorrectionStep(Preview):
    """A preview in the chain of what the correction `head_id` supersedes."""

    head_id: EntryId


class ReflectionReader(Protocol):
    """An owner's entries, counted and picked."""

    async def count_by_type(self, selection: EntrySelection) -> list[TypeCount]: ...

    async def count_by_tag(self, selection: EntrySelection, limit: int) -> list[TagCount]:
        """The most used tags first."""
        ...

    async def list_newest(self, selection: EntrySelection, limit: int) -> list[Preview]:
        """Entries that nothing supersedes, the newest first."""
        ...

    async def list_most_important(self, selection: EntrySelection, limit: int) -> list[Preview]:
        """Entries that nothing supersedes, the most important first."""
        ...

    async def list_corrections(
        self, selection: EntrySelection, limit: int
    ) -> list[Sequence[Preview]]:
        """Corrections that stand, newest first, each followed by a few that it supersedes."""
        ...

    async def count_by_day(self, selection: EntrySelection) -> list[DayCount]:
        """Of all times, the earliest day first."""
        ...

    async def list_open_problems_by_day(self, selection: EntrySelection) -> list[OpenedCount]:
        """Of all times, the earliest day first."""
        ...
