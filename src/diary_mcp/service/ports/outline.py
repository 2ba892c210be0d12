"""What search reads of a large diary: all of it once, what changed since, and what is chosen."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from diary_mcp.domain.entry import EntryFilters
from diary_mcp.domain.fields import AgentName, DiaryId, EntryId
from diary_mcp.service.ports.entries import Readership
from diary_mcp.service.ports.search import Whose


@dataclass(frozen=True)
class Page:
    """Some documents, those changed last first."""

    ids: bytes
    """16 bytes each."""
    last_change: str | None
    """The number of the last one's change."""

    @property
    def last_id(self) -> UUID:
        return UUID(bytes=self.ids[-16:])


@dataclass(frozen=True)
class Changes:
    """Documents that may have changed since a moment."""

    ids: bytes
    """16 bytes each."""
    revisions: bytes
    """64 bits each, big-endian."""
    settled: int
    """How many of these will not be among the changes since this moment."""
    horizon: str
    """This moment."""


@dataclass(frozen=True)
class Standing:
    """Of some entries those that are where it is searched."""

    ids: bytes
    """16 bytes each."""
    eligible: bytes
    """One byte each: 1 where it passes the filters, and nothing that may be seen supersedes it."""
    superseded_by: bytes
    """16 bytes each: what supersedes it and may be seen, if it is no hit then; else zeros."""


@dataclass(frozen=True)
class Within:
    """Where it is searched: all in a diary, or the reader's own within the reader's place."""

    reader: Readership
    filters: EntryFilters
    diary: DiaryId | None


class OutlineReader(Protocol):
    """Whether the caller may see the rows is the service's to decide."""

    async def list_page(self, whose: Whose, after: Page | None, limit: int) -> Page:
        """The documents after another page's; an empty page is the last one.

        Pages are listed at different moments. What has changed meanwhile may be in none, or in
        two of them, and is among the changes since before the first.
        """
        ...

    async def list_changes(self, whose: Whose, horizon: str, most: int) -> Changes:
        """At most so many of the documents that were changed since, or are new; none is missed.

        What was deleted is not told. With `most` 0, what moment it is.
        """
        ...

    async def list_vocabulary(
        self, owners: Sequence[AgentName], prefixes: Collection[str]
    ) -> list[str]:
        """Terms of these owners that begin with one of the prefixes; `MAX_VOCABULARY` at most."""
        ...

    async def read_standing(self, within: Within, ids: Collection[EntryId]) -> Standing: ...

    async def list_matching(self, within: Within) -> bytes:
        """Ids of all that pass the filters, 16 bytes each."""
        ...
