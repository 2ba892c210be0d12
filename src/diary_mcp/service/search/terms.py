"""Where the words of a large diary stand, by the slots of its outline."""

from collections import OrderedDict
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from diary_mcp.service.search.ranking import Floats, Integers

MAX_BYTES = 64 * 2**20
"""How much of the terms of one outline a process keeps."""

_BESIDE_COLUMNS = 200
_COUNT_BITS = 16


@dataclass(frozen=True)
class Terms:
    """Where a term occurs, sorted, and how often."""

    slots: NDArray[np.uint32]
    counts: NDArray[np.uint16]

    @staticmethod
    def nowhere() -> "Terms":
        """Of a term that no entry has."""
        return Terms(np.zeros(0, np.uint32), np.zeros(0, np.uint16))

    @staticmethod
    def at(slots: Integers, counts: Integers) -> "Terms":
        """Of what was found in any order."""
        # Sorted as one number each, which is far quicker than by their order.
        found = slots.astype(np.uint64) << np.uint64(_COUNT_BITS)
        found |= counts.clip(1, 2**_COUNT_BITS - 1).astype(np.uint64)
        found.sort()
        return Terms((found >> np.uint64(_COUNT_BITS)).astype(np.uint32), found.astype(np.uint16))

    @property
    def size_bytes(self) -> int:
        return self.slots.nbytes + self.counts.nbytes + _BESIDE_COLUMNS

    def among(self, slots: Integers) -> tuple[Integers, Floats]:
        """Which of these slots have it, by their places, and how often; a slot of -1 has not."""
        if not len(self.slots):
            return np.zeros(0, np.int64), np.zeros(0)
        # Of the same type, else all of them would be converted; -1 becomes what no slot is.
        wanted = slots.astype(self.slots.dtype)
        places = np.minimum(np.searchsorted(self.slots, wanted), len(self.slots) - 1)
        indices = np.flatnonzero(self.slots[places] == wanted)
        return indices, self.counts[places[indices]].astype(np.float64)


class KeptTerms:
    """The terms that were looked up last, within `MAX_BYTES`."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, Terms] = OrderedDict()
        self._size_bytes = 0

    def find(self, terms: Collection[str]) -> dict[str, Terms]:
        """Those of these that are kept."""
        found = {term: self._kept[term] for term in terms if term in self._kept}
        for term in found:
            self._kept.move_to_end(term)
        return found

    def put(self, terms: Mapping[str, Terms]) -> None:
        """Keeps these, and drops those that were not asked for longest."""
        for term, where in terms.items():
            before = self._kept.pop(term, None)
            self._size_bytes += where.size_bytes - (before.size_bytes if before else 0)
            self._kept[term] = where
        while self._size_bytes > MAX_BYTES:
            _, dropped = self._kept.popitem(last=False)
            self._size_bytes -= dropped.size_bytes
