"""Days, months and spans that a query names."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diary_mcp.service.search.dates import DateSpan, find_spans

TODAY = date(2026, 3, 18)


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
