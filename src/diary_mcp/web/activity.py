"""The page on which one looks rather than reads: a calendar, and plots of what was written."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

from starlette.responses import Response

from diary_mcp.domain.fields import ENTRY_TYPES, EntryType
from diary_mcp.service.ports.reflection import DayCount
from diary_mcp.web.page_requests import Visit
from diary_mcp.web.plots import HEIGHT, WIDTH, draw_bars, draw_calendar, draw_growth, draw_open

_YEAR = timedelta(weeks=53) - timedelta(days=1)


async def activity(visit: Visit) -> Response:
    """The last year of a diary, or the year that the address names, and all of it as plots."""
    given = visit.query("year")
    found = await visit.read(
        lambda diary: diary.reflection.look_back(
            visit.caller.agent, visit.keep.get("diary"), current=visit.caller.diary
        )
    )
    days = found.days
    if not days:
        return visit.show("activity.html", days=days, notice=found.notice)
    today = datetime.now(UTC).date()
    years = sorted({each.day.year for each in days}, reverse=True)
    year = next((each for each in years if str(each) == given.get("year")), None)
    last = today if year is None else date(year, 12, 31)
    first = last - _YEAR if year is None else date(year, 1, 1)
    return visit.show(
        "activity.html",
        days=days,
        notice=found.notice,
        calendar=draw_calendar(days, first, last),
        first=first,
        last=last,
        years=years,
        year=year,
        by_type=_by_type(days),
        bars=draw_bars(days, today),
        growth=draw_growth(days, today),
        problems=draw_open(found.problems, today),
        width=WIDTH,
        height=HEIGHT,
        today=today,
    )


def _by_type(days: Sequence[DayCount]) -> list[tuple[EntryType, int]]:
    counts = Counter[EntryType]()
    for each in days:
        counts[each.type] += each.entries
    return [(each, counts[each]) for each in ENTRY_TYPES if counts[each]]
