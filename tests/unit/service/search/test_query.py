"""Queries as people and models write them."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diary_mcp.service.search.query import (
    DateSpan,
    find_spans,
    guess_term,
    named_authors,
    parse_query,
    without_names,
)

TODAY = date(2026, 3, 18)
WORDS = ["kubernet", "receiv", "8199be6f699a395f", "migrat", "cat"]


def test_phrases_exclusions_and_or_are_taken_out_of_the_question() -> None:
    query = parse_query('“disk full” OR backup -restore -"cold start" --dry-run')

    assert query.text == "disk full backup --dry-run"
    assert query.phrases == ("disk full",)
    assert query.excluded == (("cold", "start"), ("restor",))
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


@pytest.mark.parametrize("text", ["🦊", "???", "<->", "the"])
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
    ("query", "first", "last"),
    [
        ("on 2026-01-31?", date(2026, 1, 31), date(2026, 1, 31)),
        ("what happened on 5 March 2025", date(2025, 3, 5), date(2025, 3, 5)),
        ("March 5th, 2025", date(2025, 3, 5), date(2025, 3, 5)),
        ("in February 2024", date(2024, 2, 1), date(2024, 2, 29)),
        ("in March", date(2026, 3, 1), date(2026, 3, 31)),
        ("yesterday", date(2026, 3, 17), date(2026, 3, 17)),
        ("last week", date(2026, 3, 9), date(2026, 3, 15)),
        ("this month", date(2026, 3, 1), date(2026, 3, 31)),
        ("last month", date(2026, 2, 1), date(2026, 2, 28)),
        ("last Monday", date(2026, 3, 16), date(2026, 3, 16)),
        ("last Wednesday", date(2026, 3, 11), date(2026, 3, 11)),
        ("the past week", date(2026, 3, 9), date(2026, 3, 15)),
        ("last year", date(2025, 1, 1), date(2025, 12, 31)),
        ("two weeks ago", date(2026, 3, 2), date(2026, 3, 8)),
        ("a month ago", date(2026, 2, 1), date(2026, 2, 28)),
        ("the day before yesterday", date(2026, 3, 16), date(2026, 3, 16)),
        ("last night", date(2026, 3, 17), date(2026, 3, 17)),
        ("on the 5th of May", date(2026, 5, 5), date(2026, 5, 5)),
        ("Sept. 2024", date(2024, 9, 1), date(2024, 9, 30)),
        ("3 days ago", date(2026, 3, 15), date(2026, 3, 15)),
    ],
)
def test_a_date_in_a_query_is_a_span(query: str, first: date, last: date) -> None:
    assert find_spans(query, today=TODAY, years=(2026, 2026)) == [DateSpan(first, last)]


@pytest.mark.parametrize(
    "query",
    [
        "it may march on",
        "2026",
        "2026-02-30",
        "9999 years ago",
        "on 2, at noon",
        "sunny",
    ],
)
def test_what_is_no_date_is_no_span(query: str) -> None:
    assert find_spans(query, today=TODAY, years=(2026, 2026)) == []


def test_a_month_without_a_year_is_one_in_every_year_of_the_diary() -> None:
    spans = find_spans("in May", today=TODAY, years=(2024, 2026))

    assert [span.first.year for span in spans] == [2024, 2025, 2026]


@given(st.text(st.sampled_from("0123456789-/ .,ofstndrdthMaylastweekagojune"), max_size=60))
def test_no_text_is_an_error(query: str) -> None:
    find_spans(query, today=TODAY, years=(2020, 2026))


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
