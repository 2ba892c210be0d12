"""The outline of a large diary: of each entry what it takes to choose those worth reading.

Columns again, about 150 bytes an entry of one or two passages, in the order of sessions, so that
neighbours stand side by side. What a row says is only ever near the truth: whoever is chosen is
read and ranked as any other entry.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from diary_mcp.service.search.cache import Documents, Ids
from diary_mcp.service.search.code_table import CodeTable
from diary_mcp.service.search.codes import Coder, Codes, Singles, count_codes
from diary_mcp.service.search.ranking import Flags, Floats, Integers, Weights
from diary_mcp.service.search.terms import Terms

_HALF = np.dtype(">u8")
_NOWHERE = -1


@dataclass(frozen=True)
class Columns:
    """Some entries' rows, in the order in which they were read."""

    ids: Ids
    days: Floats
    sessions: Integers
    lengths: Singles
    words: Singles
    is_question: Flags
    worded: Flags
    authors: NDArray[np.object_]
    codes: Codes
    code_counts: NDArray[np.uint16]


class Outline:
    """An outline, whose rows are called slots. Nothing in it changes.

    Args:
        sample: entries drawn at random, in full; all of them where they are few.
    """

    def __init__(self, parts: Sequence[Columns], coder: Coder, sample: Documents) -> None:
        self.coder = coder
        self.sample = sample
        sessions = np.concatenate([part.sessions for part in parts])
        days = np.concatenate([part.days for part in parts])
        ids: Ids = np.concatenate([part.ids for part in parts])
        # As the ranking has it, or others than its neighbours would be read.
        firsts, seconds = _halves(ids).T
        line = np.lexsort((seconds, firsts, days, sessions))
        self.sessions = sessions[line]
        self.days = days[line]
        self.ids = ids[line]
        self.lengths: Singles = np.concatenate([part.lengths for part in parts])[line]
        self.words: Singles = np.concatenate([part.words for part in parts])[line]
        self.is_question: Flags = np.concatenate([part.is_question for part in parts])[line]
        self.worded: Flags = np.concatenate([part.worded for part in parts])[line]
        named, authors = _numbered([part.authors for part in parts])
        self.author_names = named
        self.authors = authors[line]
        self.codes = CodeTable(
            [part.codes for part in parts],
            np.concatenate([part.code_counts for part in parts]),
            line,
        )

    @property
    def size(self) -> int:
        return len(self.days)

    @property
    def size_bytes(self) -> int:
        columns = (
            self.sessions, self.days, self.ids, self.lengths, self.words, self.is_question,
            self.worded, self.authors, *self._by_id,
        )  # fmt: skip
        in_columns = sum(column.nbytes for column in columns)
        return in_columns + self.codes.size_bytes + self.sample.size_bytes

    @cached_property
    def average_words(self) -> float:
        return float(self.words.mean())

    @cached_property
    def unworded(self) -> Integers:
        """The slots whose words are not in the index."""
        return np.flatnonzero(~self.worded)

    @cached_property
    def sample_slots(self) -> Integers:
        """Where the entries of the sample are."""
        return self.find(self.sample.ids)

    @cached_property
    def different_days(self) -> tuple[Floats, NDArray[np.int32]]:
        """Every day that entries are about once, and which of these each is about."""
        days, which = np.unique(np.floor(self.days), return_inverse=True)
        return days, which.astype(np.int32)

    @cached_property
    def years(self) -> frozenset[int]:
        """The years that the entries are about."""
        years = np.unique(self.days.astype("datetime64[D]").astype("datetime64[Y]"))
        return frozenset((years.astype(np.int64) + 1970).tolist())

    def find(self, ids: Ids) -> Integers:
        """The slot of each of these ids; -1 where it has none."""
        if not self.size:
            return np.full(len(ids), _NOWHERE, dtype=np.int64)
        firsts, slots = self._by_id
        wanted = np.ascontiguousarray(_halves(ids)[:, 0])
        # As they are stored: texts of bytes take long to compare.
        seconds, wanted_seconds = _second_halves(self.ids), _second_halves(ids)
        places = np.searchsorted(firsts, wanted)
        # Mostly the first half tells; those made in the same moment are gone through.
        nearest = np.minimum(places, self.size - 1)
        at = slots[nearest]
        is_it = (firsts[nearest] == wanted) & (seconds[at] == wanted_seconds)
        found = np.where(is_it, at, np.int64(_NOWHERE))
        left = np.flatnonzero(found == _NOWHERE)
        while len(left):
            left = left[places[left] < self.size]
            left = left[firsts[places[left]] == wanted[left]]
            at = slots[places[left]]
            is_it = seconds[at] == wanted_seconds[left]
            found[left[is_it]] = at[is_it]
            left = left[~is_it]
            places[left] += 1
        return found

    def columns(self, keep: Flags) -> Columns:
        """The rows of these slots, as they were read."""
        return Columns(
            self.ids[keep], self.days[keep], self.sessions[keep], self.lengths[keep],
            self.words[keep], self.is_question[keep], self.worded[keep],
            np.array(self.author_names, dtype=np.object_)[self.authors[keep]],
            self.codes.take(keep), self.codes.counts[keep],
        )  # fmt: skip

    @cached_property
    def ages(self) -> Floats:
        """The greater, the newer the entry: its id tells when it was made."""
        return _halves(self.ids)[:, 0].astype(np.float64)

    def having_all(self, terms: Sequence[str], found: Mapping[str, Terms]) -> Flags:
        """Which slots have all of the terms."""
        having = np.ones(self.size, dtype=np.bool_)
        for term in terms:
            present = np.zeros(self.size, dtype=np.bool_)
            if term in found:
                present[found[term].slots] = True
            having &= present
        return having

    def around(self, slots: Integers, weights: Weights) -> Integers:
        """These slots, and those beside them in their sessions, sorted."""
        near = np.zeros(self.size, dtype=np.bool_)
        near[slots] = True
        for distance in (*range(-len(weights.before), 0), *range(1, len(weights.after) + 1)):
            beside, together = self.beside(slots, distance)
            near[beside[together]] = True
        return np.flatnonzero(near)

    def beside(self, slots: Integers, distance: int) -> tuple[Integers, Flags]:
        """What stands so far from each, and whether that is in the same session."""
        beside = slots + distance
        within = beside.clip(0, self.size - 1)
        sessions = self.sessions[slots]
        together = (self.sessions[within] == sessions) & (sessions != 0) & (within == beside)
        return within, together

    @cached_property
    def _by_id(self) -> tuple[NDArray[np.uint64], NDArray[np.uint32]]:
        """The first halves of all ids, sorted, and whose they are."""
        firsts = _halves(self.ids)[:, 0]
        slots = np.argsort(firsts, kind="stable")
        return firsts[slots], slots.astype(np.uint32)


