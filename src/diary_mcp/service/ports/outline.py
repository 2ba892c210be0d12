"""What search reads of a large diary: all of it once, what changed since, and what is chosen."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol
from uuid import UUID

from diary_mcp.domain.entry import EntryFilters
from diary_mcp.domain.fields import AgentName, DiaryId
from diary_mcp.service.ports.entries import Readership
from diary_mcp.service.ports.search import (
    DiarySnapshot,
    PackedDocuments,
    QueryWords,
    Snapshot,
    Whose,
)


class PagePosition(NamedTuple):
    """Where a page of documents ended, those changed last first."""

    last_change: str
    """The number of the last one's change."""
    last_id: UUID


class Changes(NamedTuple):
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
    matching: bytes
    """One byte each: 1 where it passes the filters."""
    superseded_by: bytes
    """16 bytes each: what supersedes it and may be seen, if it is no hit then; else zeros."""


@dataclass(frozen=True)
class ChosenDocuments(PackedDocuments, Standing):
    """The same with their documents."""


class Within(NamedTuple):
    """Where it is searched: all in a diary, or the reader's own within the reader's place."""

    reader: Readership
    filters: EntryFilters
    diary: DiaryId | None


class OutlineReader(Protocol):
    """Whether the caller may see the rows is the service's to decide."""

    async def read_page(
        self, whose: Whose, after: PagePosition | None, limit: int, model: str | None
    ) -> tuple[PackedDocuments, PagePosition | None]:
        """The documents after where another page ended, and where these end, if there are any.

        With the vectors of `model` (none where that is `None`).
        Pages are read at different moments. What has changed meanwhile may be in none, or in
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

    async def read_beside_own(
        self, reader: Readership, filters: EntryFilters, words: QueryWords
    ) -> Snapshot:
        """What there is beside the caller's own documents, of which it tells nothing."""
        ...

    async def read_beside_diary(
        self, reader: Readership, words: QueryWords
    ) -> DiarySnapshot | None:
        """The same of a diary, where the rows open it as a whole."""
        ...

    async def read_standing(self, within: Within, ids: bytes) -> Standing:
        """Of these ids, 16 bytes each."""
        ...

    async def read_chosen(self, within: Within, ids: bytes, model: str | None) -> ChosenDocuments:
        """The same with the documents and the vectors of `model` (none where that is `None`)."""
        ...

    async def list_matching(self, within: Within) -> bytes:
        """Ids of all that pass the filters, 16 bytes each."""
        ...
