"""Days, months and spans of time that a query names.

A library that finds dates in any text reads too much into a query ("may", "on 2"); these few
forms are what people write in one.
"""

import calendar
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta

_MONTHS = {
    name.lower(): number
    for names in (calendar.month_name, calendar.month_abbr)
    for number, name in enumerate(names)
    if name
} | {"sept": 9}
_MONTH = "|".join(sorted(_MONTHS, key=len, reverse=True))
_WEEKDAYS = {name.lower(): number for number, name in enumerate(calendar.day_name)}
# As words they are something else; capitalised or with a year they are months.
_AMBIGUOUS_MONTHS = {"may", "march", "mar"}
_NUMBERS = {"a": 1, "an": 1, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6}
_DAYS_IN = {"day": 1, "week": 7, "month": 30, "year": 365}

Years = tuple[int, int]


@dataclass(frozen=True)
class DateSpan:
    """From the first day to the last, both included."""

    first: date
    last: date


def find_spans(query: str, *, today: date, years: Years) -> list[DateSpan]:
    """Every span that the query names; a day or month without a year is one in each of `years`."""
    spans: list[DateSpan] = []
    rest = query
    for pattern, read in _FORMS:
        kept: list[str] = []
        end = 0
        for match in pattern.finditer(rest):
            found = list(read(match, today, years))
            if found:
                spans += found
                kept += [rest[end : match.start()], " " * len(match[0])]
                end = match.end()
        rest = "".join([*kept, rest[end:]])
    return spans


def _iso_day(match: re.Match[str], _today: date, _years: Years) -> Iterator[DateSpan]:
    yield from _days(match["year"], int(match["month"]), int(match["day"]), (0, 0))


def _named_day(match: re.Match[str], _today: date, years: Years) -> Iterator[DateSpan]:
    yield from _days(match["year"], _MONTHS[match["month"].lower()], int(match["day"]), years)


def _named_month(match: re.Match[str], _today: date, years: Years) -> Iterator[DateSpan]:
    name = match["month"]
    is_month = name[0].isupper() or name.lower() not in _AMBIGUOUS_MONTHS
    if match["year"] or is_month:
        yield from _days(match["year"], _MONTHS[name.lower()], None, years)


def _relative_day(match: re.Match[str], today: date, _years: Years) -> Iterator[DateSpan]:
    day = today - timedelta(days=1 if match[0].lower() == "yesterday" else 0)
    yield DateSpan(day, day)


def _relative_period(match: re.Match[str], today: date, _years: Years) -> Iterator[DateSpan]:
    """The calendar's week, month or year: this one, or the one before."""
    back = match["which"].lower() in {"last", "past", "previous"}
    match match["unit"].lower():
        case "week":
            first = today - timedelta(days=today.weekday() + 7 * back)
            yield DateSpan(first, first + timedelta(days=6))
        case "month":
            first = (today.replace(day=1) - timedelta(days=int(back))).replace(day=1)
            yield DateSpan(first, _month_end(first))
        case "year":
            year = today.year - back
            yield DateSpan(date(year, 1, 1), date(year, 12, 31))
        case weekday:
            day = today - timedelta(days=(today.weekday() - _WEEKDAYS[weekday]) % 7 or 7 * back)
            yield DateSpan(day, day)


def _ago(match: re.Match[str], today: date, _years: Years) -> Iterator[DateSpan]:
    """About that long ago: the further back, the wider."""
    count = match["count"].lower()
    number = _NUMBERS.get(count) or int(count)
    days = _DAYS_IN[match["unit"].lower()]
    try:
        day = today - timedelta(days=number * days)
    except OverflowError:
        return
    yield DateSpan(day - timedelta(days=days // 3), day + timedelta(days=days // 3))


def _days(year: str | None, month: int, day: int | None, years: Years) -> Iterator[DateSpan]:
    for each in [int(year)] if year else range(years[0], years[1] + 1):
        try:
            first = date(each, month, day or 1)
        except ValueError:  # no such day in this year
            continue
        yield DateSpan(first, first if day else _month_end(first))


def _month_end(first: date) -> date:
    return first.replace(day=calendar.monthrange(first.year, first.month)[1])


_Reader = Callable[[re.Match[str], date, Years], Iterator[DateSpan]]
_YEAR = "(?P<year>[0-9]{4})"
_DAY = "(?P<day>[0-9]{1,2})(?:st|nd|rd|th)?"
_NAME = f"(?P<month>{_MONTH})"
_UNIT = f"(?P<unit>week|month|year|{'|'.join(_WEEKDAYS)})"
_COUNT = f"(?P<count>{'|'.join(_NUMBERS)}|[0-9]{{1,4}})"
_FORMS: tuple[tuple[re.Pattern[str], _Reader], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), read)
    for pattern, read in (
        (rf"\b{_YEAR}-(?P<month>[0-9]{{2}})-(?P<day>[0-9]{{2}})\b", _iso_day),
        (rf"\b{_DAY}(?:\s+of)?\s+{_NAME}\.?,?(?:\s+{_YEAR})?\b", _named_day),
        (rf"\b{_NAME}\.?\s+{_DAY}\b(?![0-9])(?:,?\s*{_YEAR}\b)?", _named_day),
        (rf"\b{_NAME}\b\.?,?(?:\s+(?:of\s+)?{_YEAR}\b)?", _named_month),
        (r"\b(?:today|yesterday)\b", _relative_day),
        (rf"\b(?P<which>last|past|previous|this)\s+{_UNIT}\b", _relative_period),
        (rf"\b{_COUNT}\s+(?P<unit>day|week|month|year)s?\s+ago\b", _ago),
    )
)
