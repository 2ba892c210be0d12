"""Tool calls: what a client sends, checked, run, and told to the model."""

import json
from functools import cached_property, partial
from time import perf_counter

import structlog
from mcp_types import (
    CallToolRequestParams,
    CallToolResult,
    ListToolsResult,
    PaginatedRequestParams,
    TextContent,
)
from pydantic import BaseModel, ValidationError

from diary_mcp.server.caller import Caller
from diary_mcp.server.dispatch import Dispatcher, RequestContext
from diary_mcp.server.errors import CallFailedError, error_result, invalid_arguments, unknown_tool
from diary_mcp.server.tools.results import as_json
from diary_mcp.server.tools.tool import AnyTool, Tools
from diary_mcp.server.view.view import may_show_views
from diary_mcp.service.diary import Diary
from diary_mcp.service.signing.verification import Progress

_log = structlog.get_logger()


class ToolCalls:
    """Answers `tools/list` and `tools/call`."""

    def __init__(self, dispatcher: Dispatcher, tools: Tools) -> None:
        self._dispatcher = dispatcher
        self._tools = tools

    async def list(
        self, context: RequestContext, _params: PaginatedRequestParams | None
    ) -> ListToolsResult:
        return self._with_views if may_show_views(context) else self._without_views

    # Making the schemas takes longer than the answer to `initialize` does otherwise.
    @cached_property
    def _without_views(self) -> ListToolsResult:
        return ListToolsResult(tools=[tool.described() for tool in self._tools.values()])

    @cached_property
    def _with_views(self) -> ListToolsResult:
        described = [tool.described(with_view=True) for tool in self._tools.values()]
        return ListToolsResult(tools=described)

    async def call(self, context: RequestContext, params: CallToolRequestParams) -> CallToolResult:
        started = perf_counter()
        caller = self._dispatcher.caller_of(context)
        try:
            progress = partial(_report_progress, context)
            result = _result(await self.run(caller, params.name, params.arguments or {}, progress))
        except CallFailedError as error:
            result = error.result
        _log.info(
            "tool.called",
            tool=params.name if params.name in self._tools else "unknown",
            agent=caller.agent,
            duration_ms=round((perf_counter() - started) * 1_000, 1),
            outcome="error" if result.is_error else "ok",
        )
        return result

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


def _result(found: BaseModel) -> CallToolResult:
    # Some clients give their model the structured content alone, others the text alone.
    structured = as_json(found)
    text = json.dumps(structured, ensure_ascii=False, separators=(",", ":"))
    return CallToolResult(
        content=[TextContent(type="text", text=text)], structured_content=structured
    )


def _given(arguments: dict[str, object], tool: AnyTool) -> dict[str, object]:
    """Models and clients often send `null` or an empty string for what they leave out."""
    return {
        name: value
        for name, value in arguments.items()
        if (value is not None or name in tool.nullable) and (value != "" or name in tool.required)
    }


async def _report_progress(context: RequestContext, done: int, total: int) -> None:
    await context.session.report_progress(done, total)
