"""Days, months and spans that a query names."""

from datetime import UTC, date, datetime, time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diary_mcp.domain.query_dates import (
    MAX_NAMED,
    MAX_YEARS,
    DateSpan,
    find_spans,
    read_period,
    read_span,
)

TODAY = date(2026, 3, 18)
YESTERDAYS_END = datetime.combine(date(2026, 3, 17), time.max, UTC)
NOW = datetime(2026, 3, 18, 9, 30, tzinfo=UTC)


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
    assert find_spans(query, today=TODAY, years=[2026]) == [DateSpan(first, last)]


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
    assert find_spans(query, today=TODAY, years=[2026]) == []


@pytest.mark.parametrize("query", ["APR\u0130L 2025", "apr\u0131l 2025", "april 2025"])
def test_a_month_has_its_meaning_also_with_the_i_of_another_language(query: str) -> None:
    assert find_spans(query, today=TODAY, years=[2026]) == [
        DateSpan(date(2025, 4, 1), date(2025, 4, 30))
    ]


def test_a_month_without_a_year_is_one_in_every_year_of_the_diary() -> None:
    spans = find_spans("in May", today=TODAY, years=[2024, 2025, 2026])

    assert sorted(span.first.year for span in spans) == [2024, 2025, 2026]


@given(
    st.text(
        st.sampled_from("0123456789-/ .,ofstndrdthMaylastweekagojune\u0130\u0131\u017f\u212a"),
        max_size=60,
    )
)
def test_no_text_is_an_error(query: str) -> None:
    find_spans(query, today=TODAY, years=range(2020, 2027))


@pytest.mark.parametrize(
    "query",
    [
        "5 May " * 166,
        " ".join(f"{day} {month}" for month in ("May", "June", "July") for day in range(1, 29)),
        "yesterday " * 100,
    ],
)
def test_however_many_dates_a_query_repeats_few_are_read(query: str) -> None:
    spans = find_spans(query, today=TODAY, years=range(1, 10_000))

    assert 0 < len(spans) <= MAX_NAMED * MAX_YEARS


def test_of_very_many_years_those_nearest_to_today_are_meant() -> None:
    spans = find_spans("5 May", today=TODAY, years=[1, 2024, 9999, 10_000, *range(1970, 2020)])

    assert date(2024, 5, 5) in {span.first for span in spans}
    assert len(spans) == MAX_YEARS


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("yesterday", date(2026, 3, 17), date(2026, 3, 17)),
        ("Last week", date(2026, 3, 9), date(2026, 3, 15)),
        ("the day before yesterday", date(2026, 3, 16), date(2026, 3, 16)),
        ("on Monday", date(2026, 3, 16), date(2026, 3, 16)),
        ("wednesday", TODAY, TODAY),
        ("this Friday", date(2026, 3, 20), date(2026, 3, 20)),
        ("in May", date(2025, 5, 1), date(2025, 5, 31)),
        ("march", date(2026, 3, 1), date(2026, 3, 31)),
        ("29 February", date(2024, 2, 29), date(2024, 2, 29)),
        ("May 2025", date(2025, 5, 1), date(2025, 5, 31)),
        ("the last 3 days", date(2026, 3, 15), TODAY),
        ("past two weeks", date(2026, 3, 4), TODAY),
        ("last 13 months", date(2025, 2, 18), TODAY),
        ("last 2 years", date(2024, 3, 18), TODAY),
        ("3 months ago", date(2025, 12, 1), date(2025, 12, 31)),
        ("2025", date(2025, 1, 1), date(2025, 12, 31)),
        ("2025-11", date(2025, 11, 1), date(2025, 11, 30)),
        ("2026-03-05", date(2026, 3, 5), date(2026, 3, 5)),
        ("5 March 2026", date(2026, 3, 5), date(2026, 3, 5)),
    ],
)
def test_a_whole_text_may_name_a_span(text: str, first: date, last: date) -> None:
    assert read_span(text, TODAY) == DateSpan(first, last)


@pytest.mark.parametrize(
    "text", ["", "soon", "2025-13", "0000", "last 9999 years", "yesterday or so", "05/03/2024"]
)
def test_a_text_that_is_not_one_span_as_a_whole_names_none(text: str) -> None:
    assert read_span(text, TODAY) is None


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("now", NOW, NOW),
        ("2 hours ago", datetime(2026, 3, 18, 7, 30, tzinfo=UTC), None),
        ("an Hour ago", datetime(2026, 3, 18, 8, 30, tzinfo=UTC), None),
        ("45 min ago", datetime(2026, 3, 18, 8, 45, tzinfo=UTC), None),
        ("45 M\u0130N ago", datetime(2026, 3, 18, 8, 45, tzinfo=UTC), None),
        ("5400 \u017fecond\u017f ago", datetime(2026, 3, 18, 8, 0, tzinfo=UTC), None),
        ("the last 24 hours", datetime(2026, 3, 17, 9, 30, tzinfo=UTC), NOW),
        ("last hour", datetime(2026, 3, 18, 8, 30, tzinfo=UTC), NOW),
        (
            "yesterday",
            datetime(2026, 3, 17, tzinfo=UTC),
            YESTERDAYS_END,
        ),
    ],
)
def test_a_period_is_instants_from_the_first_to_the_last(
    text: str, first: datetime, last: datetime | None
) -> None:
    assert read_period(text, NOW) == (first, last or first)


@pytest.mark.parametrize("text", ["hours", "2 hours", "ago", "9999999 hours ago", "now and then"])
def test_what_names_no_period_is_none(text: str) -> None:
    assert read_period(text, NOW) is None
