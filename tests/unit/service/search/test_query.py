"""Queries as people and models write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diary_mcp.service.search.query import (
    MAX_EXCLUDED,
    MAX_PHRASES,
    MAX_TERMS,
    guess_term,
    named_authors,
    parse_query,
    without_names,
)

WORDS = ["kubernet", "receiv", "8199be6f699a395f", "migrat", "cat"]


def test_phrases_exclusions_and_or_are_taken_out_of_the_question() -> None:
    query = parse_query('“disk full” OR backup -restore -"cold start" --dry-run')

    assert query.text == "disk full backup --dry-run"
    assert query.phrases == ("disk full",)
    assert query.excluded == (("restore", ("restor",)), ("cold start", ("cold", "start")))
    assert query.terms == ["disk", "full", "backup", "dri", "run"]


@pytest.mark.parametrize(
    ("text", "phrases"),
    [
        ('When did Ann read "Nothing is impossible"?', ()),
        ('"disk full"?', ("disk full",)),
        ('what is "disk full"', ("disk full",)),
    ],
)
def test_what_a_question_quotes_is_a_name_and_no_phrase(
    text: str, phrases: tuple[str, ...]
) -> None:
    assert parse_query(text).phrases == phrases


@pytest.mark.parametrize(
    "text", ['"rm -rf build"', "“rm -rf build”", "„rm -rf build“", "«rm -rf build»"]
)
def test_nothing_within_quotes_is_an_exclusion(text: str) -> None:
    query = parse_query(text)

    assert query.phrases == ("rm -rf build",)
    assert query.excluded == ()
    assert query.terms == ["rm", "rf", "build"]


@pytest.mark.parametrize(
    "text",
    [
        " ".join(f"word{number}" for number in range(140)),
        "".join(chr(0x4E00 + number) for number in range(900)),
        " ".join(f'"p{number}"' for number in range(150)),
        " ".join(f"-x{number}" for number in range(200)),
    ],
)
def test_however_much_a_query_asks_for_little_is_looked_up(text: str) -> None:
    query = parse_query(text)

    assert len(query.terms) <= MAX_TERMS
    assert len(query.phrases) <= MAX_PHRASES
    assert len(query.excluded) <= MAX_EXCLUDED
    assert query.is_cut


@pytest.mark.parametrize("text", ["???", "<->", "the"])
def test_a_query_without_a_word_is_taken_as_it_is(text: str) -> None:
    assert parse_query(text).literal == text


@pytest.mark.parametrize(
    ("text", "is_plain"),
    [
        ("why did it fail?", True),
        ("run_transaction", False),
        ("8199be6f699a", False),
        ("what about 8199be6f699a?", False),
        ("parseHeader", False),
        ("2026-01-31-04-session-handoff.md", False),
        ("日本", True),
    ],
)
def test_identifiers_are_looked_up_and_words_understood(text: str, *, is_plain: bool) -> None:
    assert parse_query(text).is_plain is is_plain


def test_a_file_name_may_be_the_key_of_an_entry() -> None:
    names = parse_query("what is in 2026-01-31-notes.md?").names

    assert {"2026-01-31-notes", "2026-01-31-notes.md"} <= set(names)


def test_authors_are_named_by_their_whole_name_in_the_order_of_the_question() -> None:
    authors = ["Ann", "claude-opus", "Mary Ann", "Bo"]

    named = named_authors("What did Claude Opus tell Mary Ann about the boat?", authors)

    assert named == ["claude-opus", "Mary Ann", "Ann"]


def test_names_are_dropped_unless_nothing_would_remain() -> None:
    assert without_names("When did Ann's boat sink?", ["Ann"]) == "When did boat sink?"
    assert without_names("Ann?", ["Ann"]) == "Ann?"


@given(st.text(max_size=200))
def test_any_text_is_a_query(text: str) -> None:
    query = parse_query(text)

    assert query.literal is None or query.terms == []


@pytest.mark.parametrize(
    ("term", "meant"),
    [
        ("reciev", "receiv"),
        ("kubrnet", "kubernet"),
        ("8199be6", "8199be6f699a395f"),
        ("migrtat", "migrat"),
        ("8199be7", None),
        ("cta", None),
        ("zebra", None),
    ],
)
def test_a_slip_of_the_finger_finds_the_word_that_is_there(term: str, meant: str | None) -> None:
    assert guess_term(term, WORDS) == meant
