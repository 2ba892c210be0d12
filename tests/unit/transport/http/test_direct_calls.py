"""Calls that are answered without the SDK's transport, beside its answers to the same bytes."""

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx
import pytest
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.shared.exceptions import MCPError, NoBackChannelError
from mcp_types import (
    INTERNAL_ERROR,
    CallToolRequestParams,
    CallToolResult,
    ListToolsResult,
    PaginatedRequestParams,
    TextContent,
)
from starlette.types import ASGIApp, Receive, Scope, Send

from diary_mcp.domain.errors import UnavailableError
from diary_mcp.domain.fields import AgentName
from diary_mcp.server.build import DiaryServer, build_server
from diary_mcp.server.caller import Caller
from diary_mcp.server.dispatch import explain_refusals
from diary_mcp.service.diary import Diary
from diary_mcp.transport.http.bodies import BodyLimit, LongBodies
from diary_mcp.transport.http.direct_calls import DirectCalls

pytestmark = pytest.mark.anyio

_JSON = {"Content-Type": "application/json", "Accept": "application/json"}
_VERSION = "MCP-Protocol-Version"


@dataclass
class Ways:
    """The same server behind both ways, and what the SDK's transport was asked for."""

    direct: ASGIApp
    sdk: ASGIApp
    left_to_the_sdk: list[str] = field(default_factory=list[str])


@asynccontextmanager
async def both_ways(server: DiaryServer) -> AsyncGenerator[Ways]:
    manager = StreamableHTTPSessionManager(app=server, json_response=True, stateless=True)
    left: list[str] = []

    async def leave(scope: Scope, receive: Receive, send: Send) -> None:
        left.append(scope["path"])
        await manager.handle_request(scope, receive, send)

    async with server.lifespan(server) as state, manager.run():
        direct = DirectCalls(leave, server, state)
        bodies = LongBodies()
        yield Ways(BodyLimit(direct, bodies), BodyLimit(manager.handle_request, bodies), left)


async def ask(app: ASGIApp, body: bytes, headers: dict[str, str]) -> httpx.Response:
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://test"
    ) as client:
        return await client.post("/mcp", content=body, headers=headers)


def told(response: httpx.Response) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    return response.status_code, response.headers.raw, response.content


async def answer(
    context: ServerRequestContext[object], params: CallToolRequestParams
) -> CallToolResult:
    """Tells what it was given; or fails, or talks back, as its name says."""
    match params.name:
        case "fail":
            raise MCPError(INTERNAL_ERROR, "It is broken.", {"code": "internal"})
        case "talk":
            await context.session.report_progress(1, 2)
            await context.session.send_resource_updated("diary://recent")
            return await ask_back(context)
        case _:
            given = {"given": params.arguments, "version": context.protocol_version}
            text = TextContent(text=json.dumps(given))
            return CallToolResult(content=[text], structured_content=given)


async def ask_back(context: ServerRequestContext[object]) -> CallToolResult:
    try:
        await context.session.send_ping()
    except NoBackChannelError as error:
        return CallToolResult(content=[TextContent(text=str(error))], is_error=True)
    raise AssertionError


async def list_nothing(
    _context: ServerRequestContext[object], _params: PaginatedRequestParams | None
) -> ListToolsResult:
    return ListToolsResult(tools=[])


def telling_server() -> DiaryServer:
    server: DiaryServer = Server("telling", on_call_tool=answer, on_list_tools=list_nothing)
    server.middleware.append(explain_refusals)
    return server


def diary_server() -> DiaryServer:
    async def provide() -> Diary:
        raise UnavailableError("There is no database.")

    return build_server(provide, lambda _context: Caller(AgentName("alice")), has_keys=False)


def call_of(name: object = "tell", arguments: object = None, **more: object) -> bytes:
    params = {"name": name, "arguments": {"n": 1} if arguments is None else arguments}
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params, **more}
    return json.dumps(message).encode()


