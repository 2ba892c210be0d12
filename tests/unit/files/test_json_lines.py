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
from diary_mcp.files.extra_fields import read_kept
from diary_mcp.files.json_lines import read_line, render_line
from diary_mcp.files.markdown import read_markdown, render_markdown
from support.journal import MODIFIED_AT, stored


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
        pytest.param(b'{"content": 7}', "content: .*valid string", id="wrong type"),
        pytest.param(b'{"content": ""}', "content", id="empty content"),
        pytest.param(b'{"title": "x"}', "content: Field required", id="no content"),
        pytest.param(b'{"content": "a\\u0000b"}', "content: .*NUL", id="nul"),
        pytest.param(b'{"content": "\\ud800"}', "content: .*surrogate", id="surrogate"),
        pytest.param(b'{"content": "\0"}', "binary", id="binary"),
        pytest.param(b'{"content": "\xe9"}', "not UTF-8", id="latin-1"),
        pytest.param(
            b'{"content": "x", "mood": ' + b"[" * 30 + b"]" * 30 + b"}",
            "'mood' is nested",
            id="nested",
        ),
        pytest.param(
            b'{"content": "x", "v": "' + b"1" * 20_000 + b'"}', "take out 'v'", id="too much beside"
        ),
    ],
)
def test_a_line_that_cannot_be_an_entry_is_refused_with_the_reason(
    line: bytes, reason: str
) -> None:
    with pytest.raises(InvalidArgumentError, match=reason):
        read_line(line)


BESIDE = {
    "mood": "good",
    "sequence": 7,
    "links": [{"to": "a", "weights": [1, 2.5, None, True]}],
    "a: b #c": "---\n\x7f\u0085\u2028\ufeff🦊",
    "02": "02",
    "role": "assistant",
    "version": "1.2",
    "signature": "me",
    "front_matter": "other",
}
ODD = {
    "type": "diary",
    "importance": "high",
    "tags": ["a", {"b": 1}],
    "author": ["[[Me]]"],
    "session": {"id": 1},
    "date": {"$date": "2026-03-01"},
    "title": "t" * 300,
    "supersedes": {"x": 1},
    "key": ["k"],
}


@pytest.mark.parametrize("beside", [BESIDE, ODD, BESIDE | ODD], ids=["unknown", "odd", "both"])
def test_what_no_entry_can_have_is_kept_and_comes_back_in_either_format(
    beside: dict[str, object],
) -> None:
    line = {"content": "# Heading\nx", **beside}

    entry = stored(read_line(json.dumps(line).encode()))
    from_line = stored(read_line(render_line(entry)))
    markdown = render_markdown(entry, name=str(entry.id))
    from_markdown = stored(read_markdown(markdown, name=str(entry.id), modified_at=MODIFIED_AT))

    assert read_kept(entry) == beside
    assert replace(from_line, source_hash=entry.source_hash) == entry
    assert replace(from_markdown, source_hash=entry.source_hash, front_matter="") == replace(
        entry, front_matter=""
    )
    # As comments, or in a line of the file's own.
    elsewhere = {"date", "signature", "key", "supersedes"}
    assert read_kept(from_markdown) == {
        name: value for name, value in beside.items() if name not in elsewhere
    }
    assert (b'{"$date"' in markdown) == ("date" in beside)


def test_a_value_of_another_shape_is_understood_as_in_front_matter() -> None:
    line = {
        "content": "x",
        "tags": "one, #two",
        "session": 7,
        "importance": "0.9",
        "type": "Decision",
        "date": "",
        "author": "",
        "supersedes": [["older"]],
    }

    assert read_line(json.dumps(line).encode()).draft == EntryDraft(
        content="x",
        tags=["one", "two"],
        session="7",
        importance=0.9,
        type="decision",
        supersedes=["older"],
    )


def test_front_matter_of_a_markdown_file_is_in_its_line() -> None:
    text = b"---\nmood: good # very\nn: 7\naliases:\n  - A\n  - {b: c}\ntype: idea\n---\nx"
    toml = b'+++\nmood = "good"\nday = 2026-03-01\n+++\nx'

    for raw, beside in (
        (text, {"mood": "good", "n": 7, "aliases": ["A", {"b": "c"}], "type": "idea"}),
        (toml, {"mood": "good", "day": "2026-03-01"}),
    ):
        entry = stored(read_markdown(raw, name="k", modified_at=MODIFIED_AT))
        again = stored(read_line(render_line(entry)))
        assert read_kept(again) == beside
        assert (again.key, again.type) == ("k", "note")


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
