"""Times as people and programs write them: every form that names one instant, or one day.

What could be one of two is none: 05/03/2024 is a day in March or in May, and CST an hour in
Chicago or in Shanghai.
"""

import calendar
import re
from datetime import UTC, date, datetime, time, timedelta, timezone
from functools import cache

_LONGEST = 100
_SAME = str.maketrans(
    {
        **dict.fromkeys("\u00a0\u2007\u2009\u202f", " "),  # ICU writes 9:30 PM with such a space
        **dict.fromkeys("\u2010\u2011\u2212", "-"),  # and ISO 8601 an offset with a minus sign
    }
)
MONTHS = {
    name.lower(): number
    for names in (calendar.month_name, calendar.month_abbr)
    for number, name in enumerate(names)
    if name
} | {"sept": 9}
MONTH = "|".join(sorted(MONTHS, key=len, reverse=True))

_WEEKDAY = rf"(?:(?:{'|'.join([*calendar.day_name, *calendar.day_abbr])})\b\.?,?\s*)?"
_DAY = r"(?P<day>\d{1,2})(?:st|nd|rd|th)?"
_CLOCK = (
    r"(?P<hour>\d{1,2}):(?P<minute>\d\d)(?::(?P<second>\d\d)(?:[.,](?P<fraction>\d+))?)?"
    r"(?:\s*(?P<half>[ap])\.?m\b\.?)?"
)
_BASIC_CLOCK = r"(?P<hour>\d\d)(?P<minute>\d\d)(?:(?P<second>\d\d)(?:[.,](?P<fraction>\d+))?)?"
_ZONE = (
    r"(?:\s*(?:(?:Z|UTC|GMT|UT)(?![a-z])|(?=[+-]))"
    r"(?:(?P<sign>[+-])(?P<hours>\d\d?)(?::?(?P<minutes>\d\d))?"
    # Go writes what people call the offset behind it; only one of nothing can be UTC's.
    r"(?:\s+(?:(?<=[+-]0000\s)(?:UTC|GMT)|(?!UTC|GMT)(?-i:[A-Z]{3,5}))\b)?)?"
    r"(?:\s*(?:\[[^]]*\]|\([^)]*\)))*)?"
)
_TIME = rf"(?:(?:\s*T\s*|,?\s+(?:at\s+)?){_CLOCK}{_ZONE})?"
_FORMS = (
    rf"(?P<year>\d{{4}})(?P<mark>[-/.])(?P<month>\d\d?)(?P=mark)(?P<day>\d\d?){_TIME}",
    rf"(?P<year>\d{{4}})(?P<month>\d\d)(?P<day>\d\d)(?:T?{_BASIC_CLOCK}{_ZONE})?",
    rf"(?P<year>\d{{4}})-?W(?P<week>\d\d)-?(?P<weekday>[1-7]){_TIME}",
    rf"(?P<year>\d{{4}})-(?P<ordinal>\d{{3}}){_TIME}",
    rf"{_DAY}(?:\s+of)?[\s-]*(?P<month>{MONTH})\b\.?,?[\s-]*(?P<year>\d{{4}}){_TIME}",
    rf"(?P<month>{MONTH})\b\.?\s*{_DAY},?\s+(?P<year>\d{{4}}){_TIME}",
    rf"(?P<month>{MONTH})\s+(?P<day>\d\d?)\s+{_CLOCK}{_ZONE}\s+(?P<year>\d{{4}})",
    rf"(?P<month>{MONTH})\s+(?P<day>\d\d?)\s+{_CLOCK}\s+(?P<year>\d{{4}}){_ZONE}",
)


def read_time(text: str) -> date | datetime | None:
    """The instant that `text` names, or the day; `None` where it names neither.

    Without an offset it is UTC. A leap second is the instant after it, as POSIX counts, and what
    is finer than a microsecond is cut off.

    Raises:
        OverflowError: it names an instant that is not in the years 1 to 9999 of UTC.
    """
    if len(text) > _LONGEST:
        return None
    plain = text.translate(_SAME).strip(" \t")
    for form in _FORMS:
        found = _compile(form).fullmatch(plain)
        if found:
            try:
                return _read(found.groupdict())
            except ValueError:  # a day or an hour that no calendar or clock has
                return None
    return None


# Compiling them all takes longer than starting may.
@cache
def _compile(form: str) -> re.Pattern[str]:
    return re.compile(_WEEKDAY + form, re.ASCII | re.IGNORECASE)


def _read(found: dict[str, str | None]) -> date | datetime:
    day = _read_day(found)
    if found.get("hour") is None:
        return day
    clock, later = _read_clock(found)
    moment = datetime.combine(day, clock, _read_zone(found)).astimezone(UTC) + later
    if found["second"] == "60" and moment.replace(microsecond=0).time() != time(0):
        raise ValueError("a second 60 is there at midnight only")
    return moment


def _read_day(found: dict[str, str | None]) -> date:
    year = int(found["year"] or 0)
    if found.get("week"):
        return date.fromisocalendar(year, int(found["week"] or 0), int(found["weekday"] or 0))
    if found.get("ordinal"):
        day = date(year, 1, 1) + timedelta(days=int(found["ordinal"] or 0) - 1)
        if day.year != year:
            raise ValueError("a day that the year does not have")
        return day
    month = found["month"] or ""
    return date(year, MONTHS.get(month.lower()) or int(month), int(found["day"] or 0))


def _read_clock(found: dict[str, str | None]) -> tuple[time, timedelta]:
    """The time of the day, and how much later it is in truth: 24:00, or a leap second."""
    hour, minute, second = (int(found[name] or 0) for name in ("hour", "minute", "second"))
    fraction = int((found["fraction"] or "")[:6].ljust(6, "0"))
    half = found.get("half")
    if half:
        if not 1 <= hour <= 12:  # noqa: PLR2004  # a clock's
            raise ValueError("no hour of half a day")
        hour = hour % 12 + (12 if half in "pP" else 0)
    if (hour, minute, second, fraction) == (24, 0, 0, 0):
        return time(0), timedelta(days=1)
    if second == 60:  # noqa: PLR2004  # a leap second
        return time(hour, minute, 59, fraction), timedelta(seconds=1)
    return time(hour, minute, second, fraction), timedelta()


def _read_zone(found: dict[str, str | None]) -> timezone:
    hours, minutes = int(found["hours"] or 0), int(found["minutes"] or 0)
    if hours > 23 or minutes > 59:  # noqa: PLR2004  # a clock's
        raise ValueError("no offset")
    offset = timedelta(hours=hours, minutes=minutes)
    return timezone(-offset if found["sign"] == "-" else offset)
