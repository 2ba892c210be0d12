"""The entries that one search looks at: the caller's own, and what others share with it."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TypeVar
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from diary_mcp.domain.fields import EntryId
from diary_mcp.service.ports.search import Postings
from diary_mcp.service.search.cache import Documents, Ids, as_ids, as_integers
from diary_mcp.service.search.ranking import Corpus, Flags, Floats, Integers

_EPOCH = date(1970, 1, 1)
_WIDEST_YEARS = 50

Scalar = TypeVar("Scalar", bound=np.generic)

Found = Mapping[str, tuple[Integers, Floats]]
"""For each term the entries that have it, and how often."""


@dataclass(frozen=True)
class Unindexed:
    """One entry whose words are not in the index, counted now."""

    place: int
    counts: Mapping[str, int]
    length: int
    asks: bool


@dataclass(frozen=True)
class Part:
    """Documents that may be read; `eligible` may be hits, `named` ones stand in the query."""

    documents: Documents
    eligible: Flags
    named: Flags

    def take(self, keep: Flags) -> "Part":
        """Those that are flagged."""
        return Part(self.documents.take(keep), self.eligible[keep], self.named[keep])


class SearchedEntries:
    """Columns, one value for each entry; places in them are what everything else speaks of.

    The caller's own entries come first. What is not readable is in no part: it was forgotten
    before anything is counted.
    """

    def __init__(self, own: Part, shared: Part) -> None:
        self._parts = [part.documents for part in (own, shared) if part.documents.size]
        self.owned = np.arange(own.documents.size + shared.documents.size) < own.documents.size
        self.eligible = _joined([own.eligible, shared.eligible], np.bool_)
        self.named = _joined([own.named, shared.named], np.bool_)
        self.worded = _joined([part.worded for part in self._parts], np.bool_)
        self._ids = _joined([part.ids for part in self._parts], np.bytes_)

    @property
    def size(self) -> int:
        return len(self.owned)

    @property
    def vectors(self) -> list[bytes]:
        """All vectors in the order of the entries, in some pieces."""
        return [part.vectors for part in self._parts]

    @property
    def without_vectors(self) -> Flags:
        return _joined([part.sizes for part in self._parts], np.int64) == 0

    @property
    def authors(self) -> list[str]:
        """Every author once, sorted."""
        return sorted({author for part in self._parts for author in part.author_names})

    @property
    def years(self) -> tuple[int, int]:
        """The first and the last year that the entries are about; of late, where they are many."""
        if not self.size:
            return 0, -1
        days = [(part.days.min(), part.days.max()) for part in self._parts]
        first, last = (
            (_EPOCH + timedelta(days=float(np.floor(day)))).year
            for day in (min(first for first, _ in days), max(last for _, last in days))
        )
        return max(first, last - _WIDEST_YEARS), last

    def forget_vectors_unlike(self, vector_bytes: int) -> None:
        """Leaves out vectors of another length: the model changed behind its name."""
        self._parts = [part.with_vectors_of(vector_bytes) for part in self._parts]

    def id_at(self, place: int) -> EntryId:
        return EntryId(UUID(bytes=self._ids[place : place + 1].tobytes()))

    def ids_at(self, places: Iterable[int] | Integers) -> list[EntryId]:
        return [self.id_at(int(place)) for place in places]

    def places_of(self, ids: Collection[EntryId]) -> Integers:
        """Where these entries are; those that are not among these are left out."""
        places = self._places(as_ids(b"".join(entry_id.bytes for entry_id in ids)))
        return places[places >= 0]

    def find(self, postings: Sequence[Postings], unindexed: Sequence[Unindexed]) -> Found:
        """The postings as places; of what is not indexed any more, those that were counted now."""
        found = {posting.term: self._read(posting) for posting in postings}
        now: dict[str, tuple[list[int], list[int]]] = {}
        for entry in unindexed:
            for term, count in entry.counts.items():
                entries, counts = now.setdefault(term, ([], []))
                entries.append(entry.place)
                counts.append(count)
        for term, (entries, counts) in now.items():
            indexed = found.get(term, (np.zeros(0, np.int64), np.zeros(0)))
            found[term] = (
                np.concatenate([indexed[0], np.array(entries, np.int64)]),
                np.concatenate([indexed[1], np.array(counts, np.float64)]),
            )
        return found

    def as_corpus(self, unindexed: Sequence[Unindexed], vector_bytes: int) -> Corpus:
        """The columns as the ranking takes them."""
        parts = self._parts
        starts = np.cumsum([0, *(part.size for part in parts)]).tolist()
        words = _joined([part.words for part in parts], np.float64)
        lengths = _joined([part.lengths for part in parts], np.float64)
        asks = _joined([part.asks for part in parts], np.bool_)
        if unindexed:
            words, lengths, asks = words.copy(), lengths.copy(), asks.copy()
        for entry in unindexed:
            words[entry.place] = sum(entry.counts.values())
            lengths[entry.place] = entry.length
            asks[entry.place] = entry.asks
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
            asks=asks,
            authors=_joined([part.authors for part in parts], np.object_),
            vector_counts=_joined([part.sizes for part in parts], np.int64) // vector_bytes,
        )

    def newest(self, places: Integers) -> list[int]:
        """The places, that of the newest entry first: ids tell when an entry was made."""
        return [int(place) for place in places[np.argsort(self._ids[places])[::-1]]]

    def _read(self, posting: Postings) -> tuple[Integers, Floats]:
        places = self._places(as_ids(posting.ids))
        counts = as_integers(posting.counts, ">i4").astype(np.float64)
        present = places >= 0
        # The words of an entry that was changed are outdated until it is indexed again.
        present[present] = self.worded[places[present]]
        return places[present], counts[present]

    def _places(self, ids: Ids) -> Integers:
        places = np.full(len(ids), -1, dtype=np.int64)
        start = 0
        for part in self._parts:
            within = part.places_of(ids)
            places = np.where(within >= 0, within + start, places)
            start += part.size
        return places


def _joined(columns: list[NDArray[Scalar]], kind: type[Scalar]) -> NDArray[Scalar]:
    if len(columns) == 1:
        return columns[0]
    return np.concatenate(columns) if columns else np.zeros(0, kind)