CALLS = {
    "a call": call_of(),
    "an id in words": call_of(id="seven"),
    "no arguments": call_of(params={"name": "tell"}),
    "an empty list for arguments": call_of(arguments=[]),
    "every kind of value": call_of(
        arguments={"a": [1, 2.5, True, None, {"b": "c"}], "ü": "\u2028\N{GRINNING FACE}\x00"}
    ),
    "a name twice": call_of().replace(b'"n": 1', b'"n": 1, "n": 2'),
    "no number": call_of().replace(b'"n": 1', b'"n": NaN'),
    "a lone surrogate": call_of(arguments={"n": "@"}).replace(b"@", rb"\ud800"),
    "no UTF-8": call_of(arguments={"n": "@"}).replace(b"@", b"\xff"),
    "a failure": call_of("fail"),
    "whoever talks back": call_of("talk"),
    "a tool of the diary": call_of("diary_get", {"entry_id": "x"}),
    "wrong arguments for it": call_of("diary_get", {"entry": 7}),
    "metadata": call_of(
        params={"name": "tell", "arguments": {}, "_meta": {"progressToken": "t", "x": 1}}
    ),
    "metadata that is none": call_of(params={"name": "tell", "arguments": {}, "_meta": 7}),
    "parameters that nobody knows": call_of(params={"name": "tell", "arguments": {}, "x": 1}),
    "a name that is none": call_of(7),
    "arguments that are none": call_of(arguments="none"),
    "no parameters": call_of(params={}),
}


@pytest.mark.parametrize("headers", [{}, {_VERSION: "2025-11-25"}, {_VERSION: "2024-11-05"}])
@pytest.mark.parametrize("body", CALLS.values(), ids=CALLS.keys())
@pytest.mark.parametrize("server", [telling_server(), diary_server()], ids=["any", "diary"])
async def test_a_call_gets_the_answer_that_the_sdk_gives(
    server: DiaryServer, body: bytes, headers: dict[str, str]
) -> None:
    async with both_ways(server) as ways:
        direct = await ask(ways.direct, body, _JSON | headers)
        by_the_sdk = await ask(ways.sdk, body, _JSON | headers)

    assert ways.left_to_the_sdk == []
    assert told(direct) == told(by_the_sdk)


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (call_of(method="tools/list", params={}), _JSON),
        (call_of(method="initialize", params={}), _JSON),
        (call_of(method="no/such", params={}), _JSON),
        (b'{"jsonrpc":"2.0","method":"notifications/initialized"}', _JSON),
        (b'{"jsonrpc":"2.0","method":"tools/call","params":{"name":"tell"}}', _JSON),
        (b'{"jsonrpc":"2.0","id":1,"result":{}}', _JSON),
        (call_of(), _JSON | {_VERSION: "2026-07-28"}),
        (call_of(), _JSON | {_VERSION: "2026-07-28", "Mcp-Method": "tools/call"}),
        (call_of(), _JSON | {"Accept": "text/event-stream"}),
        (call_of(), _JSON | {"Accept": "text/html"}),
        (call_of(), _JSON | {"Content-Type": "text/plain"}),
        (call_of(), _JSON | {"Content-Type": "application/json5"}),
        (call_of(), _JSON | {"Content-Type": "Application/JSON"}),
        (call_of(), {"Accept": "application/json"}),
    ],
)
async def test_what_the_sdk_may_refuse_is_left_to_it(body: bytes, headers: dict[str, str]) -> None:
    async with both_ways(telling_server()) as ways:
        direct = await ask(ways.direct, body, headers)
        by_the_sdk = await ask(ways.sdk, body, headers)

    assert ways.left_to_the_sdk == ["/mcp"]
    assert told(direct) == told(by_the_sdk)


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "application/json; charset=utf-8"},
        {"Content-Type": "application/json ;x=y"},
        {"Accept": "application/json, text/event-stream"},
        {"Accept": "*/*"},
        {"Accept": "APPLICATION/*;q=0.5"},
        {"Mcp-Session-Id": "of another server"},
    ],
    ids=str,
)
async def test_headers_are_read_as_the_sdk_reads_them(headers: dict[str, str]) -> None:
    async with both_ways(telling_server()) as ways:
        direct = await ask(ways.direct, call_of(), _JSON | headers)
        by_the_sdk = await ask(ways.sdk, call_of(), _JSON | headers)

    assert ways.left_to_the_sdk == []
    assert (direct.status_code, told(direct)) == (200, told(by_the_sdk))
