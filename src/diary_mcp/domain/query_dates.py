"""Days, months and spans of time that a query names.

Only what has the form of a date is read as one: "may" and "2 on" are words. How much is read is
bounded, whatever a query repeats: `MAX_NAMED` dates, each in `MAX_YEARS` years at most.
"""

import calendar
import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cache

from diary_mcp.domain.time_parsing import MONTH, MONTHS, read_time

MAX_NAMED = 32
MAX_YEARS = 50

# As words they are something else; capitalised or with a year they are months.
_AMBIGUOUS_MONTHS = {"may", "march", "mar"}
_COUNTS = ("", "a", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_NUMBERS = {word: number for number, word in enumerate(_COUNTS)} | {"an": 1, "one": 1}
_DAYS_AGO = {
    "today": 0, "tonight": 0, "this night": 0, "yesterday": 1, "last night": 1,
    "day before yesterday": 2,
}  # fmt: skip
_WEEKDAYS = [name.lower() for name in calendar.day_name]
# `re.IGNORECASE` takes these for i and s, and `str.lower` does not.
_SAME_LETTERS = str.maketrans("\u0130\u0131\u017f", "Iis")


@dataclass(frozen=True)
class DateSpan:
    """From the first day to the last, both included."""

    first: date
    last: date


def find_spans(query: str, *, today: date, years: Collection[int]) -> list[DateSpan]:
    """Every span that the query names; a day or month without a year is one in each of `years`.

    Where these are many, one in each of those that are nearest to today.
    """
    nearest = sorted(years, key=lambda year: (abs(year - today.year), year))[:MAX_YEARS]
    spans: dict[DateSpan, None] = {}
    rest, named = query.translate(_SAME_LETTERS), 0
    for pattern, list_spans in _forms():
        kept: list[str] = []
        end = 0
        for match in pattern.finditer(rest):
            found = _list_possible(list_spans, match, today, nearest)
            if found and named < MAX_NAMED:
                named += 1
                spans |= dict.fromkeys(found)
                kept += [rest[end : match.start()], " " * len(match[0])]
                end = match.end()
        rest = "".join([*kept, rest[end:]])
    return list(spans)


def read_span(text: str, today: date) -> DateSpan | None:
    """The one span that the whole of `text` names, such as "yesterday", "last week" or "May 2025".

    `None` where it names none. What has no year is the last that began: "in May" is this year's,
    or last year's where May is still to come.
    """
    # A month's name alone is a word or a month; here it is the month.
    words = _without_leading(text).capitalize()
    day = read_time(words)
    if isinstance(day, date) and not isinstance(day, datetime):
        return DateSpan(day, day)
    for pattern, list_spans in (*_forms(), *_whole_forms()):
        match = pattern.fullmatch(words)
        if match:
            years = range(today.year - 8, today.year + 1)
            spans = _list_possible(list_spans, match, today, years)
            begun = [span for span in spans if span.first <= today]
            return max(begun or spans, key=lambda span: span.first, default=None)
    return None


def read_period(text: str, now: datetime) -> tuple[datetime, datetime] | None:
    """The first and the last instant that the whole of `text` names, in UTC.

    Beside what `read_span` reads, "now", "2 hours ago" and "the last 24 hours". `None` where it
    names none.
    """
    words = _without_leading(text)
    if words.lower() == "now":
        return now, now
    hours = re.fullmatch(_HOURS, words, re.IGNORECASE)
    if hours is None:
        span = read_span(text, now.date())
        return span and _as_instants(span)
    length = timedelta(seconds=_SECONDS[hours["unit"].lower()] * _number(hours["count"] or "a"))
    return now - length, now if hours["last"] else now - length


def _as_instants(span: DateSpan) -> tuple[datetime, datetime]:
    return datetime.combine(span.first, time.min, UTC), datetime.combine(span.last, time.max, UTC)


def _list_possible(
    list_spans: "_ListSpans", match: re.Match[str], today: date, years: Collection[int]
) -> list[DateSpan]:
    """What the match names; nothing where that is beyond the calendar."""
    try:
        return list(list_spans(match, today, years))
    except (ValueError, OverflowError):
        return []


def _day(match: re.Match[str], _today: date, _years: Collection[int]) -> Iterator[DateSpan]:
    day = date.fromisoformat(match[0])
    yield DateSpan(day, day)


def _in_each_year(match: re.Match[str], _today: date, years: Collection[int]) -> Iterator[DateSpan]:
    """The day or month with its year, or with each year that it may be."""
    name, day = match["month"], match["day"]
    month = MONTHS[name.lower()]
    if match["year"]:
        years = [int(match["year"])]
    elif not day and not name[0].isupper() and name.lower() in _AMBIGUOUS_MONTHS:
        return
    for year in years:
        if not day:
            yield _month(year, month)
        elif 1 <= int(day) <= calendar.monthrange(year, month)[1]:
            named = date(year, month, int(day))
            yield DateSpan(named, named)


def _near_today(match: re.Match[str], today: date, _years: Collection[int]) -> Iterator[DateSpan]:
    day = today - timedelta(days=_DAYS_AGO[" ".join(match[0].lower().split())])
    yield DateSpan(day, day)


def _beside(match: re.Match[str], today: date, _years: Collection[int]) -> Iterator[DateSpan]:
    """This or the last of a unit of the calendar; the last Monday is the one before today."""
    unit, is_last = match["unit"].lower(), match["which"].lower() != "this"
    if unit not in _WEEKDAYS:
        yield _ago(today, unit, int(is_last))
        return
    ago = today.weekday() - _WEEKDAYS.index(unit)
    day = today - timedelta(days=(ago % 7 or 7) if is_last else ago)
    yield DateSpan(day, day)


def _some_ago(match: re.Match[str], today: date, _years: Collection[int]) -> Iterator[DateSpan]:
    yield _ago(today, match["unit"].lower(), _number(match["count"]))


def _until_today(match: re.Match[str], today: date, _years: Collection[int]) -> Iterator[DateSpan]:
    """The last three days are these and today's."""
    count, unit = _number(match["count"]), match["unit"].lower()
    if unit in ("day", "week"):
        first = today - timedelta(days=count * (7 if unit == "week" else 1))
    else:
        month = _month_ago(today, count * (12 if unit == "year" else 1))
        first = month.first.replace(day=min(today.day, month.last.day))
    yield DateSpan(first, today)


def _weekday(match: re.Match[str], today: date, _years: Collection[int]) -> Iterator[DateSpan]:
    """The last one, which may be today."""
    day = today - timedelta(days=(today.weekday() - _WEEKDAYS.index(match[0].lower())) % 7)
    yield DateSpan(day, day)


def _numbered(match: re.Match[str], _today: date, _years: Collection[int]) -> Iterator[DateSpan]:
    year = int(match["year"])
    if match["month"]:
        yield _month(year, int(match["month"]))
    else:
        yield DateSpan(date(year, 1, 1), date(year, 12, 31))


def _ago(today: date, unit: str, count: int) -> DateSpan:
    """The day, or the calendar's week, month or year, that was so long ago."""
    match unit:
        case "day":
            day = today - timedelta(days=count)
            return DateSpan(day, day)
        case "week":
            first = today - timedelta(days=today.weekday() + 7 * count)
            return DateSpan(first, first + timedelta(days=6))
        case "month":
            return _month_ago(today, count)
        case _:
            year = today.year - count
            return DateSpan(date(year, 1, 1), date(year, 12, 31))


def _month_ago(today: date, count: int) -> DateSpan:
    year, month = divmod(today.year * 12 + today.month - 1 - count, 12)
    return _month(year, month + 1)


def _month(year: int, month: int) -> DateSpan:
    first = date(year, month, 1)
    return DateSpan(first, first.replace(day=calendar.monthrange(year, month)[1]))


def _without_leading(text: str) -> str:
    words = text.strip().translate(_SAME_LETTERS)
    return re.sub(_LEADING, "", words, flags=re.IGNORECASE)


def _number(count: str) -> int:
    return int(count) if count.isdecimal() else _NUMBERS[count.lower()]


_ListSpans = Callable[[re.Match[str], date, Collection[int]], Iterator[DateSpan]]
_COUNT = (
    rf"(?P<count>{'|'.join(sorted(filter(None, _NUMBERS), key=len, reverse=True))}|[0-9]{{1,4}})"
)
_YEAR = "(?P<year>[0-9]{4})"
_DAY = "(?P<day>[0-9]{1,2})(?:st|nd|rd|th)?"
_NAME = f"(?P<month>{MONTH})"
_UNIT = "(?P<unit>day|week|month|year)"
_LAST = "last|past|previous"
_SECONDS = {"hour": 3600, "hr": 3600, "minute": 60, "min": 60, "second": 1, "sec": 1}
_LEADING = r"^(?:on|in|during|since|from|until|the)\s+(?:the\s+)?"
_HOURS = (
    rf"(?:(?P<last>{_LAST})\s+)?(?:{_COUNT}\s+)?(?P<unit>{'|'.join(_SECONDS)})s?(?(last)|\s+ago)"
)


def _compiled(*forms: tuple[str, _ListSpans]) -> tuple[tuple[re.Pattern[str], _ListSpans], ...]:
    return tuple((re.compile(pattern, re.IGNORECASE), list_spans) for pattern, list_spans in forms)


# Compiled where somebody asks for a time: that takes longer than reading this file.
@cache
def _forms() -> tuple[tuple[re.Pattern[str], _ListSpans], ...]:
    return _compiled(
        (r"\b[0-9]{4}-[0-9]{2}-[0-9]{2}\b", _day),
        (rf"\b{_DAY}(?:\s+of)?\s+{_NAME}\b\.?,?(?:\s+{_YEAR}\b)?", _in_each_year),
        (rf"\b{_NAME}\b\.?\s+{_DAY}\b(?![0-9])(?:,?\s*{_YEAR}\b)?", _in_each_year),
        (rf"\b(?P<day>){_NAME}\b\.?,?(?:\s+(?:of\s+)?{_YEAR}\b)?", _in_each_year),
        (r"\b(?:today|tonight|(?:day\s+before\s+)?yesterday|(?:last|this)\s+night)\b", _near_today),
        (
            rf"\b(?P<which>{_LAST}|this)\s+(?P<unit>week|month|year|{'|'.join(_WEEKDAYS)})\b",
            _beside,
        ),
        (rf"\b{_COUNT}\s+{_UNIT}s?\s+ago\b", _some_ago),
    )


@cache
def _whole_forms() -> tuple[tuple[re.Pattern[str], _ListSpans], ...]:
    """What is no date within a sentence."""
    return _compiled(
        (rf"(?:{_LAST})\s+{_COUNT}\s+{_UNIT}s?", _until_today),
        ("|".join(_WEEKDAYS), _weekday),
        (rf"{_YEAR}(?:-(?P<month>[0-9]{{1,2}}))?", _numbered),
    )
