"""What search and its index need from the outside, as narrow Protocols.

Nothing here imports numpy: what is many rows long travels as packed columns.
"""

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Literal, Protocol

from diary_mcp.domain.entry import Entry, EntryFilters
from diary_mcp.domain.fields import AgentName, EntryId
from diary_mcp.service.records import Readership

IndexStage = Literal["words", "vectors"]


class Embedder(Protocol):
    """A sentence model. Blocks: it is called in threads, by several at once."""

    @property
    def name(self) -> str:
        """Names the model and its version; vectors of another name are computed again."""
        ...

    def embed(self, texts: Sequence[str]) -> list[bytes]:
        """One vector for each text, as 32-bit floats in little-endian order.

        Raises:
            EmbeddingUnavailableError: the model cannot be loaded, or does not answer.
        """
        ...


@dataclass(frozen=True)
class SearchText:
    """What search sees of one entry's text."""

    id: EntryId
    owner: AgentName
    author: str
    title: str | None
    content: str
    tags: Sequence[str]
    version: int


@dataclass(frozen=True)
class Outline:
    """What there is within the scope, and what of it may be a hit; ids take 16 bytes each."""

    documents: int
    """How many of its own the caller has."""
    fingerprint: int
    """The revisions of all of these by xor; with their number, it changes when any does."""
    superseded: bytes
    """Ids of what entries of the caller's supersede."""
    matching: bytes | None
    """Ids of the caller's entries that pass the filters; `None` where there are none."""
    named: bytes
    """Ids that the query names, or whose key it names; some may be of no entry at all."""
    shared_ids: bytes
    """Entries of others that the rows let the caller see; the columns below are theirs."""
    shared_revisions: bytes
    """64 bits each, big-endian."""
    shared_eligible: bytes
    """One byte each: 1 where it passes the filters. The others are context only."""
    shared_named: bytes
    """One byte each: 1 where the query names its key."""


@dataclass(frozen=True)
class PackedRevisions:
    """Documents, and in which state each is: 16 bytes and 64 bits, big-endian."""

    ids: bytes
    revisions: bytes


@dataclass(frozen=True)
class PackedDocuments:
    """What search knows of some entries, one value each in every column, big-endian."""

    ids: bytes
    """16 bytes each."""
    revisions: bytes
    """64 bits each: another number for every state of a document."""
    worded: bytes
    """One byte each: 1 where its words are in the index."""
    created: bytes
    """Microseconds since 2000, 64 bits."""
    days: bytes
    """Days since 1970, 64-bit floats."""
    sessions: bytes
    """A 64-bit hash of owner and session each; 0 where it has no session."""
    lengths: bytes
    """Characters of the content, 32 bits."""
    words: bytes
    """Weighted count of words, 32 bits."""
    asks: bytes
    """One byte each: 1 where it ends with a question mark."""
    vector_sizes: bytes
    """How many bytes of `vectors` are its own, 32 bits."""
    vectors: bytes
    authors: Sequence[str]


@dataclass(frozen=True)
class Postings:
    """In which entries a term occurs, and how often."""

    term: str
    ids: bytes
    """16 bytes each."""
    counts: bytes
    """32 bits each, big-endian."""


class SearchReader(Protocol):
    """The index as rows. Whether the caller may see them is the service's to decide."""

    async def read_outline(
        self, reader: Readership, filters: EntryFilters, names: Collection[str]
    ) -> Outline:
        """What there is at this moment; `names` are words that may be ids or keys."""
        ...

    async def list_revisions(self, caller: AgentName) -> PackedRevisions:
        """The caller's own documents."""
        ...

    async def read_documents(self, ids: Collection[EntryId], model: str | None) -> PackedDocuments:
        """Those that are still there, with the vectors of `model` (none where that is `None`)."""
        ...

    async def read_own_documents(self, caller: AgentName, model: str | None) -> PackedDocuments:
        """All that the caller owns; quicker than naming each."""
        ...

    async def read_postings(
        self, caller: AgentName, shared: Collection[EntryId], terms: Collection[str]
    ) -> list[Postings]:
        """Of the caller's own entries, and of the shared ones that are named."""
        ...

    async def list_terms(
        self, caller: AgentName, shared: Collection[EntryId], prefixes: Collection[str]
    ) -> list[str]:
        """Distinct terms of these entries that begin with one of the prefixes, sorted."""
        ...

    async def read_texts(self, ids: Collection[EntryId]) -> list[SearchText]: ...

    async def list_with_phrase(self, ids: Collection[EntryId], phrase: str) -> set[EntryId]:
        """Those whose title or content has the phrase, whatever its case and white space."""
        ...

    async def list_entries(self, reader: Readership, ids: Collection[EntryId]) -> list[Entry]:
        """Those that are still there, in no order."""
        ...


@dataclass(frozen=True)
class WordsOfEntry:
    """One entry's part of the word index."""

    text: SearchText
    counts: Mapping[str, int]
    asks: bool


@dataclass(frozen=True)
class VectorsOfEntry:
    """One entry's vectors, packed."""

    text: SearchText
    vectors: bytes


class IndexClaim(Protocol):
    """Entries that nobody else indexes until the block ends or this process does.

    No row is locked: a write never waits for the index. What was changed or deleted meanwhile is
    left out of what is written.

    Raises (every method): DatabaseUnavailableError: PostgreSQL gives no answer in time.
    """

    @property
    def texts(self) -> Sequence[SearchText]: ...

    async def write_words(self, version: str, rows: Sequence[WordsOfEntry]) -> int:
        """Replaces the entries' postings; how many entries were written."""
        ...

    async def write_vectors(self, version: str, rows: Sequence[VectorsOfEntry]) -> int: ...


class IndexStore(Protocol):
    """Raises (every method): DatabaseUnavailableError: PostgreSQL gives no answer in time."""

    def claim(
        self, stage: IndexStage, version: str, limit: int
    ) -> AbstractAsyncContextManager[IndexClaim]:
        """Some entries whose words or vectors are not of `version`, the newest first."""
        ...

    async def request_if_waiting(self, words_version: str, model: str | None) -> int:
        """Schedules the indexing workflow if anything is left to index; how much, 1 or 0."""
        ...
