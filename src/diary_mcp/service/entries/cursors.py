"""Cursors: where a list stopped, as text that a client hands back unread.

A cursor names the last row that was shown, or, of a search, every one, so rows that come or go
meanwhile neither repeat nor hide others. It is signed together with the list that it belongs to:
one that was made up or changed, or is another agent's or another list's, is refused. It is no
secret and grants nothing.
"""

import base64
import binascii
import hmac
import json
import re
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from datetime import datetime
from math import isfinite
from secrets import token_bytes
from uuid import UUID

from pydantic import TypeAdapter

from diary_mcp.domain.errors import InvalidArgumentError
from diary_mcp.domain.fields import NAME_PATTERN, EntryId, Grantee, format_time
from diary_mcp.domain.relations import group_of
from diary_mcp.service.ports.entries import EntryPosition
from diary_mcp.service.ports.search import SearchPosition
from diary_mcp.service.ports.shares import SharePosition

# Short, because models pay for it: whoever guesses asks the server each time, and gains a position.
_SIGNATURE_BYTES = 6
_MARK_BYTES = 5
_VALUES = TypeAdapter(list[str])
_JSON = json.JSONEncoder(separators=(",", ":"))


class Cursors:
    """Makes and reads cursors; `key` is the same for every process on a database."""

    def __init__(self, key: bytes | None = None) -> None:
        """Without a key, cursors are good for as long as this object lives."""
        self._key = key or token_bytes()

    def encode_entries(self, position: EntryPosition, listing: str) -> str:
        """A cursor after an entry of the list that `listing` describes: whose it is, filters."""
        return self._encode([format_time(position.date), str(position.id)], listing)

    def decode_entries(self, cursor: str, listing: str) -> EntryPosition:
        """Raises: InvalidArgumentError: it is damaged, made up, or belongs to another list."""
        with _read_strictly():
            date, entry_id = self._decode(cursor, listing, 2)
            return EntryPosition(_time(date), EntryId(UUID(entry_id)))

    def encode_search(self, position: SearchPosition, listing: str) -> str:
        """A cursor after the hits of the search that `listing` describes which were shown.

        It names them all, some eight characters each: scores change with every entry that is
        written.
        """
        seen = base64.b85encode(b"".join(sorted(position.seen))).decode()
        values = [format_time(position.created_by), seen, repr(position.score)]
        return self._encode(values, listing)

    def decode_search(self, cursor: str, listing: str) -> SearchPosition:
        """Raises: InvalidArgumentError: it is damaged, made up, or belongs to another search."""
        with _read_strictly():
            created_by, seen, score = self._decode(cursor, listing, 3)
            marks = base64.b85decode(seen)
            if not isfinite(float(score)) or len(marks) % _MARK_BYTES:
                raise ValueError(score)
            return SearchPosition(
                _time(created_by),
                frozenset(marks[i : i + _MARK_BYTES] for i in range(0, len(marks), _MARK_BYTES)),
                float(score),
            )

    def encode_shares(self, position: SharePosition, listing: str) -> str:
        """A cursor after a share of the list that `listing` describes."""
        values = [format_time(position.created_at), str(position.shared_id), position.grantee]
        return self._encode(values, listing)

    def decode_shares(self, cursor: str, listing: str) -> SharePosition:
        """Raises: InvalidArgumentError: it is damaged, made up, or belongs to another list."""
        with _read_strictly():
            created_at, shared_id, grantee = self._decode(cursor, listing, 3)
            if not re.fullmatch(NAME_PATTERN, group_of(Grantee(grantee)) or grantee):
                raise ValueError(grantee)
            return SharePosition(_time(created_at), UUID(shared_id), Grantee(grantee))

    def encode_number(self, number: int, listing: str) -> str:
        """A cursor after a row of the list that `listing` describes, whose rows are numbered."""
        return self._encode([str(number)], listing)

    def decode_number(self, cursor: str, listing: str) -> int:
        """Raises: InvalidArgumentError: it is damaged, made up, or belongs to another list."""
        with _read_strictly():
            (number,) = self._decode(cursor, listing, 1)
            return int(number)

    def _encode(self, values: Sequence[str], listing: str) -> str:
        payload = _JSON.encode(values).encode()
        return _as_text(self._signature(payload, listing) + payload)

    def _decode(self, cursor: str, listing: str, expected: int) -> list[str]:
        try:
            raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError) as error:
            raise _damaged() from error
        signature, payload = raw[:_SIGNATURE_BYTES], raw[_SIGNATURE_BYTES:]
        is_ours = hmac.compare_digest(signature, self._signature(payload, listing))
        # Padding, and the last character's spare bits, would pass unseen.
        if not is_ours or cursor != _as_text(raw):
            raise _damaged()
        values = _VALUES.validate_json(payload)
        if len(values) != expected:
            raise _damaged()
        return values

    def _signature(self, payload: bytes, listing: str) -> bytes:
        signed = listing.encode() + b"\0" + payload
        return hmac.digest(self._key, signed, "sha256")[:_SIGNATURE_BYTES]


@contextmanager
def _read_strictly() -> Generator[None]:
    """Refuses what is signed and still none, as another version may have made it."""
    try:
        yield
    except (ValueError, OverflowError) as error:
        raise _damaged() from error


def _time(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    if format_time(time) != text:
        raise ValueError(text)
    return time


def _as_text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _damaged() -> InvalidArgumentError:
    return InvalidArgumentError(
        "The cursor is damaged or belongs to another list; repeat the call without cursor, or "
        "with the same filters as the call that returned it."
    )
