"""Cursors: where a list stopped, as text that a client hands back unread.

A cursor names the last row that was shown, or, of a search, every one, so rows that come or go
meanwhile neither repeat nor hide others. It carries a digest of the list it belongs to and of
itself: a damaged one, or one of another list, is refused. It is no secret and grants nothing.
"""

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from datetime import datetime
from math import isfinite
from uuid import UUID

from pydantic import TypeAdapter

from diary_mcp.domain.errors import InvalidArgumentError
from diary_mcp.domain.fields import NAME_PATTERN, EntryId, Grantee, format_time
from diary_mcp.domain.relations import group_of
from diary_mcp.service.ports.entries import EntryPosition
from diary_mcp.service.ports.search import SearchPosition
from diary_mcp.service.ports.shares import SharePosition

_DIGEST_BYTES = 6
_MARK_BYTES = 5
_VALUES = TypeAdapter(list[str])


def encode_entries(position: EntryPosition, listing: str) -> str:
    """A cursor after an entry of the list that `listing` describes (filters, in any form)."""
    return _encode([format_time(position.date), str(position.id)], listing)


def decode_entries(cursor: str, listing: str) -> EntryPosition:
    """Raises: InvalidArgumentError: the cursor is damaged, or belongs to another list."""
    with _read_strictly():
        date, entry_id = _decode(cursor, listing, 2)
        return EntryPosition(_time(date), EntryId(UUID(entry_id)))


def encode_search(position: SearchPosition, listing: str) -> str:
    """A cursor after the hits of the search that `listing` describes which were shown.

    It names them all, some eight characters each: scores change with every entry that is written.
    """
    seen = base64.b85encode(b"".join(sorted(position.seen))).decode()
    return _encode([format_time(position.created_by), seen, repr(position.score)], listing)


def decode_search(cursor: str, listing: str) -> SearchPosition:
    """Raises: InvalidArgumentError: the cursor is damaged, or belongs to another search."""
    with _read_strictly():
        created_by, seen, score = _decode(cursor, listing, 3)
        marks = base64.b85decode(seen)
        if not isfinite(float(score)) or len(marks) % _MARK_BYTES:
            raise ValueError(score)
        return SearchPosition(
            _time(created_by),
            frozenset(marks[i : i + _MARK_BYTES] for i in range(0, len(marks), _MARK_BYTES)),
            float(score),
        )


def encode_shares(position: SharePosition, listing: str) -> str:
    """A cursor after a share of the list that `listing` describes."""
    return _encode(
        [format_time(position.created_at), str(position.shared_id), position.grantee], listing
    )


def decode_shares(cursor: str, listing: str) -> SharePosition:
    """Raises: InvalidArgumentError: the cursor is damaged, or belongs to another list."""
    with _read_strictly():
        created_at, shared_id, grantee = _decode(cursor, listing, 3)
        if not re.fullmatch(NAME_PATTERN, group_of(Grantee(grantee)) or grantee):
            raise ValueError(grantee)
        return SharePosition(_time(created_at), UUID(shared_id), Grantee(grantee))


def _encode(values: Sequence[str], listing: str) -> str:
    payload = json.dumps(values, separators=(",", ":")).encode()
    return _as_text(_digest(payload, listing) + payload)


def _decode(cursor: str, listing: str, expected: int) -> list[str]:
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise _damaged() from error
    digest, payload = raw[:_DIGEST_BYTES], raw[_DIGEST_BYTES:]
    # Padding, and the last character's spare bits, would pass unseen.
    if digest != _digest(payload, listing) or cursor != _as_text(raw):
        raise _damaged()
    values = _VALUES.validate_json(payload)
    if len(values) != expected:
        raise _damaged()
    return values


@contextmanager
def _read_strictly() -> Generator[None]:
    """Refuses what was made up with the right digest, which is no secret."""
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


def _digest(payload: bytes, listing: str) -> bytes:
    return hashlib.sha256(listing.encode() + b"\0" + payload).digest()[:_DIGEST_BYTES]


def _damaged() -> InvalidArgumentError:
    return InvalidArgumentError(
        "The cursor is damaged or belongs to another list; repeat the call without cursor, or "
        "with the same filters as the call that returned it."
    )
