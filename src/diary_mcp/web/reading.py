"""The pages that show: the timeline, a search, an entry and what it said before, tags, status."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from types import MappingProxyType

import anyio.to_thread
from pydantic import ValidationError
from starlette.responses import Response

from diary_mcp.domain.diaries import EVERYTHING, MAIN, DiaryName
from diary_mcp.domain.entry import Entry, EntrySummary, Share
from diary_mcp.domain.errors import DiaryError
from diary_mcp.domain.fields import ENTRY_TYPES, AgentName
from diary_mcp.server.caller import Caller
from diary_mcp.server.tools.arguments import ListArguments, SearchArguments, TagsArguments
from diary_mcp.service.diary import Diary
from diary_mcp.web.comparison import compare
from diary_mcp.web.corrections import find_chain
from diary_mcp.web.markdown import render_markdown
from diary_mcp.web.page_requests import Visit, told
from diary_mcp.web.signature import say_signature

_ENTRIES_A_PAGE = 30
_EVENTS_A_PAGE = 50
_SHARES_AT_ONCE = 100
_MOST_NAMES = 100
_MOST_TAGS = 200
# A page does not wait for a long chain; whoever wants that asks for it.
_CHECK_S = 1.0
_WHOLE_CHECK_S = 20.0
_FILTERS = ("type", "tag", "session", "author", "since", "until", "standing")


async def timeline(visit: Visit) -> Response:
    """A diary by day, or the caller's own entries where none is named."""
    return await _list(visit, {}, "timeline.html")


async def shared(visit: Visit) -> Response:
    """What others let the caller read, by day, in whichever diary it is."""
    return await _list(visit, {"scope": "shared", "diary": EVERYTHING}, "shared.html")


async def search(visit: Visit) -> Response:
    """What `diary_search` finds, with why."""
    given = visit.query("query", "type", "mode", "superseded", "cursor")
    if "query" not in given:
        return visit.show("search.html", given=given, types=ENTRY_TYPES, page=None)
    asked = SearchArguments.model_validate(
        {
            "query": given["query"],
            "include_superseded": "superseded" in given,
            **visit.keep,
            **({"types": [given["type"]]} if "type" in given else {}),
            **{name: given[name] for name in ("mode", "cursor") if name in given},
        }
    )
    page = await visit.read(
        lambda diary: diary.search.search(
            visit.caller.agent,
            asked.query,
            asked.filters,
            mode=asked.mode,
            cursor=asked.cursor,
            limit=asked.limit,
            current=visit.caller.diary,
        )
    )
    return visit.show("search.html", given=given, types=ENTRY_TYPES, page=page)


async def audit(visit: Visit) -> Response:
    """Who shared what with whom, as far as the caller gave it or was given it."""
    cursor = visit.query("cursor").get("cursor")
    page = await visit.read(
        lambda diary: diary.trail.list_given(visit.caller.agent, cursor, _EVENTS_A_PAGE)
    )
    return visit.show("audit.html", trail=page)


async def entry(visit: Visit) -> Response:
    """One entry, with everything that is to be said about it."""
    return await show_entry(visit)


async def show_entry(
    visit: Visit,
    *,
    error: DiaryError | ValidationError | None = None,
    given: Mapping[str, str] = MappingProxyType({}),
) -> Response:
    """The page of an entry; with what went wrong with a form on it, and what had been typed."""
    reference: str = visit.request.path_params["entry_id"]
    seconds = _WHOLE_CHECK_S if visit.query("check") else _CHECK_S
    status, problem = (200, None) if error is None else told(error)
    agent = visit.caller.agent

    async def look(diary: Diary) -> Response:
        found = await diary.entries.get(agent, reference)
        is_own = found.role == "owner"
        chain = await find_chain(diary, agent, found)
        report = await diary.verification.verify(agent, str(found.id), most_seconds=seconds)
        return visit.show(
            "entry.html",
            status,
            entry=found,
            html=await anyio.to_thread.run_sync(render_markdown, found.content),
            chain=chain,
            superseded_by=next(
                (step.entry for step in chain if step.entry.id == found.superseded_by), None
            ),
            received=None if is_own else await diary.sharing.find_received(agent, found),
            signature=say_signature(found, report),
            lies_in=lies_in(found, agent),
            problem=problem,
            typed=given,
            **(await _of_owner(diary, visit.caller, found) if is_own else {}),
        )

    return await visit.read(look)


async def _of_owner(diary: Diary, caller: Caller, entry: Entry) -> dict[str, object]:
    """What only the owner sees of an entry."""
    agent = caller.agent
    history = await diary.history.list_versions(agent, str(entry.id))
    return {
        "shares": await list_all_shares(diary, agent, entry),
        "earlier": history.earlier,
        "names": await list_names(diary),
        "diaries": await list_writable(diary, caller),
    }


