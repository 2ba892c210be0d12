"""The entries that one search looks at, unpacked from what the store read."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from diary_mcp.domain.fields import EntryId
from diary_mcp.service.ranking import Corpus, Flags, Floats, Integers
from diary_mcp.service.search_ports import PackedCorpus, Postings

_ID_BYTES = 16
_EPOCH = date(1970, 1, 1)
_WIDEST_YEARS = 50

Found = Mapping[str, tuple[Integers, Floats]]
"""For each term the entries that have it, and how often."""


@dataclass(frozen=True)
class Unindexed:
    """One entry whose words are not in the index, counted now."""

    place: int
    counts: Mapping[str, int]
    length: int
    asks: bool


class SearchedEntries:
    """Columns, one value for each entry; places in them are what everything else speaks of.

    Only entries that are readable are kept: the others are forgotten before anything is counted.
    """

    def __init__(self, packed: PackedCorpus, viewable: Collection[EntryId]) -> None:
        owned = _flags(packed.owned)
        keep = owned.copy()
        allowed = {entry_id.bytes for entry_id in viewable}
        for place in np.flatnonzero(~owned):
            keep[place] = _key_at(packed.ids, int(place)) in allowed
        sizes = _numbers(packed.vector_sizes, ">i4").astype(np.int64)
        everything = bool(keep.all())
        kept = () if everything else tuple(map(int, np.flatnonzero(keep)))
        self._ids = (
            packed.ids if everything else b"".join(_key_at(packed.ids, place) for place in kept)
        )
        ends = np.cumsum(sizes)
        self.vectors = (
            packed.vectors
            if everything
            else b"".join(packed.vectors[ends[i] - sizes[i] : ends[i]] for i in kept)
        )
        self.owned = owned[keep]
        self.eligible = _flags(packed.eligible)[keep]
        self.named = _flags(packed.named)[keep]
        self.worded = _flags(packed.worded)[keep]
        self._sizes = sizes[keep]
        self._days = _numbers(packed.days, ">f8").astype(np.float64)[keep]
        self._sessions = _numbers(packed.sessions, ">i8").astype(np.int64)[keep]
        self._lengths = _numbers(packed.lengths, ">i4").astype(np.float64)[keep]
        self._words = _numbers(packed.words, ">i4").astype(np.float64)[keep]
        self._asks = _flags(packed.asks)[keep]
        self._authors = np.array(packed.authors, dtype=np.object_)[keep]
        self._order = _numbers(self._ids, ">u8").astype(np.uint64).reshape(-1, 2)
        self._places: dict[bytes, int] | None = None

    @property
    def size(self) -> int:
        return len(self.owned)

    @property
    def without_vectors(self) -> Flags:
        return self._sizes == 0

    @property
    def authors(self) -> list[str]:
        """Every author once, sorted."""
        return sorted(set(self._authors.tolist()))

    @property
    def years(self) -> tuple[int, int]:
        """The first and the last year that the entries are about; of late, where they are many."""
        if not self.size:
            return 0, -1
        first, last = (
            (_EPOCH + timedelta(days=float(np.floor(day)))).year
            for day in (self._days.min(), self._days.max())
        )
        return max(first, last - _WIDEST_YEARS), last

    def forget_vectors_unlike(self, vector_bytes: int) -> None:
        """Leaves out vectors of another length: the model changed behind its name."""
        unlike = self._sizes % vector_bytes != 0
        if unlike.any():
            ends = np.cumsum(self._sizes)
            kept = np.flatnonzero(~unlike)
            self.vectors = b"".join(
                self.vectors[ends[i] - self._sizes[i] : ends[i]] for i in map(int, kept)
            )
            self._sizes = np.where(unlike, 0, self._sizes)

    def id_at(self, place: int) -> EntryId:
        return EntryId(UUID(bytes=_key_at(self._ids, place)))

    def ids_at(self, places: Sequence[int] | Integers) -> list[EntryId]:
        return [self.id_at(int(place)) for place in places]

    def places_of(self, ids: Collection[EntryId]) -> Integers:
        """Where these entries are; those that are not among these are left out."""
        places = self._index()
        found = [places[entry_id.bytes] for entry_id in ids if entry_id.bytes in places]
        return np.array(found, dtype=np.int64)

    def find(self, postings: Sequence[Postings], unindexed: Sequence[Unindexed]) -> Found:
        """The postings as places; of what is not indexed any more, those that were counted now."""
        found: dict[str, tuple[list[int], list[int]]] = {}
        for posting in postings:
            entries, counts = found.setdefault(posting.term, ([], []))
            for place, count in self._read(posting):
                entries.append(place)
                counts.append(count)
        for entry in unindexed:
            for term, count in entry.counts.items():
                entries, counts = found.setdefault(term, ([], []))
                entries.append(entry.place)
                counts.append(count)
        return {
            term: (np.array(entries, dtype=np.int64), np.array(counts, dtype=np.float64))
            for term, (entries, counts) in found.items()
        }

    def as_corpus(self, unindexed: Sequence[Unindexed], vector_bytes: int) -> Corpus:
        """The columns as the ranking takes them."""
        words, lengths, asks = self._words.copy(), self._lengths.copy(), self._asks.copy()
        for entry in unindexed:
            words[entry.place] = sum(entry.counts.values())
            lengths[entry.place] = entry.length
            asks[entry.place] = entry.asks
        return Corpus(
            days=self._days,
            sessions=self._sessions,
            order=self._order,
            lengths=lengths,
            words=words,
            asks=asks,
            authors=self._authors,
            vector_counts=self._sizes // vector_bytes,
        )

    def newest(self, places: Integers) -> list[int]:
        """The places, that of the newest entry first: ids tell when an entry was made."""
        order = np.lexsort((self._order[places, 1], self._order[places, 0]))
        return [int(place) for place in places[order[::-1]]]

    def _read(self, posting: Postings) -> list[tuple[int, int]]:
        places = self._index()
        counts = _numbers(posting.counts, ">i4").tolist()
        read: list[tuple[int, int]] = []
        for i, count in enumerate(counts):
            place = places.get(posting.ids[i * _ID_BYTES : (i + 1) * _ID_BYTES])
            # The words of an entry that was changed are outdated until it is indexed again.
            if place is not None and self.worded[place]:
                read.append((place, count))
        return read

    def _index(self) -> dict[bytes, int]:
        if self._places is None:
            self._places = {_key_at(self._ids, place): place for place in range(self.size)}
        return self._places


def shared_ids(packed: PackedCorpus) -> list[EntryId]:
    """The entries that somebody else owns: the permission backend is asked about them."""
    shared = np.flatnonzero(~_flags(packed.owned))
    return [EntryId(UUID(bytes=_key_at(packed.ids, int(place)))) for place in shared]


def _key_at(ids: bytes, place: int) -> bytes:
    return ids[place * _ID_BYTES : (place + 1) * _ID_BYTES]


def _numbers(column: bytes, kind: str) -> NDArray[np.generic]:
    return np.frombuffer(column, dtype=kind)


def _flags(column: bytes) -> Flags:
    return np.frombuffer(column, dtype=np.bool_)
