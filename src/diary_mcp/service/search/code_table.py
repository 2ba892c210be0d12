"""The codes of all slots of an outline: the first of each, then the second of those that have one.

So what all have stands together, and is gone through in one go.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from diary_mcp.service.search.codes import Coder, Codes, Singles
from diary_mcp.service.search.ranking import Flags, Integers

Measure = TypeVar("Measure", np.uint16, np.float32)


@dataclass(frozen=True)
class _Turn:
    """The first code of all slots that have one, or the second, and so on."""

    holders: NDArray[np.uint32]
    """Sorted."""
    start: int

    @property
    def end(self) -> int:
        return self.start + len(self.holders)

    def places(self, slots: Integers, size: int) -> Integers:
        """Where the codes of these are, each of which has one, where there are so many slots."""
        if len(self.holders) == size:
            return self.start + slots
        # Of the same type: else all holders would be converted first.
        return self.start + np.searchsorted(self.holders, slots.astype(self.holders.dtype))


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
            self._turns.append(_Turn(holders.astype(np.uint32), sum(map(len, order))))
            order.append(starts[holders] + turn)
        # Row by row: all of them together are most of what an outline takes.
        places = np.concatenate(order)
        self._codes = np.empty((len(codes[0]), len(places)), dtype=np.uint64)
        for row, placed in enumerate(self._codes):
            placed[:] = np.concatenate([part[row] for part in codes])[places]

    @property
    def size(self) -> int:
        return len(self.counts)

    @property
    def size_bytes(self) -> int:
        holders = sum(turn.holders.nbytes for turn in self._turns)
        return self._codes.nbytes + self.counts.nbytes + holders

    @cached_property
    def without(self) -> Integers:
        """The slots that have none."""
        return np.flatnonzero(self.counts == 0)

    def take(self, keep: Flags) -> Codes:
        """Those of the flagged slots, slot after slot."""
        turns = np.repeat(np.arange(len(self._turns)), [len(each.holders) for each in self._turns])
        holders = np.concatenate([each.holders for each in self._turns] or [np.zeros(0, np.uint32)])
        order = np.lexsort((turns, holders))
        return self._codes[:, order[keep[holders[order]]]]

    def share_bits(self, coder: Coder, query: bytes) -> NDArray[np.uint16]:
        """How many bits the two codes of each that are nearest to the query share with it.

        Of a slot that has one alone, twice as many as that; 0 of one without.
        """
        if not self._turns:
            return np.zeros(self.size, dtype=np.uint16)
        shared = coder.shared_bits(self._codes, query)
        return _sum_best_two(
            self.size, [(turn.holders, shared[turn.start : turn.end]) for turn in self._turns]
        )

    def project(self, coder: Coder, slots: Integers, query: bytes) -> Singles:
        """The same by `Coder.project`, of a few slots that have codes, sorted."""
        if not len(slots):
            return np.zeros(0, dtype=np.float32)
        measured: list[tuple[Integers, Singles]] = []
        counts = self.counts[slots]
        for number, turn in enumerate(self._turns[: int(counts.max(initial=0))]):
            having = np.flatnonzero(counts > number)
            codes = self._codes[:, turn.places(slots[having], self.size)]
            measured.append((having, coder.project(codes, query)))
        return _sum_best_two(len(slots), measured)


def _sum_best_two(
    size: int, measured: Sequence[tuple[NDArray[np.integer], NDArray[Measure]]]
) -> NDArray[Measure]:
    """The sum of the two greatest measures of each; twice its only one where it has no other.

    One has the first, fewer of them a second, and so on.
    """
    (having, first), *others = measured
    if len(having) < size:
        first = np.zeros(size, first.dtype)
        first[having] = measured[0][1]
    sums = np.add(first, first, dtype=first.dtype)
    if not others:
        return sums
    # Few have several, and most of these equally many.
    several, second = others[0]
    best = first[several]
    best, second = np.maximum(best, second), np.minimum(best, second)
    for having, measures in others[1:]:
        places = slice(None) if len(having) == len(several) else np.searchsorted(several, having)
        lesser = np.minimum(best[places], measures)
        best[places] = np.maximum(best[places], measures)
        second[places] = np.maximum(second[places], lesser)
    sums[several] = best + second
    return sums
