"""The entries that one search looks at: one diary, or the caller's own and what others share."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from diary_mcp.domain.fields import AgentName, DiaryId, EntryId
from diary_mcp.service.ports.search import Indexed, Postings
from diary_mcp.service.search.cache import (
    ID_BYTES,
    NO_DOCUMENTS,
    Documents,
    Ids,
    as_entry_ids,
    as_flags,
    as_ids,
    as_integers,
)
from diary_mcp.service.search.ranking import Corpus, Flags, Floats, Integers, Statistics

_FLOATS = np.dtype("<f4")
# As floats they stay in the processor's cache, and they are too few for OpenBLAS to share out among
# threads, which on a busy machine wait for each other a hundred times longer than they work.
_NUMBERS_AT_ONCE = 384 * 1024

MAX_STEPS = 10
"""How many corrections of corrections are followed."""

_NOTHING = -1

Scalar = TypeVar("Scalar", bound=np.generic)

Found = Mapping[str, tuple[Integers, Floats]]
"""For each term the entries that have it, and how often."""


@dataclass(frozen=True)
class Unindexed:
    """One entry whose words are not in the index, counted now."""

    id: EntryId
    index: int
    counts: Mapping[str, int]
    length: int
    is_question: bool


@dataclass(frozen=True)
class Part:
    """Documents that may be read; `eligible` may be hits, `named` ones stand in the query."""

    documents: Documents
    eligible: Flags
    named: Flags
    superseded_by: Ids
    """What supersedes each that is no hit for that reason; else empty."""

    def take(self, keep: Flags) -> "Part":
        """Those that are flagged."""
        if not self.documents.size or keep.all():
            return self
        return Part(
            self.documents.take(keep),
            self.eligible[keep],
            self.named[keep],
            self.superseded_by[keep],
        )


@dataclass(frozen=True)
class Totals:
    """How many entries are searched in all, where only some of them were read."""

    size: int
    unworded: int
    """How many of those that were not read lack words in the index."""
    without_vectors: int
    """And how many of them have no vectors."""


NO_PART = Part(NO_DOCUMENTS, as_flags(b""), as_flags(b""), as_ids(b""))


class SearchedEntries:
    """Columns, one value for each entry; indices in them are what everything else speaks of.

    Those that were read as a whole come first. What is not readable is in no part: it was
    forgotten before anything is counted.

    Args:
        whole: all of an agent's, or all in a diary.
        owners: whose these are, by which their words are found.
        diary: the one that they are in, where it is one.
        shared: others, each of which was asked about.
        totals: what there is besides these, where they are a choice of a large diary.
    """

    def __init__(
        self,
        whole: Part,
        owners: Sequence[AgentName],
        diary: DiaryId | None = None,
        shared: Part = NO_PART,
        totals: Totals | None = None,
    ) -> None:
        self._besides = totals
        parts = [part for part in (whole, shared) if part.documents.size]
        self._parts = [part.documents for part in parts]
        self.eligible = _joined([part.eligible for part in parts], np.bool_)
        self.named = _joined([part.named for part in parts], np.bool_)
        self._owners = owners
        self._diary = diary
        self._shared = shared.documents.ids
        self.worded = _joined([part.worded for part in self._parts], np.bool_)
        self._ids = _joined([part.ids for part in self._parts], np.bytes_)
        superseded_by = _joined([part.superseded_by for part in parts], np.bytes_)
        self.heirs = self._find_heirs(superseded_by)
        """What is shown where each is found: itself; what supersedes it; or nothing, -1."""

    @property
    def size(self) -> int:
        return len(self.eligible)

    @property
    def packed_ids(self) -> Ids:
        return self._ids

    @property
    def is_all(self) -> bool:
        """Whether these are all that is searched, and no choice of it."""
        return self._besides is None

    @property
    def total(self) -> int:
        """How many entries are searched, these and those that were not read."""
        return self.size if self._besides is None else self._besides.size

    def count_unworded(self) -> int:
        """How many of all lack words in the index."""
        besides = 0 if self._besides is None else self._besides.unworded
        return sum(part.unworded for part in self._parts) + besides

    def count_without_vectors(self) -> int:
        """How many of all have no vectors."""
        besides = 0 if self._besides is None else self._besides.without_vectors
        return int(self.without_vectors.sum()) + besides

    @property
    def indexed(self) -> Indexed:
        """Where the words of these are."""
        packed = self._shared.tobytes()
        others = [EntryId(UUID(bytes=packed[i : i + 16])) for i in range(0, len(packed), 16)]
        return Indexed(self._owners, self._diary, others)

    @property
    def without_vectors(self) -> Flags:
        return _joined([part.sizes for part in self._parts], np.int64) == 0

    @property
    def authors(self) -> list[str]:
        """Every author once, sorted."""
        return sorted({author for part in self._parts for author in part.author_names})

    @property
    def years(self) -> frozenset[int]:
        """The years that the entries are about."""
        return frozenset(year for part in self._parts for year in part.years)

    def compare(self, query: bytes) -> Floats:
        """The cosine between the query's vector and every other, in the order of the entries.

        Vectors of another length are left out: the model changed behind its name.
        """
        self._parts = [part.with_vectors_of(vector_bytes(query)) for part in self._parts]
        cosines = [compare(part.vectors, query) for part in self._parts]
        return np.concatenate(cosines) if cosines else np.zeros(0)

    def id_at(self, index: int) -> EntryId:
        return EntryId(UUID(bytes=self._ids[index : index + 1].tobytes()))

    def ids_at(self, indices: Sequence[int] | Integers) -> list[EntryId]:
        return as_entry_ids(self._ids[np.asarray(indices, np.int64)])

    def indices_of(self, ids: Collection[EntryId]) -> Integers:
        """Where these entries are; those that are not among these are left out."""
        indices = self._indices(as_ids(b"".join(entry_id.bytes for entry_id in ids)))
        return indices[indices >= 0]

    def find(
        self,
        postings: Sequence[Postings],
        unindexed: Sequence[Unindexed],
        known: Found | None = None,
    ) -> Found:
        """The postings as indices; of what is not indexed any more, those that were counted now.

        `known` ones are of other entries.
        """
        found = dict(known or {})
        for posting, read in zip(postings, self._read(postings), strict=True):
            found[posting.term] = _with(found.get(posting.term), read)
        now: dict[str, tuple[list[int], list[int]]] = {}
        for entry in unindexed:
            for term, count in entry.counts.items():
                entries, counts = now.setdefault(term, ([], []))
                entries.append(entry.index)
                counts.append(count)
        for term, (entries, counts) in now.items():
            counted = np.array(entries, np.int64), np.array(counts, np.float64)
            found[term] = _with(found.get(term), counted)
        return found

    def count_vectors(self, vector_bytes: int) -> Integers:
        """How many vectors each has."""
        return _joined([part.sizes for part in self._parts], np.int64) // vector_bytes

    def as_corpus(
        self, unindexed: Sequence[Unindexed], statistics: Statistics | None = None
    ) -> Corpus:
        """The columns as the ranking takes them."""
        parts = self._parts
        if len(parts) == 1 and not unindexed and statistics is None:
            return parts[0].corpus
        starts = np.cumsum([0, *(part.size for part in parts)]).tolist()
        words = _joined([part.words for part in parts], np.float64)
        lengths = _joined([part.lengths for part in parts], np.float64)
        is_question = _joined([part.is_question for part in parts], np.bool_)
        if unindexed:
            words, lengths, is_question = words.copy(), lengths.copy(), is_question.copy()
        for entry in unindexed:
            words[entry.index] = sum(entry.counts.values())
            lengths[entry.index] = entry.length
            is_question[entry.index] = entry.is_question
        return Corpus(
            days=_joined([part.days for part in parts], np.float64),
            sessions=_joined([part.sessions for part in parts], np.int64),
            order=_joined([part.order for part in parts], np.uint64).reshape(-1, 2),
            # Whose session it is makes a session: no two parts share one.
            line=_joined(
                [part.line + start for part, start in zip(parts, starts, strict=False)], np.int64
            ),
            lengths=lengths,
            words=words,
            is_question=is_question,
            authors=_joined([part.authors for part in parts], np.object_),
            statistics=statistics,
        )

    def newest(self, indices: Integers) -> list[int]:
        """The indices, that of the newest entry first: ids tell when an entry was made."""
        return [int(index) for index in indices[np.argsort(self._ids[indices])[::-1]]]

    def _read(self, postings: Sequence[Postings]) -> Iterator[tuple[Integers, Floats]]:
        """Of each term; all are looked up together."""
        indices = self._indices(as_ids(b"".join(posting.ids for posting in postings)))
        counts = as_integers(b"".join(posting.counts for posting in postings), ">i4")
        present = indices >= 0
        # The words of an entry that was changed are outdated until it is indexed again.
        present[present] = self.worded[indices[present]]
        start = 0
        for posting in postings:
            end = start + len(posting.ids) // ID_BYTES
            kept = present[start:end]
            yield indices[start:end][kept], counts[start:end][kept].astype(np.float64)
            start = end

    def _find_heirs(self, superseded_by: Ids) -> Integers:
        """Itself of what is eligible, and of what is superseded what is at the end of the chain."""
        superseded = superseded_by != b""
        if not superseded.any():
            return np.where(self.eligible, np.arange(self.size), _NOTHING)
        newer = np.full(self.size, _NOTHING, dtype=np.int64)
        newer[superseded] = self._indices(superseded_by[superseded])
        heirs = np.arange(self.size)
        for _ in range(MAX_STEPS):
            going_on = (heirs != _NOTHING) & superseded[heirs]
            if not going_on.any():
                break
            heirs[going_on] = newer[heirs[going_on]]
        return np.where((heirs != _NOTHING) & self.eligible[heirs], heirs, _NOTHING)

    def _indices(self, ids: Ids) -> Integers:
        if len(self._parts) == 1:
            return self._parts[0].indices_of(ids)
        indices = np.full(len(ids), -1, dtype=np.int64)
        start = 0
        for part in self._parts:
            within = part.indices_of(ids)
            indices = np.where(within >= 0, within + start, indices)
            start += part.size
        return indices


def _with(
    known: tuple[Integers, Floats] | None, more: tuple[Integers, Floats]
) -> tuple[Integers, Floats]:
    if known is None:
        return more
    return np.concatenate([known[0], more[0]]), np.concatenate([known[1], more[1]])


def _joined(columns: list[NDArray[Scalar]], kind: type[Scalar]) -> NDArray[Scalar]:
    if len(columns) == 1:
        return columns[0]
    return np.concatenate(columns) if columns else np.zeros(0, kind)


def having_all(terms: Sequence[str], found: Found, size: int) -> Flags:
    """Which entries have all of the terms."""
    having = np.ones(size, dtype=np.bool_)
    for term in terms:
        present = np.zeros(size, dtype=np.bool_)
        if term in found:
            present[found[term][0]] = True
        having &= present
    return having


def compare(packed: bytes, query: bytes) -> NDArray[np.float64]:
    """The cosine between `query` and each of the packed vectors, in their order."""
    asked = unit(query)
    stored = stored_vectors(packed, len(asked))
    products = np.empty(len(stored), dtype=np.float32)
    at_once = max(1, _NUMBERS_AT_ONCE // len(asked))
    floats = np.empty((min(len(stored), at_once), len(asked)), dtype=np.float32)
    for start in range(0, len(stored), at_once):
        steps = stored["steps"][start : start + at_once]
        portion = floats[: len(steps)]
        np.copyto(portion, steps)
        np.matmul(portion, asked, out=products[start : start + len(steps)])
    return (products * stored["scale"]).astype(np.float64)


def vector_bytes(query: bytes) -> int:
    """How many bytes one stored vector of the same model takes."""
    return _stored(len(query) // _FLOATS.itemsize).itemsize


def unit(vector: bytes) -> NDArray[np.float32]:
    """A vector as the model gives it, of length 1."""
    values = np.frombuffer(vector, dtype=_FLOATS)
    return values / (np.linalg.norm(values) or 1.0)


def stored_vectors(packed: bytes, dimensions: int) -> NDArray[np.void]:
    """The packed vectors as records of a scale and signed bytes, the steps."""
    return np.frombuffer(packed, dtype=_stored(dimensions))


def _stored(dimensions: int) -> np.dtype[np.void]:
    return np.dtype([("scale", "<f4"), ("steps", "i1", (dimensions,))])
