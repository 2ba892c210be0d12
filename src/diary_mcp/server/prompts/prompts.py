"""Prompts: ways to use the diary, with what it holds now put in where that helps."""

from collections.abc import Awaitable, Callable, Mapping
from functools import cached_property
from types import MappingProxyType

import structlog
from mcp_types import (
    GetPromptRequestParams,
    GetPromptResult,
    ListPromptsResult,
    PaginatedRequestParams,
    PromptMessage,
    TextContent,
)
from pydantic import ValidationError

from diary_mcp.domain.entry import EntryFilters
from diary_mcp.domain.errors import InvalidArgumentError
from diary_mcp.domain.fields import value_problem
from diary_mcp.package_data import resource_path
from diary_mcp.server.caller import Caller
from diary_mcp.server.dispatch import Dispatcher, RequestContext
from diary_mcp.server.errors import protocol_error
from diary_mcp.server.prompts.prompt_files import PromptFile, load_prompts
from diary_mcp.server.resources.context import read_context
from diary_mcp.server.resources.documents import hits_document
from diary_mcp.server.resources.resources import read_entry
from diary_mcp.server.tools.arguments import ReflectArguments, check_label
from diary_mcp.service.diary import Diary
from diary_mcp.service.ports.reflection import EntrySelection

_log = structlog.get_logger()

_MAX_RELATED = 5
_MAX_OF_A_KIND = 15
_MAX_ARGUMENT_CHARACTERS = 4_000
_MAX_QUERY_CHARACTERS = 1_000

Arguments = Mapping[str, str]
Live = Callable[[Diary, Caller, Arguments], Awaitable[str]]


async def _context(diary: Diary, caller: Caller, _arguments: Arguments) -> str:
    return await read_context(diary, caller.agent, caller.diary)


async def _entry(diary: Diary, caller: Caller, arguments: Arguments) -> str:
    reference = check_label("entry_id", arguments["entry_id"])
    return await read_entry(diary, caller, reference)


async def _related(diary: Diary, caller: Caller, arguments: Arguments) -> str:
    page = await diary.search.search(
        caller.agent,
        (arguments.get("subject") or arguments["what"])[:_MAX_QUERY_CHARACTERS],
        EntryFilters(scope="all", include_superseded=False),
        mode="hybrid",
        cursor=None,
        limit=_MAX_RELATED,
        current=caller.diary,
    )
    return hits_document(page.rows, page.notice)


async def _digest(diary: Diary, caller: Caller, arguments: Arguments) -> str:
    asked = {"since": arguments.get("since"), "types": [arguments.get("type")]}
    given = {name: value for name, value in asked.items() if value not in (None, [None])}
    try:
        checked = ReflectArguments.model_validate({**given, "limit": _MAX_OF_A_KIND})
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        name = "type" if problem["loc"][0] == "types" else "since"
        raise InvalidArgumentError(f"{name} {value_problem(problem)}.") from error
    selection = EntrySelection(caller.agent, checked.since, checked.until, checked.types)
    digest = await diary.reflection.reflect(selection, checked.limit, current=caller.diary)
    return digest.model_dump_json(exclude_none=True)


LIVE: Mapping[str, Live] = MappingProxyType(
    {"context": _context, "entry": _entry, "related": _related, "digest": _digest}
)


class Prompts:
    """Answers `prompts/list` and `prompts/get`."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher

    @cached_property
    def files(self) -> dict[str, PromptFile]:
        return load_prompts(resource_path("prompts"))

    async def list(
        self, _context: RequestContext, _params: PaginatedRequestParams | None
    ) -> ListPromptsResult:
        return ListPromptsResult(prompts=[prompt.described() for prompt in self.files.values()])

    async def get(self, context: RequestContext, params: GetPromptRequestParams) -> GetPromptResult:
        caller = self._dispatcher.caller_of(context)
        try:
            prompt = self._find(params.name)
            given = _check(prompt, params.arguments or {})

            async def ask(diary: Diary) -> dict[str, str]:
                return {
                    name: (await LIVE[name](diary, caller, given)).rstrip("\n")
                    for name in sorted(prompt.mentions & LIVE.keys())
                }

            live = await self._dispatcher.admit(caller, "diary:read", params.name, ask)
        except Exception as error:  # the boundary: every failure becomes an answer
            raise protocol_error(error, params.name, context.protocol_version) from error
        _log.info("prompt.got", prompt=prompt.name, agent=caller.agent)
        text = prompt.fill({**given, **live})
        return GetPromptResult(
            description=prompt.description,
            messages=[PromptMessage(role="user", content=TextContent(type="text", text=text))],
        )

    def _find(self, name: str) -> PromptFile:
        if name not in self.files:
            raise InvalidArgumentError(
                f"There is no prompt {name!a}; there are {', '.join(self.files)}."
            )
        return self.files[name]


def _check(prompt: PromptFile, arguments: Arguments) -> dict[str, str]:
    """The arguments that were given; an empty one counts as left out."""
    given = {name: value for name, value in arguments.items() if value.strip()}
    known = [argument.name for argument in prompt.arguments]
    for name, value in given.items():
        if name not in known:
            raise InvalidArgumentError(
                f"{prompt.name} has no argument {name!a}; it has {', '.join(known)}."
            )
        if len(value) > _MAX_ARGUMENT_CHARACTERS or "\0" in value:
            raise InvalidArgumentError(
                f"{name} must have at most {_MAX_ARGUMENT_CHARACTERS:,} characters, and no NUL."
            )
    for argument in prompt.arguments:
        if argument.required and argument.name not in given:
            raise InvalidArgumentError(f"{prompt.name} needs {argument.name}.")
    return given
