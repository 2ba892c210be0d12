"""What a model reads of an entry: all of it, and nothing that goes without saying."""

from datetime import timedelta

import pytest

from diary_mcp.domain.entry import Role, SearchHit, Signature
from diary_mcp.domain.errors import InvalidArgumentError
from diary_mcp.server.tools.results import (
    MAX_PART_CHARACTERS,
    as_json,
    show_entry,
    show_found,
    show_listed,
    show_version,
)
from diary_mcp.service.entries.versions import as_version
from support.entries import ENTRY_ID, NOW, entry, summary

PLAIN = {"author": "alice", "title": None}


def test_an_entry_with_defaults_alone_shows_what_cannot_be_known_otherwise() -> None:
    plain = entry("owner", owner="alice").model_copy(update=PLAIN)

    assert as_json(show_entry(plain)) == {
        "id": str(ENTRY_ID),
        "type": "note",
        "version": 1,
        "date": "2026-03-01T12:00:00Z",
        "signature": "none",
        "content": "What happened.",
    }


def test_an_entry_shows_in_order_whatever_is_no_default() -> None:
    later = NOW + timedelta(hours=1)
    changed = entry("viewer").model_copy(
        update={
            "key": "first", "session": "s", "tags": ("a",), "importance": 0.9,
            "superseded_by": ENTRY_ID, "version": 2, "created_at": later,
            "updated_at": later + timedelta(hours=1), "sharing": "pending",
            "signature": Signature(state="signed"),
        }
    )  # fmt: skip

    assert list(as_json(show_entry(changed))) == [
        "id", "key", "untrusted", "owner", "role", "author", "session", "type", "title", "tags",
        "importance", "superseded_by", "version", "date", "created_at", "updated_at", "sharing",
        "signature", "content",
    ]  # fmt: skip


def test_a_row_says_no_version_that_is_the_first_and_no_signature_that_is_there() -> None:
    row = summary("owner", "x", "alice").model_copy(
        update={**PLAIN, "signature": Signature(state="signed")}
    )

    assert as_json(show_listed(row)) == {
        "id": str(ENTRY_ID),
        "type": "note",
        "date": "2026-03-01T12:00:00Z",
        "snippet": "x",
    }


@pytest.mark.parametrize("role", ["owner", "viewer"])
def test_what_is_shown_without_a_check_is_what_the_check_makes_of_it(role: Role) -> None:
    whole, row = entry(role), summary(role, "x")
    hit = SearchHit(**vars(row), score=1.5, matched=("disk",))
    shown = [
        show_entry(whole, diary="notes"), show_version(whole, as_version(whole)),
        show_listed(row, "notes"), show_found(hit),
    ]  # fmt: skip

    for each in shown:
        assert list(vars(each)) == list(type(each).model_fields)
        assert type(each)(**vars(each)) == each


@pytest.mark.parametrize(
    ("snippet", "shown"),
    [
        ("# A title\n\nThe text\n  goes on.", "The text goes on."),
        ("A title is no heading", "A title is no heading"),
        ("# Another\n\ntext", "# Another text"),
        ("w" * 400, "w" * 99 + "…"),
    ],
)
def test_a_snippet_is_one_short_line_that_does_not_repeat_the_title(
    snippet: str, shown: str
) -> None:
    assert show_listed(summary("owner", snippet)).snippet == shown


def test_a_long_entry_comes_in_parts_that_together_are_the_whole() -> None:
    content = "".join(chr(0x4E00 + i % 5_000) for i in range(2 * MAX_PART_CHARACTERS + 7))
    long = entry("owner", content)
    parts: list[str] = []
    start: int | None = 0

    while start is not None:
        part = show_entry(long, start)
        parts.append(part.content)
        start = part.next_from

    assert "".join(parts) == content
    assert [len(part) for part in parts] == [MAX_PART_CHARACTERS, MAX_PART_CHARACTERS, 7]


@pytest.mark.parametrize("start", [11, 12, 10**30], ids=["its length", "beyond", "far beyond"])
def test_a_part_that_begins_beyond_the_end_is_refused_with_the_length(start: int) -> None:
    short = entry("owner").model_copy(update={"content": "Eleven here"})

    with pytest.raises(InvalidArgumentError, match=r"has 11 characters, counted from 0"):
        show_entry(short, start)
    with pytest.raises(InvalidArgumentError, match=r"has 11 characters, counted from 0"):
        show_version(short, as_version(short), start)
    assert show_entry(short, 10).content == "e"
