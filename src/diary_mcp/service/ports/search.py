"""What search reads of the index.

Many rows travel as packed columns, so that nothing here imports numpy.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b
from typing import NamedTuple, Protocol

from diary_mcp.domain.entry import Entry, EntryFilters
from diary_mcp.domain.fields import AgentName, DiaryId, EntryId
from diary_mcp.domain.version import SearchText
from diary_mcp.service.ports.entries import Readership

MAX_VOCABULARY = 100_000


class SearchPosition(NamedTuple):
    """Where a search goes on: with what was there by then and was not shown yet."""

    created_by: datetime
    seen: frozenset[bytes]
    """A mark of each entry that was shown."""
    score: float
    """The last one's."""

    @staticmethod
    def mark(entry_id: EntryId) -> bytes:
        """What a cursor remembers of an entry: short, and different enough within one search."""
        return blake2b(entry_id.bytes, digest_size=5).digest()


@dataclass(frozen=True)
class Known:
    """Documents that a process may keep, and what of them may be a hit; ids take 16 bytes each."""

    documents: int
    """How many there are."""
    fingerprint: int
    """The revisions of all of these by xor; with their number, it changes when any does."""
    is_reached: bool
    """Whether anything of others' is open to the caller's name, or to any group."""
    superseded: bytes
    """Ids of those that an entry which the caller may see supersedes, if these are no hits."""
    superseded_by: bytes
    """Ids of what supersedes these, in the same order."""
    matching: bytes | None
    """Ids of those that pass the filters; `None` where there are none."""
    named: bytes
    """Ids that the query names, or whose key it names; some may be of no entry at all."""
    terms: Sequence[str] | None
    """Those of the query's that stand in any of these; `None` where they were not looked up."""
    posting_ids: Sequence[bytes] | None
    """For each of the terms, in which entries it stands, and perhaps in more of their owners'."""
    posting_counts: Sequence[bytes] | None
    """And how often in each, 32 bits each, big-endian."""


@dataclass(frozen=True)
class DiarySnapshot(Known):
    """What there is in a diary that is searched whole."""

    owners: Sequence[AgentName]
    """Whose entries are in it."""
    is_own: bool
    """Whether the diary is the caller's."""


@dataclass(frozen=True)
class Snapshot(Known):
    """What there is within the scope: the caller's own, and what others share."""

    placed: bytes | None = None
    """Ids of the caller's entries in the diary that is searched; `None` where that is none."""
    shared_ids: bytes = b""
    """Entries of others that the rows let the caller see; the columns below are theirs."""
    shared_revisions: bytes = b""
    """64 bits each, big-endian."""
    shared_eligible: bytes = b""
    """One byte each: 1 where it passes the filters. The others are context only."""
    shared_superseded_by: bytes = b""
    """16 bytes each: what supersedes it and may be seen, if it is no hit then; else zeros."""
    shared_named: bytes = b""
    """One byte each: 1 where the query names its key."""

    shared_diaries: bytes = b""
    """16 bytes each: the diary that it is in, or zeros."""
    shared_in_own: bytes = b""
    """One byte each: 1 where the diary is the caller's own."""


class PackedRevisions(NamedTuple):
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
    is_question: bytes
    """One byte each: 1 where it ends with a question mark."""
    vector_sizes: bytes
    """How many bytes of `vectors` are its own, 32 bits."""
    vectors: bytes
    authors: Sequence[str]


class Postings(NamedTuple):
    """In which entries a term occurs, and how often."""

    term: str
    ids: bytes
    """16 bytes each."""
    counts: bytes
    """32 bits each, big-endian."""


class Whose(NamedTuple):
    """What is read as a whole: all that an agent owns, or all in a diary, whoever wrote there."""

    owner: AgentName | None = None
    diary: DiaryId | None = None


class Indexed(NamedTuple):
    """Where words are looked up: with some owners, in one diary if it is named, and in others."""

    owners: Sequence[AgentName]
    diary: DiaryId | None
    others: Sequence[EntryId]


class QueryWords(NamedTuple):
    """What of a query is looked up."""

    names: Collection[str]
    """Words that may be ids or keys."""
    terms: Collection[str]


class SearchReader(Protocol):
    """The index as rows. Whether the caller may see them is the service's to decide."""

    async def read_snapshot(
        self, reader: Readership, filters: EntryFilters, words: QueryWords, most: int
    ) -> Snapshot:
        """What there is at this moment.

        At most so many of the caller's own are counted, and where `most` is 0, they are left out.
        """
        ...

    async def read_diary_snapshot(
        self, reader: Readership, filters: EntryFilters, words: QueryWords, most: int
    ) -> DiarySnapshot | None:
        """What there is in the reader's place; `None` where the rows do not open it as a whole."""
        ...

    async def list_revisions(self, whose: Whose) -> PackedRevisions:
        """All that the agent owns, or all in the diary."""
        ...

    async def read_documents(self, ids: bytes, model: str | None) -> PackedDocuments:
        """Those of these ids, 16 bytes each, that are still there.

        With the vectors of `model` (none where that is `None`).
        """
        ...

    async def read_all_documents(self, whose: Whose, model: str | None) -> PackedDocuments:
        """All that the agent owns, or all in the diary; quicker than naming each."""
        ...

    async def read_postings(self, indexed: Indexed, terms: Collection[str]) -> list[Postings]:
        """Of what is indexed there, and perhaps of more that its owners have.

        A term may come twice: once for the owners' entries, once for others.
        """
        ...

    async def list_terms(self, indexed: Indexed, prefixes: Collection[str]) -> list[str]:
        """Different terms of these entries that begin with one of the prefixes, in no order.

        Of very many, `MAX_VOCABULARY` rows of the owners' index and as many of others' are read.
        """
        ...

    async def read_texts(self, ids: Collection[EntryId]) -> list[SearchText]: ...

    async def list_entries(self, reader: Readership, ids: Collection[EntryId]) -> list[Entry]:
        """Those that are still there, in no order."""
        ...


class SharedWords(NamedTuple):
    """How many words an entry has, and how many of them another has too."""

    id: EntryId
    title: str | None
    words: int
    shared_terms: int
    """Different ones."""
    shared_words: int
    """Each as often as both have it."""


class Candidates(NamedTuple):
    """Earlier entries that may say the same as a new one."""

    indexed: list[SharedWords]
    unindexed: list[SearchText]


class SimilarReader(Protocol):
    """Own entries by the words that they share with a new one; superseded ones are left out."""

    async def list_candidates(
        self,
        owner: AgentName,
        diary_id: DiaryId | None,
        before: EntryId,
        counts: Mapping[str, int],
        rarest: Sequence[str],
        *,
        fewest: int,
    ) -> Candidates:
        """Some indexed entries of a diary, before `before`, that have most of `rarest`; no order.

        They share at least the `fewest` words with `counts`, each as often as both have it.
        And the newest entries made before it that are not indexed yet, a few pages of them.
        """
        ...
