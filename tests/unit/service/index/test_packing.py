"""Vectors are stored as bytes, and compared as they were given."""

import struct
from random import Random

import pytest

from diary_mcp.service.index.indexer import pack_vectors
from diary_mcp.service.search.corpus import compare, vector_bytes

DIMENSIONS = 384


def vector(seed: int) -> bytes:
    randomly = Random(seed)
    return struct.pack(f"<{DIMENSIONS}f", *(randomly.gauss() for _ in range(DIMENSIONS)))


def cosine(one: bytes, other: bytes) -> float:
    pairs = [*zip(struct.iter_unpack("<f", one), struct.iter_unpack("<f", other), strict=True)]
    products = sum(a * b for (a,), (b,) in pairs)
    return products / (sum(a * a for (a,), _ in pairs) * sum(b * b for _, (b,) in pairs)) ** 0.5


def test_packed_vectors_have_the_cosines_of_those_that_were_packed() -> None:
    query = vector(0)
    stored = [vector(seed) for seed in range(20)]

    packed = pack_vectors(stored)

    assert len(packed) == 20 * vector_bytes(query)
    assert compare(packed, query) == pytest.approx(
        [cosine(query, each) for each in stored], abs=0.01
    )


def test_a_vector_of_nothing_resembles_nothing() -> None:
    nothing = bytes(4 * DIMENSIONS)

    assert compare(pack_vectors([nothing]), vector(1)).tolist() == [0]
