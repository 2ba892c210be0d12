"""Vectors as two bits a number: whether it is above the mean, and how far. A quarter of the bytes.

How many of the first bits two codes share tells how alike the vectors are, nearly: enough to choose
which are worth a look at both. What counts of an entry is the mean of its two nearest passages: one
that has no more than two has one code, that of their mean; of others each passage has its own.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from diary_mcp.service.search.corpus import stored_vectors, unit
from diary_mcp.service.search.ranking import Integers

Codes = NDArray[np.uint64]
"""A column for each code; a row for each 64 numbers' first bits, then one for their second bits."""
Singles = NDArray[np.float32]

_IN_ONE = 2
"""How many passages have one code together, where an entry has no more."""

_ROW_BITS = 64
_ROWS_IN_BYTE = 3
"""How many rows' bits a byte can count; adding bytes is quickest."""
_BITS_OF_BYTES = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).astype(np.float32)
# What is at work at once stays in the processor's cache.
_CODES_AT_ONCE = 32 * 1024
_VECTORS_AT_ONCE = 256


@dataclass(frozen=True)
class Coder:
    """Codes of one model's vectors, relative to one mean and how far numbers are from it."""

    mean: Singles
    spread: Singles

    @staticmethod
    def of(packed: bytes, dimensions: int) -> "Coder":
        """Made for vectors like these, as they are stored; there may be none."""
        vectors = _floats(stored_vectors(packed, dimensions))
        if not len(vectors):
            return Coder(np.zeros(dimensions, np.float32), np.ones(dimensions, np.float32))
        mean = vectors.mean(axis=0)
        return Coder(mean, np.abs(vectors - mean).mean(axis=0))

    @property
    def rows(self) -> int:
        """How many rows the first bits take, and as many the second ones."""
        return -(-len(self.mean) // _ROW_BITS)

    @property
    def vector_bytes(self) -> int:
        """How many bytes one stored vector takes."""
        return stored_vectors(b"", len(self.mean)).itemsize

    def encode(self, packed: bytes, counts: Integers) -> Codes:
        """Of vectors as they are stored; `counts` says how many each entry has."""
        vectors = stored_vectors(packed, len(self.mean))
        firsts, have_next = _coded(counts)
        codes = np.empty((2 * self.rows, len(firsts)), dtype=np.uint64)
        for start in range(0, len(firsts), _VECTORS_AT_ONCE):
            portion = firsts[start : start + _VECTORS_AT_ONCE]
            paired = have_next[start : start + _VECTORS_AT_ONCE]
            means = _floats(vectors[portion])
            means[paired] = (means[paired] + _floats(vectors[portion[paired] + 1])) / 2
            codes[:, start : start + len(portion)] = self._pack(means)
        return codes

    def shared_bits(self, codes: Codes, query: bytes) -> NDArray[np.uint16]:
        """How many of the first bits each code shares with that of the query's vector."""
        asked = self._pack(unit(query)[None])[:, 0]
        shared = np.empty(codes.shape[1], dtype=np.uint16)
        differing = np.empty(min(_CODES_AT_ONCE, len(shared)), dtype=np.uint64)
        bits = np.empty(len(differing), dtype=np.uint8)
        some = np.empty(len(differing), dtype=np.uint8)
        for start in range(0, len(shared), _CODES_AT_ONCE):
            portion = shared[start : start + _CODES_AT_ONCE]
            size = len(portion)
            portion[:] = self.rows * _ROW_BITS
            for row in range(0, self.rows, _ROWS_IN_BYTE):
                some[:] = 0
                for each in range(row, min(row + _ROWS_IN_BYTE, self.rows)):
                    np.bitwise_xor(
                        codes[each, start : start + size], asked[each], out=differing[:size]
                    )
                    np.bitwise_count(differing[:size], out=bits[:size])
                    some += bits
                portion -= some[:size]
        return shared

    def project(self, codes: Codes, query: bytes) -> Singles:
        """How alike each is, to the query's vector itself: far more exact, and much more work.

        Two bits number four steps from far below the mean to far above it, about equally apart.
        """
        worth = np.zeros((2, self.rows * _ROW_BITS), dtype=np.float32)
        worth[:, : len(self.mean)] = unit(query) * self.spread
        worth[0] *= 2
        # Eight bits are looked up at once.
        worths = worth.reshape(-1, 8) @ _BITS_OF_BYTES.T
        columns = np.ascontiguousarray(codes).view(np.uint8).reshape(*codes.shape, _ROW_BITS // 8)
        projected = np.zeros(codes.shape[1], dtype=np.float32)
        for row, of_row in zip(columns, worths.reshape(len(codes), -1, 256), strict=True):
            for byte, of_byte in zip(row.T, of_row, strict=True):
                projected += of_byte.take(byte)
        return projected

    def _pack(self, vectors: Singles) -> Codes:
        bits = np.zeros((len(vectors), 2, self.rows * _ROW_BITS), dtype=np.bool_)
        off = vectors - self.mean
        above = off > 0
        bits[:, 0, : len(self.mean)] = above
        bits[:, 1, : len(self.mean)] = above == (np.abs(off) > self.spread)
        return np.packbits(bits.reshape(len(vectors), -1), axis=1).view(np.uint64).T


def count_codes(counts: Integers) -> Integers:
    """How many codes entries with so many vectors have."""
    return np.where(counts > _IN_ONE, counts, np.minimum(counts, 1))


def _floats(vectors: NDArray[np.void]) -> Singles:
    return vectors["steps"] * vectors["scale"][:, None]


def _coded(counts: Integers) -> tuple[Integers, NDArray[np.bool_]]:
    """Of which vector each code is, and whether also of the next one."""
    of_each = count_codes(counts)
    entries = np.repeat(np.arange(len(counts)), of_each)
    turns = np.arange(len(entries)) - np.repeat(np.cumsum(of_each) - of_each, of_each)
    starts = np.cumsum(counts) - counts
    return starts[entries] + turns, counts[entries] == _IN_ONE
