"""What the plots of the page show, in numbers."""

from datetime import date, timedelta

from diary_mcp.domain.fields import EntryType
from diary_mcp.service.ports.reflection import DayCount, OpenedCount
from diary_mcp.web.plots import (
    HEIGHT,
    WIDTH,
    draw_bars,
    draw_calendar,
    draw_growth,
    draw_open,
)

SUNDAY = date(2026, 11, 29)


def count(day: date, entries: int, entry_type: EntryType = "note") -> DayCount:
    return DayCount(day, entry_type, entries)


def test_the_calendar_has_every_day_once_in_its_week_and_row() -> None:
    days = [count(SUNDAY, 8), count(SUNDAY, 2, "problem"), count(date(2026, 11, 23), 1)]

    calendar = draw_calendar(days, date(2026, 1, 1), date(2026, 12, 31))

    cells = {cell.day: cell for cell in calendar.cells}
    assert len(calendar.cells) == 365
    assert len({(cell.x, cell.y) for cell in calendar.cells}) == 365
    assert (cells[SUNDAY].entries, cells[SUNDAY].level) == (10, 4)
    assert (cells[date(2026, 11, 23)].level, cells[date(2026, 11, 24)].level) == (1, 0)
    assert cells[SUNDAY].x == cells[date(2026, 11, 23)].x
    assert cells[SUNDAY].y > cells[date(2026, 11, 23)].y == 0
    assert (calendar.entries, calendar.days, calendar.busiest.day) == (11, 2, SUNDAY)
    assert [month.month for _, month in calendar.months] == list(range(1, 13))


def test_a_calendar_without_an_entry_is_empty_and_no_error() -> None:
    calendar = draw_calendar([], date(2025, 1, 1), date(2025, 12, 31))

    assert {cell.level for cell in calendar.cells} == {0}


def test_bars_are_of_weeks_months_or_years_and_lose_no_entry() -> None:
    for span, period in ((10, "week"), (400, "month"), (4_000, "year")):
        days = [count(SUNDAY - timedelta(days=span), 3), count(SUNDAY, 1, "decision")]

        drawn = draw_bars(days, SUNDAY)

        assert drawn.period == period
        assert sum(bar.entries for bar in drawn.bars) == 4
        assert drawn.bars[0].since <= days[0].day <= drawn.bars[0].until
        assert drawn.bars[-1].since <= SUNDAY <= drawn.bars[-1].until
        assert all(
            one.until + timedelta(days=1) == other.since
            for one, other in zip(drawn.bars, drawn.bars[1:], strict=False)
        )
        assert 0 <= drawn.bars[0].x <= drawn.bars[-1].x + drawn.bar_width <= WIDTH


def test_a_bar_is_as_high_as_its_types_together() -> None:
    drawn = draw_bars([count(SUNDAY, 3), count(SUNDAY, 1, "problem")], SUNDAY)

    (bar,) = drawn.bars
    assert [(part.type, part.entries) for part in bar.segments] == [("problem", 1), ("note", 3)]
    assert sum(part.height for part in bar.segments) == HEIGHT
    assert min(part.y for part in bar.segments) == 0


def test_growth_ends_at_what_there_is_and_open_problems_come_down_again() -> None:
    start = SUNDAY - timedelta(days=10)
    growth = draw_growth([count(start, 3), count(SUNDAY, 1)], SUNDAY)
    problems = draw_open([OpenedCount(start, 2), OpenedCount(SUNDAY, -2)], SUNDAY)

    assert (growth.now, growth.top, growth.line) == (4, 4, "M0 150H0V37.5H440V0H440")
    assert problems is not None
    assert (problems.now, problems.top, problems.line) == (0, 2, "M0 150H0V0H440V150H440")
    assert draw_open([], SUNDAY) is None


def test_what_is_dated_later_than_today_is_drawn_too() -> None:
    days = [count(SUNDAY, 1), count(SUNDAY + timedelta(days=30), 2)]

    assert sum(bar.entries for bar in draw_bars(days, SUNDAY).bars) == 3
    assert draw_growth(days, SUNDAY).now == 3


def test_the_first_and_the_last_day_there_are_can_be_drawn() -> None:
    for days in ([count(date.min, 1), count(date.max, 2)], [count(date.max, 3)]):
        assert sum(bar.entries for bar in draw_bars(days, SUNDAY).bars) == 3
        assert draw_growth(days, SUNDAY).now == 3
    assert draw_calendar(days, date(9999, 1, 1), date.max).entries == 3
    assert draw_calendar([], date.min, date(1, 12, 31)).entries == 0


def test_the_last_week_ends_where_the_calendar_does() -> None:
    (*_, bar) = draw_bars([count(date.max, 1)], date.max).bars

    assert bar.until == date.max
