"""One entry as a Markdown file: read, written, and read back."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from uuid_utils.compat import uuid7

from diary_mcp.domain.entry import EntryDraft
from diary_mcp.domain.errors import InvalidArgumentError
from diary_mcp.domain.fields import ENTRY_TYPES, EntryId, is_blank
from diary_mcp.domain.version import EntryRecord
from diary_mcp.files.import_paths import is_own_export
from diary_mcp.files.markdown import read_markdown, render_markdown
from diary_mcp.service.archive.importer import ImportedEntry
from support.journal import MODIFIED_AT, SAMPLES, real_journal, stored
from support.paths import ROOT

NAME = "2026-03-01-x"


def _read(text: str, name: str = NAME) -> ImportedEntry:
    return read_markdown(text.encode(), name=name, modified_at=MODIFIED_AT)


def test_a_file_with_full_front_matter_is_read() -> None:
    raw = (SAMPLES / "2026-03-02-02-queue.md").read_bytes()

    entry = read_markdown(raw, name="2026-03-02-02-queue", modified_at=MODIFIED_AT)

    assert entry.draft.model_dump(exclude={"content"}) == {
        "title": "Progress: A queue that survives a crash",
        "type": "progress",
        "tags": ["queue", "retries: three", "timeouts"],
        "importance": 0.75,
        "supersedes": ["2026-03-01-01-kickoff"],
        "date": datetime(2026, 3, 2, 16, tzinfo=UTC),
        "author": None,
        "session": None,
        "key": "2026-03-02-02-queue",
    }
    assert raw.decode().endswith("---\n" + entry.draft.content)
    assert entry.unknown_keys == {"signature: <pending>"}


def test_the_example_in_the_docs_says_what_the_docs_say() -> None:
    docs = (ROOT / "docs" / "files.md").read_text("utf-8")
    example = docs.partition("```markdown\n")[2].partition("```\n")[0]

    entry = _read(example, "2026-03-01-01-kickoff")

    assert entry.draft == EntryDraft(
        content=example.partition("sequence: 7\n---\n")[2],
        title="Start with the smallest thing that is useful",
        type="decision",
        tags=["kickoff", "scope"],
        importance=0.9,
        supersedes=["2026-02-27-01-older"],
        date=datetime(2026, 3, 1, 9, tzinfo=UTC),
        author="model-a",
        session="session_01",
        key="2026-03-01-01-kickoff",
    )
    assert entry.unknown_keys == {"signature: pending", "sequence: 7"}


def test_a_file_without_front_matter_is_a_note_dated_by_its_name() -> None:
    text = (SAMPLES / "2026-03-02-01-plain.md").read_text("utf-8")

    entry = _read(text, "2026-03-02-01-plain")

    assert entry.draft.content == text
    assert entry.draft.type == "note"
    assert entry.draft.title == "Notes without front matter"
    assert entry.draft.date == datetime(2026, 3, 2, tzinfo=UTC)


@pytest.mark.parametrize("name", ["note", "2026-13-01-note", "2026-03-011", "26-03-01"])
def test_a_file_without_any_date_has_that_of_its_last_change(name: str) -> None:
    assert _read("x", name).draft.date == MODIFIED_AT


@pytest.mark.parametrize(
    ("lines", "field", "value"),
    [
        ("date: 2026-01-31", "date", datetime(2026, 1, 31, tzinfo=UTC)),
        ("date: 2026-01-31 10:00", "date", datetime(2026, 1, 31, 10, tzinfo=UTC)),
        ("date:", "date", datetime(2026, 3, 1, tzinfo=UTC)),
        ("title: From above", "title", "From above"),
        ("title:", "title", None),
        ("session: 02", "session", "02"),
        ("session: ''", "session", None),
        ("author: true", "author", "true"),
        ("type: Decision", "type", "decision"),
        ("type: retrospective", "type", "note"),
        ("type:", "type", "note"),
        ("importance: 1", "importance", 1.0),
        ("importance:", "importance", 0.5),
        ("tags: one", "tags", ["one"]),
        ("tags: one, two , one", "tags", ["one", "two"]),
        ("tags: ['a, b', c]", "tags", ["a, b", "c"]),
        ("tags:", "tags", []),
        ("supersedes: older.md", "supersedes", ["older"]),
        ("supersedes: [older.md, b, older]", "supersedes", ["older", "b"]),
        ("supersedes: {a: b}", "supersedes", []),
        ("supersedes: " + "x" * 300, "supersedes", []),
        ("key: PROJ-12", "key", NAME),
    ],
)
def test_each_key_is_read_as_people_write_it(lines: str, field: str, value: object) -> None:
    entry = _read(f"---\n{lines}\n---\n# Heading\n")

    assert getattr(entry.draft, field) == value


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        pytest.param(b"", "holds no content", id="empty file"),
        pytest.param(b"---\ntype: note\n---\n", "holds no content", id="front matter alone"),
        pytest.param(b"\x89PNG\r\n\x1a\n\0\0", "binary or UTF-16", id="binary"),
        pytest.param("x\n".encode("utf-16"), "binary or UTF-16", id="utf-16"),
        pytest.param(b"caf\xe9", r"not UTF-8 \(byte 4 is 0xe9\)", id="latin-1"),
        pytest.param(b"x" * 100_001, "content: .*100,000", id="long content"),
    ],
)
def test_a_file_that_cannot_be_an_entry_is_refused_with_the_reason(raw: bytes, reason: str) -> None:
    with pytest.raises(InvalidArgumentError, match=reason):
        read_markdown(raw, name=NAME, modified_at=MODIFIED_AT)


@pytest.mark.parametrize(
    ("lines", "field", "value"),
    [
        pytest.param('author:\n  - "[[Jane Doe]]"', "author", None, id="list of one link"),
        pytest.param("author: {name: Jane}", "author", None, id="mapping"),
        pytest.param("author: [[Jane]]", "author", None, id="link without quotes"),
        pytest.param('author: "a\\0b"', "author", None, id="nul"),
        pytest.param('session: "\\ud800"', "session", None, id="surrogate"),
        pytest.param(f"session: {'x' * 256}", "session", None, id="long session"),
        pytest.param("type: [decision]", "type", "note", id="list of types"),
        pytest.param("title: [a, b]", "title", "Heading", id="list of titles"),
        pytest.param(f"title: {'x' * 201}", "title", "Heading", id="long title"),
        pytest.param("importance: high", "importance", 0.5, id="word"),
        pytest.param("importance: 5", "importance", 0.5, id="other scale"),
        pytest.param("importance: nan", "importance", 0.5, id="nan"),
        pytest.param("date: yesterday", "date", datetime(2026, 3, 1, tzinfo=UTC), id="word date"),
        pytest.param("date: {{date}}", "date", datetime(2026, 3, 1, tzinfo=UTC), id="template"),
        pytest.param(
            "date: 2026-02-30", "date", datetime(2026, 3, 1, tzinfo=UTC), id="no such day"
        ),
        pytest.param(
            "date: 0001-01-01T00:00:00+09:00", "date", datetime(2026, 3, 1, tzinfo=UTC), id="year 0"
        ),
        pytest.param("tags: {a: b}", "tags", [], id="tags mapping"),
        pytest.param(f"tags: [a, {'x' * 65}]", "tags", ["a"], id="long tag"),
        pytest.param(
            f"tags: [{', '.join(map(str, range(21)))}]",
            "tags",
            [*map(str, range(20))],
            id="21 tags",
        ),
    ],
)
def test_a_value_that_no_entry_can_have_is_kept_and_comes_back(
    lines: str, field: str, value: object
) -> None:
    text = f"---\n{lines}\n---\n# Heading\n"

    entry = _read(text)

    assert getattr(entry.draft, field) == value
    assert entry.unknown_keys == {lines}
    assert render_markdown(stored(entry), name=NAME).decode() == text


def test_a_value_that_was_not_read_stays_as_a_comment_where_the_key_has_to_be_set() -> None:
    entry = stored(_read("---\nimportance: high # very\ntags: [a]\n---\nx"))

    written = render_markdown(replace(entry, importance=0.9), name=NAME).decode()

    assert written == "---\nimportance: 0.9\n# importance: high # very\ntags: [a]\n---\nx"


@pytest.mark.parametrize(
    ("line", "tags"),
    [
        ('tags: \'["a", "b"]\'', ["a", "b"]),
        ("tags: '[a, b c]'", ["a", "b c"]),
        ("tags: '#a'", ["a"]),
        ("tags: #a", ["a"]),
        ("tags: #a #b/c", ["a", "b/c"]),
        ("tags: '#a, #b'", ["a", "b"]),
        ("tags: '#a #b, c'", ["a", "b", "c"]),
        ("tags: 'a b, #c #d'", ["a b", "c", "d"]),
        ("tags: #a #b, c", ["a", "b", "c"]),
        ("tags: #a and more", []),
        ("tags: ['#a', b]", ["a", "b"]),
        ("tags:\n  - #a\n  - #b", ["a", "b"]),
        ("tags: # none yet", []),
        ("tags: 'a #b'", ["a #b"]),
        ("tags: '[oops'", ["[oops"]),
    ],
)
def test_tags_are_read_as_other_programs_write_them(line: str, tags: list[str]) -> None:
    text = f"---\n{line}\n---\nx"

    entry = _read(text)

    assert entry.draft.tags == tags
    assert render_markdown(stored(entry), name=NAME).decode() == text


@pytest.mark.parametrize(
    ("name", "day"),
    [("2024_01_05", 5), ("2024-01-06", 6), ("journals/2024_01_07", 7), ("2024_01_08 walk", 8)],
)
def test_a_day_in_the_name_is_the_date(name: str, day: int) -> None:
    assert _read("x", name).draft.date == datetime(2024, 1, day, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("---\n\nA rule, and then text.\n", id="rule"),
        pytest.param("---\nText right below a rule\n", id="rule without a gap"),
        pytest.param("---\nACME Ltd.\n12 Main Street\n---\n\nDear Ms Doe,\n", id="letterhead"),
        pytest.param("---\nACME Ltd. Tel: 555\n---\nDear Ms Doe,\n", id="letterhead of one line"),
        pytest.param("---\nTel: 555: Fax: 556\n---\nDear Ms Doe,\n", id="one line of colons"),
        pytest.param("---\nACME Ltd.\nTel: 555-1234\n---\n\nDear Ms Doe,\n", id="with a colon"),
        pytest.param("---\nTel: 555-1234\nACME Ltd.\n---\nHello\n", id="colon first"),
        pytest.param("---\n# ACME\n---\nHello\n", id="heading between rules"),
        pytest.param("---\n\nNote: this.\n\n---\n\nThat.\n", id="two rules"),
        pytest.param("---\n- one\n- two\n---\nHello\n", id="list between rules"),
        pytest.param("+++\nplus signs\n+++\nHello\n", id="plus signs"),
        pytest.param("+++\n", id="plus signs alone"),
        pytest.param("---\r\nACME\r\n---\r\nHello\r\n", id="crlf"),
    ],
)
def test_what_only_looks_like_front_matter_is_content(text: str) -> None:
    entry = _read(text)

    assert entry.draft.content == text
    assert entry.front_matter == ""
    assert render_markdown(stored(entry), name=NAME).decode() == text


def test_front_matter_may_be_closed_by_dots() -> None:
    text = "---\ntitle: T\n...\nText --- more\n---\n"

    entry = _read(text)

    assert (entry.draft.title, entry.draft.content) == ("T", "Text --- more\n---\n")
    assert render_markdown(stored(entry), name=NAME).decode() == text


TOML = """\
+++
# of Hugo
title = "A \\"title\\""  # beside
date = 2024-03-05T09:30:00+01:00
tags = [
  "a",
  "b, c",
]
draft = true

