"""The codes of all slots of an outline: the first of each, then the second of those that have one.

So what all have stands together, and is gone through in one go: all first bits row by row. The
second ones, of which few are looked at, stand code by code.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from diary_mcp.service.search.codes import Coder, Codes, Singles
from diary_mcp.service.search.ranking import Flags, Integers

SharedBits = NDArray[np.uint16]
Measure = TypeVar("Measure", np.uint16, np.float32)


@dataclass(frozen=True)
class _Turn:
    """The first code of all slots that have one, or the second, and so on."""

    holders: NDArray[np.intp]
    """Sorted; as numpy looks them up, or each search would convert them."""
    start: int
    among_several: NDArray[np.intp]
    """Where these are among those that have a second one."""

    @property
    def end(self) -> int:
        return self.start + len(self.holders)

    def places(self, slots: Integers, size: int) -> Integers:
        """Where the codes of these are, each of which has one, where there are so many slots."""
        if len(self.holders) == size:
            return self.start + slots
        return self.start + np.searchsorted(self.holders, slots)


class CodeTable:
    """Codes by slot.

    Args:
        codes: entry after entry, in the parts in which they were read.
        counts: how many each entry has.
        line: which entry is in each slot.
    """

    def __init__(self, codes: Sequence[Codes], counts: NDArray[np.uint16], line: Integers) -> None:
        starts = (np.cumsum(counts, dtype=np.int64) - counts)[line]
        self.counts = counts[line]
        self._turns: list[_Turn] = []
        order: list[Integers] = [np.zeros(0, np.int64)]
        for turn in range(int(counts.max(initial=0))):
            holders = np.flatnonzero(self.counts > turn)
            among = np.flatnonzero(self.counts[self.counts > 1] > turn) if turn else holders[:0]
            self._turns.append(_Turn(holders, sum(map(len, order)), among))
            order.append(starts[holders] + turn)
        # Row by row: all of them together are most of what an outline takes.
        places = np.concatenate(order)
        rows = len(codes[0]) // 2
        self._firsts = np.empty((rows, len(places)), dtype=np.uint64)
        self._seconds = np.empty((len(places), rows), dtype=np.uint64)
        for row, placed in enumerate((*self._firsts, *self._seconds.T)):
            placed[:] = np.concatenate([part[row] for part in codes])[places]

    @property
    def size(self) -> int:
        return len(self.counts)

    @property
    def size_bytes(self) -> int:
        holders = sum(turn.holders.nbytes + turn.among_several.nbytes for turn in self._turns)
        return self._firsts.nbytes + self._seconds.nbytes + self.counts.nbytes + holders

    @cached_property
    def without(self) -> Integers:
        """The slots that have none."""
        return np.flatnonzero(self.counts == 0)

    def take(self, keep: Flags) -> Codes:
        """Those of the flagged slots, slot after slot."""
        turns = np.repeat(np.arange(len(self._turns)), [len(each.holders) for each in self._turns])
        holders = np.concatenate([each.holders for each in self._turns] or [np.zeros(0, np.intp)])
        order = np.lexsort((turns, holders))
        return self._at(order[keep[holders[order]]])

    def share_bits(self, coder: Coder, query: bytes) -> SharedBits:
        """How many bits the two codes of each that are nearest to the query share with it.

        Of a slot that has one alone, twice as many as that; 0 of one without.
        """
        if not self._turns:
            return np.zeros(self.size, dtype=np.uint16)
        shared = coder.shared_bits(self._firsts, query)
        return _sum_best_two(
            self.size,
            [shared[turn.start : turn.end] for turn in self._turns],
            [turn.holders for turn in self._turns[:2]],
            [turn.among_several for turn in self._turns[2:]],
        )

    def project(self, coder: Coder, slots: Integers, query: bytes) -> Singles:
        """The same by `Coder.project`, of a few slots that have codes, sorted."""
        if not len(slots):
            return np.zeros(0, dtype=np.float32)
        counts = self.counts[slots]
        turns = self._turns[: int(counts.max(initial=0))]
        having = [np.flatnonzero(counts > number) for number in range(len(turns))]
        places = [
            turn.places(slots[have], self.size) for turn, have in zip(turns, having, strict=True)
        ]
        projected = coder.project(self._at(np.concatenate(places)), query)
        ends = np.cumsum([len(have) for have in having])[:-1]
        several = counts[counts > 1]
        return _sum_best_two(
            len(slots),
            np.split(projected, ends),
            having[:2],
            [np.flatnonzero(several > number) for number in range(2, len(turns))],
        )

    def _at(self, places: Integers) -> Codes:
        return np.concatenate([self._firsts.take(places, axis=1), self._seconds[places].T])


def _sum_best_two(
    size: int,
    measured: Sequence[NDArray[Measure]],
    having: Sequence[NDArray[np.integer]],
    among_several: Sequence[NDArray[np.integer]],
) -> NDArray[Measure]:
    """The sum of the two greatest measures of each; twice its only one where it has no other.

    Args:
        size: of how many.
        measured: the first of all that have one, then the second of fewer, and so on.
        having: who has a first one, and who a second.
        among_several: which of those with a second one has a third, and so on.
    """
    first, *others = measured
    if len(first) < size:
        first = np.zeros(size, first.dtype)
        first[having[0]] = measured[0]
    sums = np.add(first, first, dtype=first.dtype)
    if not others:
        return sums
    best, second = first[having[1]], others[0]
    best, second = np.maximum(best, second), np.minimum(best, second)
    for places, measures in zip(among_several, others[1:], strict=True):
        # Few have several, and most of these equally many.
        at = slice(None) if len(places) == len(best) else places
        lesser = np.minimum(best[at], measures)
        best[at] = np.maximum(best[at], measures)
        second[at] = np.maximum(second[at], lesser)
    sums[having[1]] = best + second
    return sums
