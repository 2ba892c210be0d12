"""Cursors: accepted exactly as they were given."""

from datetime import UTC, datetime
from uuid import UUID

import pytest

from diary_mcp.domain.errors import InvalidArgumentError
from diary_mcp.domain.fields import EntryId
from diary_mcp.service.entries.cursors import decode_entries, encode_entries
from diary_mcp.service.ports.entries import EntryPosition

LISTING = "list:alice:{}"
# With and without microseconds: cursors of two lengths.
DATES = [datetime(2026, 1, 31, 18, tzinfo=UTC), datetime(2026, 1, 31, 18, 0, 0, 250, UTC)]


def cursors() -> list[tuple[EntryPosition, str]]:
    positions = [EntryPosition(date, EntryId(UUID(int=7))) for date in DATES]
    return [(position, encode_entries(position, LISTING)) for position in positions]


def test_a_cursor_leads_back_to_its_position() -> None:
    for position, cursor in cursors():
        assert decode_entries(cursor, LISTING) == position


def test_a_cursor_of_which_any_character_differs_is_refused() -> None:
    for _, cursor in cursors():
        for index, character in enumerate(cursor):
            for other in {"A", "B", "_"} - {character}:
                damaged = cursor[:index] + other + cursor[index + 1 :]
                with pytest.raises(InvalidArgumentError):
                    decode_entries(damaged, LISTING)


@pytest.mark.parametrize("addition", ["=", "==", "A", "AAAA", " ", "\n", "é"])
def test_a_cursor_with_something_behind_it_is_refused(addition: str) -> None:
    for _, cursor in cursors():
        with pytest.raises(InvalidArgumentError):
            decode_entries(cursor + addition, LISTING)