[params]
author = "somebody"
+++
# Heading
"""


def test_toml_between_plus_signs_is_front_matter() -> None:
    entry = _read(TOML)

    assert entry.draft.title == 'A "title"'
    assert entry.draft.date == datetime(2024, 3, 5, 8, 30, tzinfo=UTC)
    assert entry.draft.tags == ["a", "b, c"]
    assert entry.draft.author is None
    assert entry.draft.content == "# Heading\n"
    assert entry.unknown_keys == {"draft = true", '[params]\nauthor = "somebody"'}
    assert render_markdown(stored(entry), name=NAME).decode() == TOML


def test_only_what_changed_in_toml_is_written_anew() -> None:
    entry = replace(stored(_read(TOML)), title='it\'s "new"', importance=0.75, session="s\x7f")

    written = render_markdown(entry, name=NAME).decode()

    assert written == TOML.replace(
        'title = "A \\"title\\""  # beside', 'title = "it\'s \\"new\\""'
    ).replace("[params]", 'session = "s\\u007f"\nimportance = 0.75\n[params]')
    again = _read(written)
    assert (again.draft.title, again.draft.session) == ('it\'s "new"', "s\x7f")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("+++\ntitle = oops\ntags = []\n+++\nx", "not TOML"),
        ("+++\ntitle = 'x'\nx", r"no `\+\+\+` line closes it"),
        ("---\ntitle: a: b\n---\nx", r"\(line 2\)"),
    ],
)
def test_a_slip_in_front_matter_is_told(text: str, reason: str) -> None:
    with pytest.raises(InvalidArgumentError, match=reason):
        _read(text)


@pytest.mark.parametrize(
    "claim",
    [
        "'[[first-note]]'",
        "'[[notes/first-note|the first]]'",
        "[[first-note]]",
        '["[[first-note#Part]]"]',
        "'[first](first-note.md)'",
        "first-note.markdown",
    ],
)
def test_what_a_file_supersedes_may_be_a_link(claim: str) -> None:
    text = f"---\nsupersedes: {claim}\n---\nx"

    entry = _read(text)

    (said,) = entry.draft.supersedes
    assert said.rpartition("/")[2] == "first-note"
    linked = replace(stored(entry), supersedes=[EntryId(uuid7())], superseded_keys=["first-note"])
    assert render_markdown(linked, name=NAME).decode() == text


def test_content_is_kept_to_the_character() -> None:
    content = "\r\n\n\ttab \u2028 \x07 🦊 e\u0301\x0b\n\n"

    assert _read(f"\ufeff---\r\ntype: note\r\n---\r\n{content}").draft.content == content


@pytest.mark.parametrize("path", sorted(SAMPLES.rglob("*.md")), ids=lambda path: path.name)
def test_a_sample_that_did_not_change_is_written_to_the_byte(path: object) -> None:
    raw = SAMPLES.joinpath(str(path)).read_bytes()
    name = SAMPLES.joinpath(str(path)).name.removesuffix(".md")
    entry = stored(read_markdown(raw, name=name, modified_at=MODIFIED_AT))

    written = render_markdown(entry, name=name)

    date_is_in_the_file = name != "untitled"
    assert (written == raw) == date_is_in_the_file
    assert written.endswith(raw)


def test_every_file_of_a_real_journal_is_written_to_the_byte() -> None:
    paths = sorted(real_journal().glob("*.md"))

    for path in paths:
        name = path.name.removesuffix(".md")
        entry = read_markdown(path.read_bytes(), name=name, modified_at=MODIFIED_AT)
        assert render_markdown(stored(entry), name=name) == path.read_bytes(), path

    assert paths


def test_only_what_changed_is_written_anew() -> None:
    text = (
        "---\n# mine\ndate: 2026-03-01   # day one\nTYPE: kept\ntags: [ a,b ]\nsequence: 07\n---\n"
        "# Heading\n"
    )
    entry = replace(stored(_read(text)), importance=0.25, tags=("b", "c: d"))

    written = render_markdown(entry, name=NAME).decode()

    assert written == text.replace("[ a,b ]", "[b, 'c: d']").replace(
        "07\n", "07\nimportance: 0.25\n"
    )


def test_an_entry_that_no_file_made_is_written_with_every_key() -> None:
    entry = replace(
        stored(_read("# Heading\n")),
        front_matter=None,
        source_hash=None,
        title="Another: title",
        key=None,
        session="s 1",
        date=datetime(2026, 3, 1, 9, 30, tzinfo=UTC),
        tags=("a", "b"),
    )

    assert render_markdown(entry, name=str(entry.id)).decode() == (
        "---\n"
        "date: '2026-03-01T09:30:00Z'\n"
        "author: alice\n"
        "session: s 1\n"
        "type: note\n"
        "importance: 0.5\n"
        "tags: [a, b]\n"
        "supersedes: null\n"
        "signature: none\n"
        "title: 'Another: title'\n"
        "---\n"
        "# Heading\n"
    )


def test_what_an_entry_supersedes_is_written_as_the_file_that_is_exported_beside_it() -> None:
    older = EntryId(uuid7())
    entry = replace(
        stored(_read("x")), supersedes=[older], superseded_keys=["a/b"], front_matter=None
    )

    assert b"\nsupersedes: a%2Fb.md\n" in render_markdown(entry, name=NAME)
    assert b"\nsupersedes: c.md\n" in render_markdown(entry, name=NAME, names={older: "c"})


@pytest.mark.parametrize("claim", ["older", "older.md", "notes/older.md", "'older.md'"])
def test_a_claim_that_was_linked_is_written_as_it_was(claim: str) -> None:
    text = f"---\nsupersedes: {claim}\n---\nx"
    entry = replace(stored(_read(text)), supersedes=[EntryId(uuid7())], superseded_keys=["older"])

    assert render_markdown(entry, name=NAME).decode() == text


def test_a_file_is_recognised_as_the_export_of_an_entry_until_either_changes() -> None:
    entry = replace(stored(_read("# Heading\n")), importance=0.7)
    exported = read_markdown(render_markdown(entry, name=NAME), name=NAME, modified_at=MODIFIED_AT)

    assert is_own_export(exported, entry)
    assert not is_own_export(exported, replace(entry, content="# Heading\n\n"))
    assert not is_own_export(replace(exported, source_hash="other"), entry)


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
LABEL = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=40
)
CONTENT = st.one_of(
    TEXT,
    st.lists(st.sampled_from(["---", "# T", "\r\n", "\n", "```", "\ufeff", " ", "a: b", "\t"])).map(
        "".join
    ),
).filter(lambda text: not is_blank(text))
LINE = st.sampled_from(
    [
        "date: 2026-03-01",
        "date: '2026-03-01T10:00:00+02:00' # when",
        "author: a b",
        "session: 02",
        "type: decision",
        "type: odd",
        "title: 'it''s'",
        "title: |\n  two\n  lines",
        "title:",
        "importance: .25",
        "tags: [a, 'b, c']",
        "tags:\n- a\n\n# comment\n- b",
        "tags: a, b",
        "supersedes: notes/older.md",
        "supersedes: ~",
        "signature: <pending>",
        "key: a/b",
        "sequence: 07",
        "x: {y: [z]}",
        "author: [a, b]",
        "importance: high",
        "tags: #a #b",
        "supersedes: [[x]]",
        "...",
        "ACME Ltd.",
        "# comment",
        "",
    ]
)


def _key(line: str) -> str:
    return line.partition(":")[0]


LINES = st.one_of(
    st.lists(LINE, max_size=8, unique_by=_key), st.lists(st.one_of(LINE, TEXT), max_size=4)
)


def _fenced(mark: str, lines: list[str], newline: str) -> str:
    return mark + newline.join(["---", *lines, "---", ""])


def _encoded(head: str, body: str) -> bytes:
    return (head + body).encode()


HEADS = st.one_of(
    st.sampled_from(["", "\ufeff"]),
    st.builds(_fenced, st.sampled_from(["", "\ufeff"]), LINES, st.sampled_from(["\n", "\r\n"])),
)


@given(st.one_of(st.binary(), st.builds(_encoded, HEADS, TEXT)))
def test_any_bytes_are_read_or_refused_and_come_back_to_the_byte(raw: bytes) -> None:
    try:
        imported = read_markdown(raw, name=NAME, modified_at=MODIFIED_AT)
    except InvalidArgumentError:
        return

    assert render_markdown(stored(imported), name=NAME) == raw


TIMES = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=st.just(UTC))  # noqa: DTZ001  # hypothesis adds the zone


@given(
    head=HEADS,
    body=CONTENT,
    edited=st.fixed_dictionaries(
        {},
        optional={
            "content": CONTENT,
            "title": st.none() | TEXT.map(lambda text: text[:200]),
            "type": st.sampled_from(ENTRY_TYPES),
            "tags": st.lists(LABEL, max_size=4, unique=True).map(tuple),
            "importance": st.floats(0, 1),
            "author": LABEL,
            "session": st.none() | LABEL,
            "date": TIMES,
            "source_keys": st.builds(list[str]),
        },
    ),
    was_imported=st.booleans(),
    name=st.sampled_from([NAME, "note", "a%2Fb"]),
)
def test_whatever_an_entry_says_is_read_back_from_its_export(
    head: str, body: str, edited: dict[str, object], was_imported: bool, name: str
) -> None:
    try:
        imported = _read(head + body, name)
    except InvalidArgumentError:
        imported = _read("x", name)
    entry: EntryRecord = replace(stored(imported), **edited)
    if not was_imported:
        entry = replace(entry, front_matter=None, source_hash=None)

    exported = render_markdown(entry, name=name)

    later = MODIFIED_AT + timedelta(days=1)
    again = stored(read_markdown(exported, name=name, modified_at=later))
    kept_by_the_diary = {
        "id": entry.id,
        "created_at": entry.created_at,
        "updated_at": entry.updated_at,
        "source_hash": entry.source_hash,
        "front_matter": entry.front_matter,
    }
    assert replace(again, **kept_by_the_diary) == entry
