"""Completions: what a person who fills in a prompt or a resource's address may mean."""

from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType

from mcp_types import CompleteRequestParams, CompleteResult, Completion

from diary_mcp.domain.errors import ForbiddenError, InvalidArgumentError, NotFoundError
from diary_mcp.domain.fields import ENTRY_TYPES
from diary_mcp.server.caller import Caller
from diary_mcp.server.confinement import require_within
from diary_mcp.server.dispatch import Dispatcher, RequestContext
from diary_mcp.server.errors import protocol_error
from diary_mcp.server.tools.arguments import check_label
from diary_mcp.service.diary import Diary
from diary_mcp.service.ports.entries import Place

# The protocol's limit.
_MAX_VALUES = 100

_DAYS = ("today", "yesterday", "this week", "last week", "this month", "last month", "last year")

Arguments = Mapping[str, str]
Suggest = Callable[[Diary, Caller, str, Arguments], Awaitable[list[str]]]


async def _entries(diary: Diary, caller: Caller, typed: str, _given: Arguments) -> list[str]:
    place = await _place_of(diary, caller)
    return await diary.suggestions.list_entries(caller.agent, typed, _MAX_VALUES + 1, place)


async def _tags(diary: Diary, caller: Caller, typed: str, _given: Arguments) -> list[str]:
    place = await _place_of(diary, caller)
    return await diary.suggestions.list_tags(caller.agent, typed, _MAX_VALUES + 1, place)


async def _sessions(diary: Diary, caller: Caller, typed: str, _given: Arguments) -> list[str]:
    place = await _place_of(diary, caller)
    return await diary.suggestions.list_sessions(caller.agent, typed, _MAX_VALUES + 1, place)


async def _names(diary: Diary, caller: Caller, typed: str, _given: Arguments) -> list[str]:
    names = await diary.suggestions.list_names(typed, _MAX_VALUES + 2)
    return [name for name in names if name != caller.agent]


async def _types(_diary: Diary, _caller: Caller, typed: str, _given: Arguments) -> list[str]:
    return [entry_type for entry_type in ENTRY_TYPES if entry_type.startswith(typed)]


async def _versions(diary: Diary, caller: Caller, typed: str, given: Arguments) -> list[str]:
    if "entry_id" not in given:
        return []
    reference = check_label("entry_id", given["entry_id"])
    try:
        await require_within(diary, caller, reference)
        history = await diary.history.list_versions(caller.agent, reference)
    except (NotFoundError, ForbiddenError, InvalidArgumentError):
        return []
    numbers = (history.entry.version, *(version.version for version in history.earlier))
    return [str(number) for number in numbers if str(number).startswith(typed)]


async def _place_of(diary: Diary, caller: Caller) -> Place | None:
    """The current diary: values have no room for a mark, so only the caller's own are given."""
    looked = await diary.places.look(caller.agent, None, caller.diary)
    return looked.place


async def _days(_diary: Diary, _caller: Caller, typed: str, _given: Arguments) -> list[str]:
    return [words for words in _DAYS if words.startswith(typed.lower())]


SUGGESTIONS: Mapping[str, Suggest] = MappingProxyType(
    {
        "entry_id": _entries,
        "tag": _tags,
        "session": _sessions,
        "since": _days,
        "agent": _names,
        "type": _types,
        "version": _versions,
    }
)
"""By the name of the argument, which means the same in every prompt and address."""


class Completions:
    """Answers `completion/complete`; nothing is suggested for an argument that is free text."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher

    async def complete(
        self, context: RequestContext, params: CompleteRequestParams
    ) -> CompleteResult:
        suggest = SUGGESTIONS.get(params.argument.name)
        typed = params.argument.value
        if suggest is None or "\0" in typed:
            return CompleteResult(completion=Completion(values=[], total=0, has_more=False))
        given = (params.context and params.context.arguments) or {}
        caller = self._dispatcher.caller_of(context)

        async def ask(diary: Diary) -> list[str]:
            return await suggest(diary, caller, typed, given)

        try:
            values = await self._dispatcher.admit(caller, "diary:read", "completion/complete", ask)
        except Exception as error:  # the boundary: every failure becomes an answer
            raise protocol_error(error, "completion/complete", context.protocol_version) from error
        has_more = len(values) > _MAX_VALUES
        return CompleteResult(
            completion=Completion(
                values=values[:_MAX_VALUES],
                total=None if has_more else len(values),
                has_more=has_more,
            )
        )
