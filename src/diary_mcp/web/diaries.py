"""The pages of diaries: which there are, who may do what in them, and moving entries."""

from collections.abc import Mapping
from types import MappingProxyType

from pydantic import ValidationError
from starlette.responses import Response

from diary_mcp.domain.diaries import MAIN, DiaryName, DiaryShare, parse_diary_name
from diary_mcp.domain.errors import DiaryError, NotFoundError
from diary_mcp.domain.fields import AgentName, Grantee
from diary_mcp.server.tools.arguments import (
    DiariesArguments,
    ShareArguments,
    UnshareArguments,
    UpdateArguments,
    check_label,
)
from diary_mcp.server.tools.results import DiaryResult, show_diary
from diary_mcp.service.diary import Diary
from diary_mcp.web.page_requests import Refusal, Visit, told
from diary_mcp.web.reading import list_names, number, show_entry

_ROLES_AT_ONCE = 100
_NOTHING: Mapping[str, str] = MappingProxyType({})


async def diaries(visit: Visit) -> Response:
    """Those that the caller may read, with its role in each."""
    return await _show_diaries(visit)


async def make(visit: Visit) -> Response:
    """Makes a diary of the caller's; one that is there is no error."""
    given = await visit.form()
    try:
        asked = DiariesArguments.model_validate({"open": given.get("name", "").strip()})
        name = asked.open or ""
        await visit.ask(
            "diary:write",
            "Making a diary",
            lambda diary: diary.diaries.open(visit.caller.agent, name),
        )
    except Refusal as error:
        return await _show_diaries(visit, error=error, given=given)
    return visit.go("/diaries", done="made")


async def diary(visit: Visit) -> Response:
    """One diary: who may read and write in it, and what its owner can do with it."""
    return await _show_diary(visit, visit.query("name").get("name", MAIN))


async def share(visit: Visit) -> Response:
    """Gives an agent or a group a role on the diary."""
    given = await visit.form()
    name = given.get("name", "")
    try:
        asked = ShareArguments.model_validate(
            {
                "diary": name,
                "with": given.get("with", "").strip(),
                "role": given.get("role", "viewer"),
                "expires_at": given.get("expires_at") or None,
                "note": given.get("note") or None,
            }
        )
        await visit.ask(
            "diary:share",
            "Giving a role",
            lambda diary: diary.diaries.share(
                visit.caller.agent,
                name,
                Grantee(asked.grantee),
                role=asked.role,
                expires_at=asked.expires_at,
                note=asked.note,
            ),
        )
    except Refusal as error:
        return await _show_diary(visit, name, error=error, given=given)
    return visit.go("/diary", name=name, done="given")


async def unshare(visit: Visit) -> Response:
    """Takes a role back."""
    given = await visit.form()
    name = given.get("name", "")
    try:
        asked = UnshareArguments.model_validate({"diary": name, "with": given.get("with", "")})
        await visit.ask(
            "diary:share",
            "Taking a role back",
            lambda diary: diary.diaries.unshare(visit.caller.agent, name, Grantee(asked.grantee)),
        )
    except Refusal as error:
        return await _show_diary(visit, name, error=error)
    return visit.go("/diary", name=name, done="taken")


async def rename(visit: Visit) -> Response:
    """Gives the diary another name."""
    given = await visit.form()
    name = given.get("name", "")
    try:
        renamed = await visit.ask(
            "diary:write",
            "Renaming a diary",
            lambda diary: diary.diaries.rename(
                visit.caller.agent, name, given.get("new_name", "").strip()
            ),
        )
    except DiaryError as error:
        return await _show_diary(visit, name, error=error, given=given)
    return visit.go("/diary", name=renamed.name, done="renamed")


