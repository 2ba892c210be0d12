"""What an agent is shown, by every tool that reads: exactly what a model says, and nothing else."""

import json
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from diary_mcp.app import Foundation
from diary_mcp.domain.fields import AgentName, EntryId
from diary_mcp.server.caller import Caller
from diary_mcp.server.dispatch import Dispatcher
from diary_mcp.server.errors import CallFailedError
from diary_mcp.server.tools.calls import ToolCalls
from diary_mcp.server.tools.catalogue import TOOLS
from diary_mcp.server.tools.results import as_json
from diary_mcp.service.diary import Diary
from support.clients import Json
from support.who_reads import ANN, BOB, PLACES, TEAM, Place, Readers

COMMON_WORD = "happened"
"""Stands in every entry."""

COMMON_TAG = "all"
MAINS = (Place(ANN), Place(BOB))
"""Of those that are asked about by name; the last is open to nobody but its owner."""

Shown = Mapping[str, int]
"""What an answer names, each with the number that it gives for it, else 1."""

_MARK = re.compile(r"mark\d+")
_NOTHING: Shown = {}
_LIST: Json = {"limit": 100}
_EVERYTHING: Json = {"diary": "*", "limit": 100}
_SEARCH: Json = {"query": COMMON_WORD, "limit": 50}


def mark(number: int) -> str:
    """A word of an entry's own."""
    return f"mark{number}"


@dataclass(frozen=True)
class Door:
    """A call, and what it has to show; `None` where there is nothing that the caller may know."""

    tool: str
    arguments: Json
    read: Callable[[Json], Shown]
    expected: Shown | None
    at_least: Shown
    """What it shows of the caller's own, settled or not."""


async def look(
    foundation: Foundation, agent: AgentName, door: Door, marks: set[str], *, is_settled: bool
) -> None:
    """Fails if the agent is shown anything but what it has to be, or a mark that is not of `marks`.

    Until it is settled, what others have opened may still be closed.
    """
    answer = await _ask(foundation, agent, door)
    told = (agent, door, answer)
    assert set(_MARK.findall(json.dumps(answer))) <= marks, told
    if "error" in answer:
        assert str(answer["error"]).startswith("not_found"), told
        assert not door.at_least, told
        assert door.expected is None or not is_settled, told
        return
    shown = door.read(answer)
    assert door.expected is not None, told
    assert _is_within(shown, door.expected), told
    assert _is_within(door.at_least, shown), told
    assert shown == door.expected or not is_settled, told


async def _ask(foundation: Foundation, agent: AgentName, door: Door) -> Json:
    async def provide() -> Diary:
        return foundation.diary

    caller = Caller(agent)
    calls = ToolCalls(Dispatcher(provide, lambda _context: caller), TOOLS)
    try:
        return as_json(await calls.run(caller, door.tool, door.arguments, _say_nothing))
    except CallFailedError as error:
        return {"error": error.result.content[0].model_dump()["text"]}


def front_doors(readers: Readers, agent: AgentName) -> list[Door]:
    """Those by which an agent comes in first, to everything and to the team's diary."""
    visible, owned = _each(readers.visible(agent)), _each(readers.expected.owned(agent))
    return [
        Door("diary_list", {**_LIST, "scope": "all"}, _ids, visible, owned),
        Door("diary_search", _SEARCH, _ids, visible, owned),
        Door("diary_diaries", {}, _diaries, _diaries_of(readers, agent), _NOTHING),
        *_doors_of(readers, agent, TEAM)[:2],
    ]


def doors(readers: Readers, agent: AgentName, made: Sequence[EntryId]) -> list[Door]:
    """All by which an agent might come in, also if it knows the id of whatever was made."""
    owned, none = readers.expected.owned(agent), _NOTHING
    visible = readers.visible(agent)
    return [
        *front_doors(readers, agent),
        Door("diary_list", _EVERYTHING, _ids, _each(visible), _each(owned)),
        Door(
            "diary_tags",
            _EVERYTHING,
            _tags,
            _tags_of(readers, visible),
            _tags_of(readers, owned),
        ),
        Door(
            "diary_reflect",
            {"diary": "*"},
            _total,
            {"entries": len(visible)},
            {"entries": len(owned)},
        ),
        Door("diary_tags", _LIST, _tags, _tags_of(readers, owned), none),
        Door("diary_reflect", {}, _total, {"entries": len(owned)}, {"entries": len(owned)}),
        *_doors_of(readers, agent, TEAM)[2:],
        *(door for place in MAINS for door in _doors_of(readers, agent, place)),
        *(_door_of_entry(readers, agent, entry_id) for entry_id in made),
    ]


def _doors_of(readers: Readers, agent: AgentName, place: Place) -> list[Door]:
    within = readers.expected.within(place)
    diary = {"diary": readers.expected.name(place, agent)}

    def door(tool: str, arguments: Json, read: Callable[[Json], Shown], shown: Shown) -> Door:
        expected = shown if readers.may_read(agent, place) else None
        return Door(tool, {**arguments, **diary}, read, expected, _NOTHING)

    return [
        door("diary_list", _LIST, _ids, _each(within)),
        door("diary_search", _SEARCH, _ids, _each(within)),
        door("diary_tags", _LIST, _tags, _tags_of(readers, within)),
        door("diary_reflect", {}, _total, {"entries": len(within)}),
    ]


def _door_of_entry(readers: Readers, agent: AgentName, entry_id: EntryId) -> Door:
    entry, is_visible = readers.expected.entries.get(entry_id), entry_id in readers.visible(agent)
    shown = {entry.content: 1} if entry is not None and is_visible else None
    is_own = entry is not None and entry.owner == agent
    arguments: Json = {"entry_id": str(entry_id)}
    return Door("diary_get", arguments, _content, shown, shown if is_own and shown else _NOTHING)


def _each(ids: set[EntryId]) -> Shown:
    return {str(each): 1 for each in ids}


def _tags_of(readers: Readers, ids: set[EntryId]) -> Shown:
    marks = {readers.expected.entries[each].mark: 1 for each in ids}
    return {**marks, COMMON_TAG: len(ids)} if ids else marks


def _diaries_of(readers: Readers, agent: AgentName) -> Shown:
    expected = readers.expected
    return {
        expected.name(place, agent): len(expected.within(place))
        for place in PLACES
        if readers.may_read(agent, place)
    }


def _rows(answer: Json, name: str) -> list[Json]:
    return answer.get(name, [])


def _ids(answer: Json) -> Shown:
    assert "next_cursor" not in answer
    return {str(each["id"]): 1 for each in _rows(answer, "entries") + _rows(answer, "hits")}


def _tags(answer: Json) -> Shown:
    return {each["tag"]: each["count"] for each in _rows(answer, "tags")}


def _total(answer: Json) -> Shown:
    return {"entries": answer["entries"]}


def _diaries(answer: Json) -> Shown:
    return {each["diary"]: each.get("entries", 0) for each in _rows(answer, "diaries")}


def _content(answer: Json) -> Shown:
    return {answer["content"]: 1}


def _is_within(some: Shown, others: Shown) -> bool:
    return all(number <= others.get(name, -1) for name, number in some.items())


def _say_nothing(_done: int, _total: int) -> Awaitable[None]:
    raise AssertionError("no tool that reads reports its progress")