async def list_names(diary: Diary) -> list[str]:
    """Whom one may share with, to choose from while one types."""
    return await diary.suggestions.list_names("", _MOST_NAMES)


async def list_writable(diary: Diary, caller: Caller) -> list[str]:
    """The diaries that the caller may write into, the current one first."""
    found = await diary.diaries.list(caller.agent, caller.diary, counted=False)
    names = [each.full_name.seen_by(caller.agent) for each in found if each.role != "viewer"]
    current = caller.diary
    if current is None or current in names or "/" in current:
        return names
    return [current, *names]  # Its first entry makes it.


def lies_in(entry: Entry, agent: AgentName) -> str | None:
    """The diary of an entry as the agent names it; `None` where it is not to know."""
    if entry.diary is not None:
        return DiaryName(entry.diary.owner, entry.diary.name).seen_by(agent)
    return MAIN if entry.role == "owner" else None


async def list_all_shares(diary: Diary, agent: AgentName, entry: Entry) -> list[Share]:
    """With whom an entry of the agent's is shared."""
    shares: list[Share] = []
    cursor: str | None = None
    while True:
        page = await diary.listing.list_shares(agent, str(entry.id), cursor, _SHARES_AT_ONCE)
        shares += page.rows
        cursor = page.next_cursor
        if cursor is None:
            return shares


async def comparison(visit: Visit) -> Response:
    """Two versions of an entry of the caller's, and what is different between them."""
    reference: str = visit.request.path_params["entry_id"]
    given = visit.query("old", "new")
    agent = visit.caller.agent

    async def look(diary: Diary) -> Response:
        history = await diary.history.list_versions(agent, reference)
        present = history.entry
        numbers = [present.version, *(each.version for each in history.earlier)]
        new = number(given.get("new"), present.version)
        old = number(given.get("old"), max(1, new - 1))
        after = await diary.history.get_version(agent, reference, new)
        before = await diary.history.get_version(agent, reference, old)
        return visit.show(
            "comparison.html",
            entry=present,
            before=before,
            after=after,
            numbers=numbers,
            lines=await anyio.to_thread.run_sync(compare, before.content, after.content),
        )

    return await visit.read(look)


async def tags(visit: Visit) -> Response:
    """The caller's tags, the most used first."""
    prefix = visit.query("prefix").get("prefix", "")
    asked = TagsArguments.model_validate({"prefix": prefix, "limit": _MOST_TAGS, **visit.keep})
    found, notice = await visit.read(
        lambda diary: diary.listing.list_tags(
            visit.caller.agent,
            asked.prefix,
            asked.limit,
            diary=asked.diary,
            current=visit.caller.diary,
        )
    )
    return visit.show("tags.html", tags=found, prefix=prefix, most=_MOST_TAGS, notice=notice)


async def status(visit: Visit) -> Response:
    """Who one is here, and whether all is well."""
    agent = visit.caller.agent
    whole = bool(visit.query("check"))

    async def look(diary: Diary) -> Response:
        whoami = await diary.listing.whoami(agent)
        chain = await diary.signing.describe(agent)
        health = None if visit.desk.look is None else await visit.desk.look(whole)
        return visit.show(
            "status.html",
            whoami=whoami,
            chain=chain,
            backends=diary.backends,
            health=health,
            whole=whole,
        )

    return await visit.read(look)


async def _list(visit: Visit, fixed: Mapping[str, str], template: str) -> Response:
    given = visit.query(*_FILTERS, "cursor")
    asked = ListArguments.model_validate(
        {
            "limit": _ENTRIES_A_PAGE,
            "include_superseded": "standing" not in given,
            **visit.keep,
            **fixed,
            **({"types": [given["type"]]} if "type" in given else {}),
            **({"tags": [given["tag"]]} if "tag" in given else {}),
            **{
                name: given[name]
                for name in ("session", "author", "since", "until", "cursor")
                if name in given
            },
        }
    )
    page = await visit.read(
        lambda diary: diary.listing.list_entries(
            visit.caller.agent,
            asked.filters,
            asked.cursor,
            asked.limit,
            current=visit.caller.diary,
        )
    )
    days = _by_day(page.rows)
    return visit.show(template, page=page, days=days, given=given, types=ENTRY_TYPES)


def _by_day(rows: Sequence[EntrySummary]) -> list[tuple[str, list[EntrySummary]]]:
    return [
        (f"{day:%A, %-d %B %Y}", list(entries))
        for day, entries in groupby(rows, key=lambda row: row.date.date())
    ]


def number(text: str | None, otherwise: int) -> int:
    """The version that an address or a form names."""
    return int(text) if text is not None and text.isdecimal() and len(text) < 10 else otherwise  # noqa: PLR2004  # what a version can be