def as_columns(documents: Documents, coder: Coder) -> Columns:
    """The rows of these entries."""
    size = coder.vector_bytes
    documents = documents.with_vectors_of(size)
    counts = documents.sizes // size
    return Columns(
        documents.ids,
        documents.days,
        documents.sessions,
        documents.lengths.astype(np.float32),
        documents.words.astype(np.float32),
        documents.is_question,
        documents.worded,
        documents.authors,
        coder.encode(documents.vectors, counts),
        count_codes(counts).astype(np.uint16),
    )


def _halves(ids: Ids) -> NDArray[np.uint64]:
    """Both halves of each id as numbers, in two columns."""
    return np.frombuffer(ids.tobytes(), dtype=_HALF).astype(np.uint64).reshape(-1, 2)


def _second_halves(ids: Ids) -> NDArray[np.uint64]:
    """Eight bytes of each id, to be compared alone."""
    return np.ascontiguousarray(ids).view(np.uint64)[1::2]


def _numbered(
    parts: Sequence[NDArray[np.object_]],
) -> tuple[tuple[str, ...], NDArray[np.int32]]:
    """Every author once, and for each entry the number of its own."""
    numbers: dict[str, int] = {}
    columns = [
        np.fromiter(
            (numbers.setdefault(author, len(numbers)) for author in part), np.int32, len(part)
        )
        for part in parts
    ]
    return tuple(numbers), np.concatenate(columns)
