"""Where the words of a large diary stand."""

import numpy as np
import pytest

from diary_mcp.service.search import terms
from diary_mcp.service.search.terms import KeptTerms, Terms

SIZE = 10_000


@pytest.mark.parametrize("found", [5, 5_000], ids=["few", "many"])
def test_where_a_word_stands_is_sorted_with_how_often_in_whatever_order_it_was_found(
    found: int,
) -> None:
    slots = np.random.default_rng(found).permutation(SIZE)[:found]
    counts = slots % 7 + 1

    where = Terms.at(slots, counts)

    assert where.slots.tolist() == sorted(slots.tolist())
    assert where.counts.tolist() == (where.slots % 7 + 1).tolist()


def test_more_than_can_be_counted_is_as_much_as_can() -> None:
    assert Terms.at(np.zeros(1, np.int64), np.array([100_000])).counts.tolist() == [65_535]


def test_of_what_is_too_much_to_keep_is_dropped_what_nobody_has_asked_for_longest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    where, kept = Terms.at(np.arange(SIZE), np.ones(SIZE, np.int64)), KeptTerms()
    monkeypatch.setattr(terms, "MAX_BYTES", 3 * where.size_bytes)
    kept.put({"first": where, "second": where, "third": where})
    kept.find(["first"])

    kept.put({"first": where, "fourth": where})
    kept.put({"third": Terms.nowhere()})

    assert set(kept.find(["first", "second", "third", "fourth"])) == {"first", "third", "fourth"}
