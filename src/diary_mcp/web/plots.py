"""Shapes of plots, which the templates draw as SVG: numbers in, coordinates out."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import accumulate

from diary_mcp.domain.fields import ENTRY_TYPES, EntryType
from diary_mcp.service.ports.reflection import DayCount, OpenedCount

WIDTH, HEIGHT = 440, 150
"""Of a plot without its labels."""

_DAY = timedelta(days=1)
_WEEK = timedelta(days=7)
_PITCH = 13
_LEVELS = 4
_MOST_WEEKS, _MOST_MONTHS = 26, 36
_MONTHS_A_YEAR = 12
_GAP = 0.2


@dataclass(frozen=True)
class Cell:
    """A day of the calendar; the level says how much was written, 0 for nothing."""

    day: date
    entries: int
    level: int
    x: int
    y: int


@dataclass(frozen=True)
class Calendar:
    """Weeks as columns, from Monday down."""

    cells: Sequence[Cell]
    months: Sequence[tuple[int, date]]
    """Where each month begins, and when."""

    width: int
    busiest: Cell

    @property
    def entries(self) -> int:
        return sum(cell.entries for cell in self.cells)

    @property
    def days(self) -> int:
        """On how many of them something was written."""
        return sum(cell.entries > 0 for cell in self.cells)


@dataclass(frozen=True)
class Segment:
    type: EntryType
    entries: int
    y: float
    height: float


@dataclass(frozen=True)
class Bar:
    """What was written from one day to another, by type."""

    label: str
    since: date
    until: date
    entries: int
    x: float
    segments: Sequence[Segment]


@dataclass(frozen=True)
class Bars:
    bars: Sequence[Bar]
    bar_width: float
    top: int
    """How many entries the height of the plot stands for."""

    period: str


@dataclass(frozen=True)
class Area:
    """A number over time, as the path of its outline; the line is the path without its ground."""

    line: str
    ground: str
    top: int
    now: int
    first: date


def draw_calendar(days: Sequence[DayCount], first: date, last: date) -> Calendar:
    """The days from `first` to `last`, both included."""
    counts = Counter[date]()
    for each in days:
        counts[each.day] += each.entries
    monday = first - first.weekday() * _DAY
    shown = [first + number * _DAY for number in range((last - first).days + 1)]
    most = max(counts[day] for day in shown)
    cells = [
        Cell(
            day=day,
            entries=counts[day],
            level=_level(counts[day], most),
            x=(day - monday).days // 7 * _PITCH,
            y=day.weekday() * _PITCH,
        )
        for day in shown
    ]
    months = [(cell.x + _PITCH * (cell.y > 0), cell.day) for cell in cells if cell.day.day == 1]
    return Calendar(cells, months, cells[-1].x + _PITCH, max(cells, key=lambda cell: cell.entries))


def draw_bars(days: Sequence[DayCount], today: date) -> Bars:
    """Entries by type: of each week, or of each month or year where there are many."""
    first, last = days[0].day, max(today, days[-1].day)
    period = _period(first, last)
    spans = list(_spans(period, first, last))
    counts: Mapping[date, Counter[EntryType]] = {since: Counter() for since, _ in spans}
    for each in days:
        counts[_begin(period, each.day)][each.type] += each.entries
    top = max(counter.total() for counter in counts.values())
    step = WIDTH / len(spans)
    bars = [
        Bar(
            label=_label(period, since),
            since=since,
            until=until,
            entries=counts[since].total(),
            x=number * step + step * _GAP / 2,
            segments=list(_stack(counts[since], top)),
        )
        for number, (since, until) in enumerate(spans)
    ]
    return Bars(bars, step * (1 - _GAP), top, period)


def draw_growth(days: Sequence[DayCount], today: date) -> Area:
    """How many entries there were."""
    return _draw_sum([(each.day, each.entries) for each in days], today)


def draw_open(problems: Sequence[OpenedCount], today: date) -> Area | None:
    """How many problems were open; `None` where there never was one."""
    return _draw_sum([(each.day, each.opened) for each in problems], today) if problems else None


def _draw_sum(changes: Sequence[tuple[date, int]], today: date) -> Area:
    first, last = changes[0][0], max(today, changes[-1][0])
    span = max((last - first).days, 1)
    values = list(accumulate(change for _, change in changes))
    top = max(*values, 1)
    steps = [f"M0 {HEIGHT}"]
    for (day, _), value in zip(changes, values, strict=True):
        steps.append(f"H{_short((day - first).days / span * WIDTH)}")
        steps.append(f"V{_short(HEIGHT - value / top * HEIGHT)}")
    line = "".join([*steps, f"H{WIDTH}"])
    return Area(line, f"{line}V{HEIGHT}Z", top, values[-1], first)


def _level(entries: int, most: int) -> int:
    return 0 if entries == 0 else 1 + (entries - 1) * _LEVELS // most


def _stack(counts: Mapping[EntryType, int], top: int) -> Iterator[Segment]:
    below = 0
    for entry_type in ENTRY_TYPES:
        if count := counts.get(entry_type, 0):
            below += count
            height = count / top * HEIGHT
            y = HEIGHT - below / top * HEIGHT
            yield Segment(entry_type, count, round(y, 1), round(height, 1))


def _period(first: date, last: date) -> str:
    if last - first < _MOST_WEEKS * _WEEK:
        return "week"
    months = (last.year - first.year) * _MONTHS_A_YEAR + last.month - first.month
    return "month" if months < _MOST_MONTHS else "year"


def _begin(period: str, day: date) -> date:
    if period == "week":
        return day - day.weekday() * _DAY
    return day.replace(day=1) if period == "month" else day.replace(month=1, day=1)


def _spans(period: str, first: date, last: date) -> Iterator[tuple[date, date]]:
    since = _begin(period, first)
    while True:
        try:
            after = _next(period, since)
        except (OverflowError, ValueError):  # The calendar ends.
            yield since, date.max
            return
        yield since, after - _DAY
        if after > last:
            return
        since = after


def _next(period: str, since: date) -> date:
    if period == "week":
        return since + _WEEK
    if period == "month" and since.month < _MONTHS_A_YEAR:
        return since.replace(month=since.month + 1)
    return since.replace(year=since.year + 1, month=1)


def _label(period: str, since: date) -> str:
    if period == "week":
        return f"week of {since:%-d %B %Y}"
    return f"{since:%B %Y}" if period == "month" else f"{since:%Y}"


def _short(number: float) -> str:
    return f"{number:.1f}".removesuffix(".0")
