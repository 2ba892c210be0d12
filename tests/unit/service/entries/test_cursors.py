"""Cursors: accepted exactly as they were given."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from datetime import UTC, datetime
from uuid import UUID

import pytest

from diary_mcp.domain.errors import InvalidArgumentError
from diary_mcp.domain.fields import EntryId
from diary_mcp.service.entries.cursors import Cursors
from diary_mcp.service.ports.entries import EntryPosition

LISTING = "list:alice:{}"
KEY = b"of the database"
CURSORS = Cursors(KEY)
# With and without microseconds: cursors of two lengths.
DATES = [datetime(2026, 1, 31, 18, tzinfo=UTC), datetime(2026, 1, 31, 18, 0, 0, 250, UTC)]


def cursors() -> list[tuple[EntryPosition, str]]:
    positions = [EntryPosition(date, EntryId(UUID(int=7))) for date in DATES]
    return [(position, CURSORS.encode_entries(position, LISTING)) for position in positions]


def test_a_cursor_leads_back_to_its_position() -> None:
    for position, cursor in cursors():
        assert CURSORS.decode_entries(cursor, LISTING) == position


def test_a_cursor_of_which_any_character_differs_is_refused() -> None:
    for _, cursor in cursors():
        for index, character in enumerate(cursor):
            for other in {"A", "B", "_"} - {character}:
                damaged = cursor[:index] + other + cursor[index + 1 :]
                with pytest.raises(InvalidArgumentError):
                    CURSORS.decode_entries(damaged, LISTING)


@pytest.mark.parametrize("addition", ["=", "==", "A", "AAAA", " ", "\n", "é"])
def test_a_cursor_with_something_behind_it_is_refused(addition: str) -> None:
    for _, cursor in cursors():
        with pytest.raises(InvalidArgumentError):
            CURSORS.decode_entries(cursor + addition, LISTING)


def signed(*values: str, key: bytes = KEY) -> str:
    """A cursor with the right signature, as only who has the key can make one."""
    payload = json.dumps(values, separators=(",", ":")).encode()
    signature = hmac.digest(key, LISTING.encode() + b"\0" + payload, "sha256")[:6]
    return base64.urlsafe_b64encode(signature + payload).decode().rstrip("=")


def test_a_cursor_of_another_agent_or_another_list_is_refused() -> None:
    for _, cursor in cursors():
        for listing in ("list:bob:{}", 'list:alice:{"tags":["db"]}', "search:alice:{}"):
            with pytest.raises(InvalidArgumentError):
                CURSORS.decode_entries(cursor, listing)


def test_every_process_with_the_key_reads_a_cursor() -> None:
    for position, cursor in cursors():
        assert Cursors(KEY).decode_entries(cursor, LISTING) == position


def test_a_cursor_that_is_made_up_well_is_refused() -> None:
    """As whoever reads the source can make one, with a plain digest or a key of his own."""
    payload = json.dumps([A_TIME, AN_ID], separators=(",", ":")).encode()
    digest = hashlib.sha256(LISTING.encode() + b"\0" + payload).digest()[:6]
    plain = base64.urlsafe_b64encode(digest + payload).decode().rstrip("=")
    for made_up in (plain, signed(A_TIME, AN_ID, key=b"another"), signed(A_TIME, AN_ID, key=b"")):
        with pytest.raises(InvalidArgumentError):
            CURSORS.decode_entries(made_up, LISTING)


AN_ID = str(UUID(int=7))
A_TIME = "2026-01-31T18:00:00Z"


@pytest.mark.parametrize(
    ("decode", "values"),
    [
        (CURSORS.decode_entries, ("yesterday", AN_ID)),
        (CURSORS.decode_entries, ("2026-01-31T18:00:00", AN_ID)),
        (CURSORS.decode_entries, ("0001-01-01T00:00:00+14:00", AN_ID)),
        (CURSORS.decode_entries, (A_TIME, "7")),
        (CURSORS.decode_entries, (A_TIME,)),
        (CURSORS.decode_search, (A_TIME, "", "nan")),
        (CURSORS.decode_search, (A_TIME, "", "-inf")),
        (CURSORS.decode_search, (A_TIME, '"', "1.0")),
        (CURSORS.decode_search, (A_TIME, "00", "1.0")),
        (CURSORS.decode_shares, (A_TIME, AN_ID, "bob\0")),
        (CURSORS.decode_shares, (A_TIME, AN_ID, "\ud800")),
        (CURSORS.decode_shares, (A_TIME, AN_ID, "")),
    ],
)
def test_what_is_signed_and_no_position_is_refused(
    decode: Callable[[str, str], object], values: tuple[str, ...]
) -> None:
    with pytest.raises(InvalidArgumentError):
        decode(signed(*values), LISTING)
