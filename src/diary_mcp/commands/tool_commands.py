"""A tool's arguments as a command's options, and its call: what an agent does over MCP.

The tools check the arguments and shape the results, here as there.
"""

import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from functools import wraps
from typing import TypeVar

import anyio
import click
from pydantic import BaseModel, JsonValue

from diary_mcp.app import Foundation, open_foundation, settle_beside_queue
from diary_mcp.commands.options import errors_told, fail
from diary_mcp.server.caller import Caller
from diary_mcp.server.dispatch import Dispatcher
from diary_mcp.server.errors import CallFailedError
from diary_mcp.server.tools.calls import ToolCalls
from diary_mcp.server.tools.catalogue import TOOLS
from diary_mcp.server.tools.results import as_json
from diary_mcp.server.tools.schemas import Schema, as_object, tool_schemas
from diary_mcp.service.diary import Diary
from diary_mcp.settings import Settings

_SETTLING_S = 3
_LOOK_EVERY_S = 0.02
_NUMBERS: dict[str, Callable[[str], float]] = {"integer": int, "number": float}

_Decorator = Callable[[Callable[..., None]], Callable[..., None]]
ResultT = TypeVar("ResultT", bound=BaseModel)
AnswerT = TypeVar("AnswerT")


def with_arguments(tool: str, *, besides: Collection[str] = ()) -> _Decorator:
    """Hands a command what was given of a tool's arguments, as the keyword `given`.

    Each is an option of its name; those named in `besides` are not: the command finds them itself.
    """
    properties = as_object(tool_schemas()[tool]["input"]["properties"])
    options = {
        name: _option(name, as_object(shape))
        for name, shape in properties.items()
        if name not in besides
    }

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @wraps(command)
        def run(*positional: object, **values: object) -> None:
            told = {name: values.pop(name) for name in options}
            given = {name: value for name, value in told.items() if value is not None}
            command(*positional, given=given, **values)

        decorated: Callable[..., None] = run
        for option in reversed(options.values()):
            decorated = option(decorated)
        return decorated

    return decorate


def _option(name: str, shape: Schema) -> _Decorator:
    flag = "--" + name.replace("_", "-")
    told = str(shape.get("description", ""))
    kinds = shape.get("type")
    match "array" if isinstance(kinds, list) and "array" in kinds else kinds:
        case "boolean":
            return click.option(f"{flag}/--no-{flag[2:]}", name, default=None, help=told)
        case "array" | [*_, "array"]:
            one = flag if name == "supersedes" else flag.removesuffix("s")
            return click.option(
                *dict.fromkeys((flag, one)),
                name,
                multiple=True,
                callback=_list,
                metavar=_metavar(shape.get("items")),
                help=f"{told} Repeatable.".strip(),
            )
        case "integer" | "number" as kind:
            return click.option(
                flag, name, metavar=kind.upper(), callback=_number(_NUMBERS[kind]), help=told
            )
        case _:
            return click.option(flag, name, metavar=_metavar(shape), help=told)


def _metavar(shape: JsonValue) -> str:
    choices = shape.get("enum") if isinstance(shape, dict) else None
    return "|".join(map(str, choices)) if isinstance(choices, list) else "TEXT"


def _list(
    _context: click.Context, _option: click.Parameter, values: tuple[str, ...]
) -> list[str] | None:
    return list(values) or None


def _number(read: Callable[[str], float]) -> Callable[..., object]:
    """Text that is no number is left to the tool, which says so."""

    def convert(_context: click.Context, _option: click.Parameter, value: str | None) -> object:
        try:
            return None if value is None else read(value)
        except ValueError:
            return value

    return convert


class Calls:
    """The tools, for the agent that the settings name."""

    def __init__(self, diary: Diary, caller: Caller) -> None:
        async def provide() -> Diary:
            return diary

        self.have_changed = False
        """Whether permissions may have to be settled."""

        self._diary = diary
        self._caller = caller
        self._tools = ToolCalls(Dispatcher(provide, lambda _: caller), TOOLS)

    async def call(self, name: str, arguments: dict[str, object], kind: type[ResultT]) -> ResultT:
        """The tool's result, which is of this kind.

        Raises:
            CallFailedError: as the tool tells it.
            NotFoundError: there is nothing to read, because there is no such agent.
        """
        if TOOLS[name].scope != "diary:read":
            self.have_changed = True
        elif not self.have_changed:
            await self._diary.agents.require(self._caller.agent)
        result = await self._tools.run(self._caller, name, arguments, _report_nothing)
        if not isinstance(result, kind):
            raise TypeError(f"{name} gave {type(result).__name__}, not {kind.__name__}")
        return result


def run(settings: Settings, work: Callable[[Calls], Awaitable[AnswerT]]) -> AnswerT:
    """Does the work on the open diary; an error ends the command with its code on stderr."""
    with errors_told():
        try:
            return anyio.run(_work, settings, work)
        except CallFailedError as error:
            fail(str(error))


def call(
    settings: Settings, name: str, arguments: dict[str, object], kind: type[ResultT]
) -> ResultT:
    """One call of a tool, as `run`."""

    async def work(calls: Calls) -> ResultT:
        return await calls.call(name, arguments, kind)

    return run(settings, work)


def echo_json(result: BaseModel) -> None:
    """The tool's structured result. In ASCII: what a terminal acts on is escaped."""
    click.echo(json.dumps(as_json(result)))


async def _work(settings: Settings, work: Callable[[Calls], Awaitable[AnswerT]]) -> AnswerT:
    async with _open_calls(settings) as calls:
        return await work(calls)


@asynccontextmanager
async def _open_calls(settings: Settings) -> AsyncGenerator[Calls]:
    async with (
        open_foundation(settings, with_keys=True) as foundation,
        settle_beside_queue(foundation),
    ):
        caller = Caller(settings.agent, session=settings.session, diary=settings.current_diary)
        calls = Calls(foundation.diary, caller)
        yield calls
        if calls.have_changed:
            await _settle(foundation)


async def _settle(foundation: Foundation) -> None:
    """Waits a little for the permissions of what was changed: perhaps no server runs."""
    with anyio.move_on_after(_SETTLING_S):
        while (await foundation.settlements.count_backlog()).pending:  # noqa: ASYNC110  # in another process, perhaps
            await anyio.sleep(_LOOK_EVERY_S)


async def _report_nothing(_done: int, _total: int) -> None: ...
