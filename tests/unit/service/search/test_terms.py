"""Where the words of a large diary stand."""

import numpy as np
import pytest

from diary_mcp.service.search.terms import Terms

SIZE = 10_000


@pytest.mark.parametrize("found", [5, 5_000], ids=["few", "many"])
def test_where_a_word_stands_is_sorted_with_how_often_in_whatever_order_it_was_found(
    found: int,
) -> None:
    slots = np.random.default_rng(found).permutation(SIZE)[:found]
    counts = slots % 7 + 1

    terms = Terms.at(slots, counts, SIZE)

    assert terms.slots.tolist() == sorted(slots.tolist())
    assert terms.counts.tolist() == (terms.slots % 7 + 1).tolist()


@pytest.mark.parametrize("size", [1, SIZE], ids=["dense", "sparse"])
def test_more_than_can_be_counted_is_as_much_as_can(size: int) -> None:
    assert Terms.at(np.zeros(1, np.int64), np.array([100_000]), size).counts.tolist() == [65_535]
