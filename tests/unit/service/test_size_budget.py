"""Sharing little room among lists."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diary_mcp.service.size_budget import share_room, shorten, size_bytes

SIZES = st.lists(st.lists(st.integers(1, 50), max_size=20), max_size=5)


CASES: list[tuple[list[list[int]], int, list[int]]] = [
    ([], 10, []),
    ([[], []], 10, [0, 0]),
    ([[1, 1, 1], [1, 1, 1]], 10, [3, 3]),
    ([[1, 1, 1], [1, 1, 1]], 3, [2, 1]),
    ([[5, 1], [1, 1, 1]], 4, [0, 3]),
    ([[1] * 9, [1]], 5, [4, 1]),
    ([[1], [1]], 0, [0, 0]),
    ([[1], [1]], -1, [0, 0]),
]


@pytest.mark.parametrize(("sizes", "room", "kept"), CASES, ids=str)
def test_lists_take_turns_until_there_is_no_room(
    sizes: list[list[int]], room: int, kept: list[int]
) -> None:
    assert share_room(sizes, room) == kept


@given(SIZES, st.integers(0, 500))
def test_what_is_kept_fits_and_a_list_ends_only_where_its_next_item_does_not_fit(
    sizes: list[list[int]], room: int
) -> None:
    kept = share_room(sizes, room)

    used = sum(sum(items[:count]) for items, count in zip(sizes, kept, strict=True))
    assert used <= room
    assert all(count <= len(items) for items, count in zip(sizes, kept, strict=True))
    if all(size == 1 for items in sizes for size in items):
        ended = [count for items, count in zip(sizes, kept, strict=True) if count < len(items)]
        assert all(abs(one - other) <= 1 for one, other in pairwise(ended))


@given(st.text(st.characters(exclude_categories=["Cs"])), st.integers(3, 60))
def test_a_shortened_text_fits_and_begins_like_the_text(text: str, most_bytes: int) -> None:
    short = shorten(text, most_bytes)

    assert size_bytes(short) <= most_bytes
    assert short == text or (short.endswith("…") and text.startswith(short[:-1]))
