"""Days, months and spans of time that a query names.

`dateparser` reads them. It would read too much into a whole query ("may", "on 2"), so it is given
only what has the form of a date. Importing it costs time, and waits for the first such query.
"""

import calendar
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from importlib import import_module
from typing import Protocol, cast

_MONTH = "|".join([*filter(None, calendar.month_name), "Sept", *filter(None, calendar.month_abbr)])
# As words they are something else; capitalised or with a year they are months.
_AMBIGUOUS_MONTHS = {"may", "march", "mar"}
_COUNT = "an?|one|two|three|four|five|six|seven|eight|nine|ten|[0-9]{1,4}"

Years = tuple[int, int]


@dataclass(frozen=True)
class DateSpan:
    """From the first day to the last, both included."""

    first: date
    last: date


class _DateData(Protocol):
    date_obj: datetime | None
    period: str


class _Parser(Protocol):
    def get_date_data(self, date_string: str) -> _DateData: ...


def find_spans(query: str, *, today: date, years: Years) -> list[DateSpan]:
    """Every span that the query names; a day or month without a year is one in each of `years`."""
    spans: list[DateSpan] = []
    rest = query
    for pattern, list_dates in _FORMS:
        kept: list[str] = []
        end = 0
        for match in pattern.finditer(rest):
            found = [span for text in list_dates(match, years) for span in _read(text, today)]
            if found:
                spans += found
                kept += [rest[end : match.start()], " " * len(match[0])]
                end = match.end()
        rest = "".join([*kept, rest[end:]])
    return spans


def _read(text: str, today: date) -> Iterator[DateSpan]:
    data = _parser(today).get_date_data(text)
    if data.date_obj is not None:
        yield _span(data.date_obj.date(), data.period)


def _span(day: date, period: str) -> DateSpan:
    """The day, or the calendar's week, month or year that it belongs to."""
    match period:
        case "week":
            first = day - timedelta(days=day.weekday())
            return DateSpan(first, first + timedelta(days=6))
        case "month":
            last = calendar.monthrange(day.year, day.month)[1]
            return DateSpan(day.replace(day=1), day.replace(day=last))
        case "year":
            return DateSpan(date(day.year, 1, 1), date(day.year, 12, 31))
        case _:
            return DateSpan(day, day)


def _parser(today: date) -> _Parser:
    settings = {
        "RELATIVE_BASE": datetime.combine(today, time(12)),
        "PREFER_DATES_FROM": "past",
    }
    dateparser = import_module("dateparser.date")
    return cast("_Parser", dateparser.DateDataParser(languages=["en"], settings=settings))


def _as_written(match: re.Match[str], _years: Years) -> Iterator[str]:
    yield match[0]


def _last(match: re.Match[str], _years: Years) -> Iterator[str]:
    yield f"last {match['unit']}"


def _in_each_year(match: re.Match[str], years: Years) -> Iterator[str]:
    """The day or month with its year, or with each year that it may be."""
    name = match["month"]
    if match["year"]:
        yield match[0]
    elif match["day"] or name[0].isupper() or name.lower() not in _AMBIGUOUS_MONTHS:
        yield from (f"{match['day'] or ''} {name} {year}" for year in range(years[0], years[1] + 1))


_ListDates = Callable[[re.Match[str], Years], Iterator[str]]
_YEAR = "(?P<year>[0-9]{4})"
_DAY = "(?P<day>[0-9]{1,2})(?:st|nd|rd|th)?"
_NAME = f"(?P<month>{_MONTH})"
_UNIT = f"(?P<unit>week|month|year|{'|'.join(calendar.day_name)})"
_FORMS: tuple[tuple[re.Pattern[str], _ListDates], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), list_dates)
    for pattern, list_dates in (
        (r"\b[0-9]{4}-[0-9]{2}-[0-9]{2}\b", _as_written),
        (rf"\b{_DAY}(?:\s+of)?\s+{_NAME}\b\.?,?(?:\s+{_YEAR}\b)?", _in_each_year),
        (rf"\b{_NAME}\b\.?\s+{_DAY}\b(?![0-9])(?:,?\s*{_YEAR}\b)?", _in_each_year),
        (rf"\b(?P<day>){_NAME}\b\.?,?(?:\s+(?:of\s+)?{_YEAR}\b)?", _in_each_year),
        (r"\b(?:today|tonight|(?:day\s+before\s+)?yesterday|(?:last|this)\s+night)\b", _as_written),
        (rf"\b(?:past|previous)\s+{_UNIT}\b", _last),
        (rf"\b(?:last|this)\s+{_UNIT}\b", _as_written),
        (rf"\b(?:{_COUNT})\s+(?:day|week|month|year)s?\s+ago\b", _as_written),
    )
)
