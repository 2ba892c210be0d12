"""Codes of vectors: what they tell of how alike vectors are."""

import numpy as np
import pytest

from diary_mcp.service.index.indexer import pack_vectors
from diary_mcp.service.search.code_table import CodeTable
from diary_mcp.service.search.codes import Coder
from diary_mcp.service.search.corpus import compare

COUNTS = np.array([1, 0, 3, 5, 1, 3, 4])
"""How many codes each entry has."""


def packed(count: int, dimensions: int) -> bytes:
    """Vectors that have something in common, as those of a model have."""
    randomly = np.random.default_rng(count)
    drawn = randomly.standard_normal((count, dimensions)) * randomly.uniform(0.2, 2, dimensions)
    return pack_vectors([row.tobytes() for row in (drawn + 0.5).astype("<f4")])


def asked(dimensions: int) -> bytes:
    return np.random.default_rng(0).standard_normal(dimensions).astype("<f4").tobytes()


@pytest.mark.parametrize("dimensions", [384, 100], ids=["whole rows", "half a row"])
def test_both_bits_tell_more_than_the_first_and_leave_little_untold(dimensions: int) -> None:
    vectors, query = packed(500, dimensions), asked(dimensions)
    coder = Coder.of(vectors, dimensions)
    codes = coder.encode(vectors, np.ones(500, np.int64))
    cosines = compare(vectors, query)

    by_first = np.corrcoef(coder.shared_bits(codes, query), cosines)[0, 1]
    by_both = np.corrcoef(coder.project(codes, query), cosines)[0, 1]

    assert by_first < 0.9
    assert by_both > 0.92


def test_what_counts_of_an_entry_are_its_two_nearest_codes() -> None:
    vectors, query = packed(int(COUNTS.sum()), 64), asked(64)
    coder = Coder.of(vectors, 64)
    codes = coder.encode(vectors, np.ones(int(COUNTS.sum()), np.int64))
    table = CodeTable(
        [codes[:, :4], codes[:, 4:]], COUNTS.astype(np.uint16), np.arange(len(COUNTS))
    )
    having = np.flatnonzero(COUNTS)

    shared = table.share_bits(coder, query)
    projected = table.project(coder, having, query)

    assert shared.tolist() == best_two(coder.shared_bits(codes, query).astype(np.float64))
    expected = np.array(best_two(coder.project(codes, query).astype(np.float64)))[having]
    assert projected == pytest.approx(expected, rel=1e-5)


def best_two(measures: np.ndarray[tuple[int], np.dtype[np.float64]]) -> list[float]:
    """The sum of the two greatest of each entry, or twice its only one."""
    sums: list[float] = []
    for own in np.split(measures, np.cumsum(COUNTS)[:-1]):
        best = sorted(own.tolist())[-2:]
        sums.append(sum(best) * (2 if len(best) == 1 else 1))
    return sums
