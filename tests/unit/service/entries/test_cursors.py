"""Cursors: accepted exactly as they were given."""

import base64
import hashlib
import json
from collections.abc import Callable
from datetime import UTC, datetime
from uuid import UUID

import pytest

from diary_mcp.domain.errors import InvalidArgumentError
from diary_mcp.domain.fields import EntryId
from diary_mcp.service.entries.cursors import (
    decode_entries,
    decode_search,
    decode_shares,
    encode_entries,
)
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


def made_up(*values: str) -> str:
    """A cursor with the right digest, as whoever reads the source can make one."""
    payload = json.dumps(values, separators=(",", ":")).encode()
    digest = hashlib.sha256(LISTING.encode() + b"\0" + payload).digest()[:6]
    return base64.urlsafe_b64encode(digest + payload).decode().rstrip("=")


AN_ID = str(UUID(int=7))
A_TIME = "2026-01-31T18:00:00Z"


def test_a_cursor_that_is_made_up_well_is_one() -> None:
    assert decode_entries(made_up(A_TIME, AN_ID), LISTING).id == UUID(int=7)
    assert decode_shares(made_up(A_TIME, AN_ID, "group:team"), LISTING).grantee == "group:team"
    assert decode_search(made_up(A_TIME, "", "1.5"), LISTING).score == 1.5


@pytest.mark.parametrize(
    ("decode", "values"),
    [
        (decode_entries, ("yesterday", AN_ID)),
        (decode_entries, ("2026-01-31T18:00:00", AN_ID)),
        (decode_entries, ("0001-01-01T00:00:00+14:00", AN_ID)),
        (decode_entries, (A_TIME, "7")),
        (decode_entries, (A_TIME,)),
        (decode_search, (A_TIME, "", "nan")),
        (decode_search, (A_TIME, "", "-inf")),
        (decode_search, (A_TIME, '"', "1.0")),
        (decode_search, (A_TIME, "00", "1.0")),
        (decode_shares, (A_TIME, AN_ID, "bob\0")),
        (decode_shares, (A_TIME, AN_ID, "\ud800")),
        (decode_shares, (A_TIME, AN_ID, "")),
    ],
)
def test_a_cursor_that_is_made_up_badly_is_refused(
    decode: Callable[[str, str], object], values: tuple[str, ...]
) -> None:
    with pytest.raises(InvalidArgumentError):
        decode(made_up(*values), LISTING)
