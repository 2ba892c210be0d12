"""What a tool is, and a call of one: checked, run, and told to the model."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from time import perf_counter
from typing import Generic, Literal, Protocol, TypeVar, cast

import structlog
from mcp.server.context import CallNext, HandlerResult
from mcp_types import (
    CallToolRequestParams,
    CallToolResult,
    ListToolsResult,
    PaginatedRequestParams,
    Tool,
    ToolAnnotations,
)
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS
from pydantic import BaseModel, JsonValue, ValidationError
from pydantic_core import to_json

from diary_mcp.domain.entry import EntryFields
from diary_mcp.domain.fields import AgentName
from diary_mcp.domain.scopes import TokenScope
from diary_mcp.server.caller import Caller
from diary_mcp.server.confinement import require_reach
from diary_mcp.server.dispatch import Dispatcher, RequestContext
from diary_mcp.server.errors import CallFailedError, error_result, invalid_arguments, unknown_tool
from diary_mcp.server.tools.arguments import Arguments
from diary_mcp.server.tools.results import as_json
from diary_mcp.server.tools.schemas import tool_schemas
from diary_mcp.server.view.view import VIEW_URI, may_show_views
from diary_mcp.service.diary import Diary
from diary_mcp.service.signing.verification import Progress

Effect = Literal["reads", "adds", "changes", "destroys"]
ArgumentsT = TypeVar("ArgumentsT", bound=Arguments)

_log = structlog.get_logger()

_PLAIN = frozenset({"name", "arguments", "_meta"})


@dataclass(frozen=True)
class Call(Generic[ArgumentsT]):
    """One call of a tool, its arguments checked."""

    diary: Diary
    caller: Caller
    arguments: ArgumentsT
    report_progress: Progress

    @property
    def agent(self) -> AgentName:
        return self.caller.agent

    @property
    def session(self) -> str | None:
        return self.caller.session

    @property
    def current(self) -> str | None:
        """The diary of what names none."""
        return self.caller.diary

    def name_of(self, entry: EntryFields) -> str | None:
        """The diary of an entry as the caller names it, unless that goes without saying."""
        return self.caller.name_of(entry)


class AnyTool(Protocol):
    """A tool, whatever its arguments are."""

    @property
    def scope(self) -> TokenScope: ...

    @property
    def nullable(self) -> frozenset[str]: ...

    @property
    def required(self) -> frozenset[str]: ...

    @property
    def argument_names(self) -> list[str]: ...

    async def call(
        self,
        diary: Diary,
        caller: Caller,
        arguments: dict[str, object],
        report_progress: Progress,
    ) -> BaseModel: ...

    def described(self, *, with_view: bool = False) -> Tool: ...


Tools = Mapping[str, AnyTool]
"""Tools by name, as they are listed."""


@dataclass(frozen=True)
class DiaryTool(Generic[ArgumentsT]):
    """One tool."""

    name: str
    title: str
    description: str
    effect: Effect
    scope: TokenScope
    """What a token must have for a call of it."""

    arguments: type[ArgumentsT]
    result: type[BaseModel]
    run: Callable[[Call[ArgumentsT]], Awaitable[BaseModel]]
    nullable: frozenset[str] = frozenset()
    """Arguments for which `null` says something else than leaving them out."""

    has_view: bool = False
    """Whether a host that has MCP Apps can show its result to people."""

    @property
    def required(self) -> frozenset[str]:
        fields = self.arguments.model_fields.items()
        return frozenset(field.alias or name for name, field in fields if field.is_required())

    @property
    def argument_names(self) -> list[str]:
        fields = self.arguments.model_fields.items()
        return [field.alias or name for name, field in fields]

    async def call(
        self,
        diary: Diary,
        caller: Caller,
        arguments: dict[str, object],
        report_progress: Progress,
    ) -> BaseModel:
        """Checks the arguments and runs the tool.

        Raises:
            pydantic.ValidationError: the arguments do not fit the schema.
            DiaryError: as the use case tells.
        """
        checked = self.arguments.model_validate(arguments)
        if caller.only is not None:
            await require_reach(diary, caller, checked)
        return await self.run(Call(diary, caller, checked, report_progress))

    def described(self, *, with_view: bool = False) -> Tool:
        """The tool as `tools/list` shows it; `with_view` to a host that may have MCP Apps."""
        schemas = tool_schemas()[self.name]
        return Tool(
            name=self.name,
            title=self.title,
            description=self.description,
            input_schema=schemas["input"],
            output_schema=schemas["output"],
            annotations=self._annotations(),
            _meta={"ui": {"resourceUri": VIEW_URI}} if self.has_view and with_view else None,
        )

    def _annotations(self) -> ToolAnnotations:
        # Whether a tool destroys or repeats means nothing to a client where it only reads.
        if self.effect == "reads":
            return ToolAnnotations(read_only_hint=True, open_world_hint=False)
        return ToolAnnotations(
            read_only_hint=False,
            destructive_hint=self.effect == "destroys",
            # False is what a client takes for granted.
            idempotent_hint=True if self.effect == "destroys" else None,
            open_world_hint=False,
        )


class ToolCalls:
    """Answers `tools/list` and `tools/call`."""

    def __init__(self, dispatcher: Dispatcher, tools: Tools) -> None:
        self._dispatcher = dispatcher
        self._tools = tools

    async def list(
        self, context: RequestContext, _params: PaginatedRequestParams | None
    ) -> ListToolsResult:
        return self._with_views if may_show_views(context) else self._without_views

    @cached_property
    def _without_views(self) -> ListToolsResult:
        return ListToolsResult(tools=[tool.described() for tool in self._tools.values()])

    @cached_property
    def _with_views(self) -> ListToolsResult:
        described = [tool.described(with_view=True) for tool in self._tools.values()]
        return ListToolsResult(tools=described)

    async def call(self, context: RequestContext, params: CallToolRequestParams) -> CallToolResult:
        answer = await self._answer(context, params.name, params.arguments or {})
        return CallToolResult.model_validate(answer)

    async def answer_plainly(self, ctx: RequestContext, call_next: CallNext) -> HandlerResult:
        """Answers a call of a tool in the shape of the wire; the innermost middleware.

        The SDK reads what was asked twice, and checks, dumps and checks again what is answered:
        for a list that takes as long as the list. Whatever is not as plain as nearly every call
        is left to it, and so is what it refuses.
        """
        params = ctx.params or {}
        name: object = params.get("name")
        arguments: object = params.get("arguments", {})
        if (
            isinstance(name, str)
            and name in self._tools
            and isinstance(arguments, dict)
            and _is_plain_call(ctx)
        ):
            return await self._answer(ctx, name, cast("dict[str, object]", arguments))
        return await call_next(ctx)

    async def _answer(
        self, context: RequestContext, name: str, arguments: dict[str, object]
    ) -> dict[str, JsonValue]:
        started = perf_counter()
        caller = self._dispatcher.caller_of(context)
        try:
            progress = partial(_report_progress, context)
            answer = _result(await self.run(caller, name, arguments, progress))
        except CallFailedError as error:
            answer = _content(str(error), is_error=True)
        _log.info(
            "tool.called",
            tool=name if name in self._tools else "unknown",
            agent=caller.agent,
            duration_ms=round((perf_counter() - started) * 1_000, 1),
            outcome="error" if answer["isError"] else "ok",
        )
        return answer

    async def run(
        self, caller: Caller, name: str, arguments: dict[str, object], report_progress: Progress
    ) -> BaseModel:
        """What the tool gives the caller.

        Raises:
            CallFailedError: it gives nothing, for whatever reason.
        """
        tool = self._tools.get(name)
        if tool is None:
            raise CallFailedError(unknown_tool(name, self._tools))

        async def ask(diary: Diary) -> BaseModel:
            return await tool.call(diary, caller, _given(arguments, tool), report_progress)

        try:
            return await self._dispatcher.admit(caller, tool.scope, name, ask)
        except ValidationError as error:
            refused = invalid_arguments(error, name, tool.argument_names)
            raise CallFailedError(refused) from error
        except Exception as error:  # the boundary: every failure becomes an answer
            raise CallFailedError(error_result(error, name)) from error


def _is_plain_call(context: RequestContext) -> bool:
    """Whether it is a call, of a session that may call, with nothing that only the SDK reads."""
    params, session = context.params or {}, context.session
    return (
        context.method == "tools/call"
        and context.protocol_version in HANDSHAKE_PROTOCOL_VERSIONS
        # Without a way to ask the client anything there is no handshake either.
        and (session.client_params is not None or not session.can_send_request)
        and params.keys() <= _PLAIN
        and ("_meta" not in params or context.meta is not None)
    )


def _result(found: BaseModel) -> dict[str, JsonValue]:
    # Some clients give their model the structured content alone, others the text alone.
    structured = as_json(found)
    answer = _content(to_json(structured).decode(), is_error=False)
    return {**answer, "structuredContent": structured}


def _content(text: str, *, is_error: bool) -> dict[str, JsonValue]:
    return {"content": [{"type": "text", "text": text}], "isError": is_error}


def _given(arguments: dict[str, object], tool: AnyTool) -> dict[str, object]:
    """Models and clients often send `null` or an empty string for what they leave out."""
    return {
        name: value
        for name, value in arguments.items()
        if (value is not None or name in tool.nullable) and (value != "" or name in tool.required)
    }


async def _report_progress(context: RequestContext, done: int, total: int) -> None:
    await context.session.report_progress(done, total)
