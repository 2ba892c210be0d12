"""Entries as JSON Lines."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from uuid_utils.compat import uuid7

from diary_mcp.domain.entry import EntryDraft
from diary_mcp.domain.errors import InvalidArgumentError
from diary_mcp.domain.fields import EntryId
from diary_mcp.files.json_lines import read_line, render_line
from support.journal import stored


def test_a_line_has_the_names_of_an_entry() -> None:
    entry_id = uuid7()
    line = {
        "id": str(entry_id),
        "content": "# Body\r\n",
        "title": "T",
        "type": "decision",
        "tags": ["b", "a", "b"],
        "importance": 1,
        "supersedes": "older.md",
        "date": "2026-03-01",
        "author": "model-a",
        "session": "s",
        "key": "k",
    }

    entry = read_line(json.dumps(line).encode())

    assert entry.entry_id == entry_id
    assert entry.draft == EntryDraft(
        content="# Body\r\n",
        title="T",
        type="decision",
        tags=["b", "a"],
        importance=1,
        supersedes=["older.md"],
        date=datetime(2026, 3, 1, tzinfo=UTC),
        author="model-a",
        session="s",
        key="k",
    )


def test_what_the_diary_decides_itself_is_allowed_and_not_believed() -> None:
    line = b'{"content": "x", "owner": "mallory", "version": 7, "content_hash": "1", "title": null}'

    assert read_line(line).draft == EntryDraft(content="x")


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        pytest.param(b"{", "not JSON", id="cut off"),
        pytest.param(b"[]", "not a JSON object", id="array"),
        pytest.param(b'"x"', "not a JSON object", id="string"),
        pytest.param(b"[" * 100_000, "not JSON", id="deep"),
        pytest.param(b"1" * 10_000, "not JSON", id="long number"),
        pytest.param(b'{"content": "x", "content": "y"}', "there twice", id="repeated name"),
        pytest.param(b'{"content": "x", "importance": NaN}', "NaN", id="nan"),
        pytest.param(b'{"content": "x", "contents": 1}', "'contents' is not a field", id="unknown"),
        pytest.param(b'{"content": 7}', "content: .*valid string", id="wrong type"),
        pytest.param(b'{"content": ""}', "content", id="empty content"),
        pytest.param(b'{"title": "x"}', "content: Field required", id="no content"),
        pytest.param(b'{"content": "x", "type": "diary"}', "type: .*'note'", id="unknown type"),
        pytest.param(b'{"content": "x", "tags": null}', "tags: ", id="null tags"),
        pytest.param(b'{"content": "a\\u0000b"}', "content: .*NUL", id="nul"),
        pytest.param(b'{"content": "\\ud800"}', "content: .*surrogate", id="surrogate"),
        pytest.param(b'{"content": "\0"}', "binary", id="binary"),
        pytest.param(b'{"content": "\xe9"}', "not UTF-8", id="latin-1"),
    ],
)
def test_a_line_that_cannot_be_an_entry_is_refused_with_the_reason(
    line: bytes, reason: str
) -> None:
    with pytest.raises(InvalidArgumentError, match=reason):
        read_line(line)


@given(st.one_of(st.binary(), st.text().map(str.encode)))
def test_any_bytes_are_read_or_refused(line: bytes) -> None:
    try:
        read_line(line)
    except InvalidArgumentError:
        return


def test_a_written_line_is_read_back_as_the_same_entry() -> None:
    line = {"content": "a\u2028b\r\n🦊", "tags": ["é"], "date": "2026-03-01", "key": "a/b"}
    entry = replace(stored(read_line(json.dumps(line).encode())), id=EntryId(uuid7()), title="T")

    written = render_line(entry)
    again = read_line(written)

    assert written.count(b"\n") == 1
    assert again.entry_id == entry.id
    assert replace(stored(again), source_hash=entry.source_hash) == entry


def test_what_an_entry_supersedes_is_written_as_a_key_or_else_an_id() -> None:
    older = EntryId(uuid7())
    entry = replace(
        stored(read_line(b'{"content": "x"}')), supersedes=[older], superseded_keys=[None]
    )

    assert read_line(render_line(entry)).draft.supersedes == [str(older)]
    assert read_line(render_line(replace(entry, superseded_keys=["k"]))).draft.supersedes == ["k"]
    claiming = replace(entry, supersedes=(), superseded_keys=(), source_keys=["not there"])
    assert read_line(render_line(claiming)).draft.supersedes == ["not there"]
