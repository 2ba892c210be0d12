"""Every request as a span, every tool call as a measure; nothing in them that a client made up."""

from collections.abc import Mapping
from time import perf_counter
from typing import get_args

from mcp.server._otel import OpenTelemetryMiddleware
from mcp.server.context import CallNext, HandlerResult
from mcp.shared.exceptions import MCPError
from starlette.requests import HTTPConnection

from diary_mcp.domain.errors import ErrorCode, ForbiddenError
from diary_mcp.server.build import DiaryServer, surround
from diary_mcp.server.dispatch import CallerOf, RequestContext
from diary_mcp.service.telemetry import Telemetry

_UNKNOWN = "unknown"
_CALL = "tools/call"
_METHODS = frozenset(
    {
        _CALL, "tools/list", "initialize", "ping", "server/discover", "completion/complete",
        "resources/list", "resources/templates/list", "resources/read", "resources/subscribe",
        "resources/unsubscribe", "prompts/list", "prompts/get",
    }
)  # fmt: skip
_CODES: frozenset[str] = frozenset(get_args(ErrorCode))


def observe(server: DiaryServer, telemetry: Telemetry, caller_of: CallerOf) -> None:
    """Tells the observer, where there is one, of the server's requests.

    The SDK makes a span of each message even where nobody is told of it.
    """
    if telemetry.is_on:
        surround(server, _ObservedRequests(telemetry, caller_of).middleware)
        return
    server.middleware[:] = [
        each for each in server.middleware if not isinstance(each, OpenTelemetryMiddleware)
    ]


class _ObservedRequests:
    def __init__(self, telemetry: Telemetry, caller_of: CallerOf) -> None:
        self._telemetry = telemetry
        self._caller_of = caller_of

    async def middleware(self, ctx: RequestContext, call_next: CallNext) -> HandlerResult:
        """Observes one request; the server's middleware. Notifications are passed over."""
        if ctx.request_id is None or ctx.method == "subscriptions/listen":
            return await call_next(ctx)
        method = ctx.method if ctx.method in _METHODS else _UNKNOWN
        tool = _tool(ctx) if method == _CALL else None
        started = perf_counter()
        name = method if tool is None else f"{method} {tool}"
        attributes = self._attributes(ctx, method, tool)
        with self._telemetry.span(name, attributes, parent=_parent(ctx)) as span:
            try:
                result = await call_next(ctx)
            except MCPError as error:
                span.fail(_code(error))
                raise
            outcome = _outcome(result)
            if outcome != "ok":
                span.fail(outcome)
        if tool is not None:
            self._telemetry.count_call(tool, outcome, perf_counter() - started)
        return result

    def _attributes(self, ctx: RequestContext, method: str, tool: str | None) -> Mapping[str, str]:
        attributes = {"mcp.method.name": method, "mcp.protocol.version": ctx.protocol_version}
        if tool is not None:
            attributes["gen_ai.tool.name"] = tool
        try:
            attributes["diary.agent"] = self._caller_of(ctx).agent
        except ForbiddenError:
            return attributes
        return attributes


def _tool(ctx: RequestContext) -> str:
    # What takes a call imports it too, and nothing before a call needs it.
    from diary_mcp.server.tools.catalogue import HTTP_TOOLS  # noqa: PLC0415

    name: object = (ctx.params or {}).get("name")
    return name if isinstance(name, str) and name in HTTP_TOOLS else _UNKNOWN


def _parent(ctx: RequestContext) -> str | None:
    """The span of whoever sent the HTTP request; one in the message itself is found by the SDK."""
    request: object = ctx.request
    return request.headers.get("traceparent") if isinstance(request, HTTPConnection) else None


def _outcome(result: HandlerResult) -> str:
    match result:
        case {"isError": True, "content": [{"text": str(text)}, *_]}:
            code = text.partition(":")[0]
            return code if code in _CODES else _UNKNOWN
        case _:
            return "ok"


def _code(error: MCPError) -> str:
    match error.error.data:
        case {"code": str(code)} if code in _CODES:
            return code
        case _:
            return str(error.error.code)
