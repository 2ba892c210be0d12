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

from diary_mcp.server.dispatch import Caller, Dispatcher, RequestContext
from diary_mcp.server.errors import error_result, invalid_arguments, unknown_tool
from diary_mcp.server.tools.results import as_json
from diary_mcp.server.tools.tool import AnyTool, Tools
from diary_mcp.service.diary import Diary

_log = structlog.get_logger()


class ToolCalls:
    """Answers `tools/list` and `tools/call`."""

    def __init__(self, dispatcher: Dispatcher, tools: Tools) -> None:
        self._dispatcher = dispatcher
        self._tools = tools

    async def list(
        self, _context: RequestContext, _params: PaginatedRequestParams | None
    ) -> ListToolsResult:
        return self._described

    @cached_property
    def _described(self) -> ListToolsResult:
        # Making the schemas takes longer than the answer to `initialize` does otherwise.
        return ListToolsResult(tools=[tool.described() for tool in self._tools.values()])

    async def call(self, context: RequestContext, params: CallToolRequestParams) -> CallToolResult:
        started = perf_counter()
        caller = self._dispatcher.caller_of(context)
        result = await self._answer(context, caller, params.name, params.arguments or {})
        _log.info(
            "tool.called",
            tool=params.name if params.name in self._tools else "unknown",
            agent=caller.agent,
            duration_ms=round((perf_counter() - started) * 1_000, 1),
            outcome="error" if result.is_error else "ok",
        )
        return result

    async def _answer(
        self, context: RequestContext, caller: Caller, name: str, arguments: dict[str, object]
    ) -> CallToolResult:
        tool = self._tools.get(name)
        if tool is None:
            return unknown_tool(name, self._tools)

        async def ask(diary: Diary) -> BaseModel:
            given = _given(arguments, tool)
            return await tool.call(diary, caller, given, partial(_report_progress, context))

        try:
            return _result(await self._dispatcher.admit(caller, tool.scope, name, ask))
        except ValidationError as error:
            return invalid_arguments(error, name, tool.argument_names)
        except Exception as error:  # noqa: BLE001  # the boundary: every failure becomes an answer
            return error_result(error, name)


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