async def transfer(visit: Visit) -> Response:
    """Gives the diary to another agent."""
    given = await visit.form()
    name = given.get("name", "")
    try:
        owner = check_label("owner", given.get("owner", "").strip())
        await visit.ask(
            "diary:share",
            "Giving a diary away",
            lambda diary: diary.diaries.transfer(visit.caller.agent, name, AgentName(owner)),
        )
    except DiaryError as error:
        return await _show_diary(visit, name, error=error, given=given)
    return visit.go("/diaries", done="transferred")


async def remove(visit: Visit) -> Response:
    """Removes the diary, which must be empty."""
    name = (await visit.form()).get("name", "")
    try:
        await visit.ask(
            "diary:write",
            "Removing a diary",
            lambda diary: diary.diaries.remove(visit.caller.agent, name),
        )
    except DiaryError as error:
        return await _show_diary(visit, name, error=error)
    return visit.go("/diaries", done="removed")


async def move(visit: Visit) -> Response:
    """Puts the entry into another diary; what it says stays as it is."""
    given = await visit.form()
    reference: str = visit.request.path_params["entry_id"]
    try:
        asked = UpdateArguments.model_validate(
            {
                "entry_id": reference,
                "expected_version": number(given.get("expected_version"), 1),
                "diary": given.get("diary", ""),
            }
        )
        moved = await visit.ask(
            "diary:write",
            "Moving an entry",
            lambda diary: diary.entries.update(
                visit.caller.agent,
                reference,
                asked.expected_version,
                asked.changes,
                current=visit.caller.diary,
            ),
        )
    except Refusal as error:
        return await show_entry(visit, error=error, given=given)
    if moved.owner != visit.caller.agent:
        # Its owner may keep it to itself from now on.
        return visit.go("/", diary=given.get("from") or None, done="moved")
    return visit.go(f"/entries/{moved.id}", done="moved")


async def _show_diaries(
    visit: Visit,
    *,
    error: DiaryError | ValidationError | None = None,
    given: Mapping[str, str] = _NOTHING,
) -> Response:
    status, problem = (200, None) if error is None else told(error)
    found = await visit.read(lambda diary: _list_diaries(diary, visit))
    return visit.show("diaries.html", status, diaries=found, problem=problem, typed=given)


async def _show_diary(
    visit: Visit,
    name: str,
    *,
    error: DiaryError | ValidationError | None = None,
    given: Mapping[str, str] = _NOTHING,
) -> Response:
    status, problem = (200, None) if error is None else told(error)
    agent = visit.caller.agent

    async def look(diary: Diary) -> Response:
        wanted = parse_diary_name(name, agent).seen_by(agent)
        found = {each.diary: each for each in await _list_diaries(diary, visit)}
        if wanted not in found:
            raise error if isinstance(error, NotFoundError) else _not_found(wanted)
        is_own = found[wanted].role == "owner"
        return visit.show(
            "diary.html",
            status,
            diary=found[wanted],
            is_main=wanted == MAIN,
            roles=await _list_roles(diary, agent, wanted) if is_own else [],
            names=await list_names(diary) if is_own else [],
            problem=problem,
            typed=given,
        )

    return await visit.read(look)


async def _list_diaries(diary: Diary, visit: Visit) -> list[DiaryResult]:
    caller = visit.caller
    current: DiaryName | None = None
    if caller.diary is not None:
        current = parse_diary_name(caller.diary, caller.agent)
    found = await diary.diaries.list(caller.agent, caller.diary)
    return [show_diary(each, caller.agent, current) for each in found]


async def _list_roles(diary: Diary, agent: AgentName, name: str) -> list[DiaryShare]:
    roles: list[DiaryShare] = []
    cursor: str | None = None
    while True:
        page = await diary.diaries.list_shares(agent, name, cursor, _ROLES_AT_ONCE)
        roles += [each for each in page.rows if isinstance(each, DiaryShare)]
        cursor = page.next_cursor
        if cursor is None:
            return roles


def _not_found(name: str) -> NotFoundError:
    return NotFoundError(
        f"No diary {name!r} that you may read. The page of diaries lists those that you may."
    )
