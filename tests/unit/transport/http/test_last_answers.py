"""What a server that ends over HTTP answers to calls that are here and not done."""

from collections.abc import Awaitable, Callable
from typing import cast

import anyio
import anyio.lowlevel
import httpx
import pytest
from mcp.server.context import HandlerResult, ServerRequestContext
from mcp_types import CallToolResult
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from diary_mcp.transport.http.draining import ConnectionDrain
from diary_mcp.transport.http.listening import give_last_answers
from diary_mcp.transport.inflight import InFlight

pytestmark = pytest.mark.anyio


class Call:
    """As much of a request as is looked at."""

    method = "tools/call"


async def test_what_waits_when_the_time_is_up_is_refused_and_what_commits_is_answered() -> None:
    drain, in_flight = ConnectionDrain(), InFlight()
    here: set[str] = set()
    called_off = anyio.Event()
    answers: dict[str, str] = {}

    async def commit(_context: object) -> HandlerResult:
        # As a unit of work, and it takes until after the others are called off.
        with anyio.CancelScope(shield=True):
            await called_off.wait()
        return CallToolResult(content=[])

    async def wait_for_turn(_context: object) -> HandlerResult:
        try:
            await anyio.sleep_forever()
        finally:
            called_off.set()
        raise AssertionError

    handlers: dict[str, Callable[[object], Awaitable[HandlerResult]]] = {
        "/commits": commit,
        "/waits": wait_for_turn,
    }

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        await request.body()
        here.add(request.url.path)
        context = cast("ServerRequestContext[object]", Call())
        result = await in_flight.middleware(context, handlers[request.url.path])
        assert isinstance(result, CallToolResult)
        await JSONResponse({"is_error": result.is_error})(scope, receive, send)

    async def ask(client: httpx.AsyncClient, path: str) -> None:
        response = await client.post(path)
        answers[path] = response.text

    transport = httpx.ASGITransport(drain.watch(serve))
    async with (
        httpx.AsyncClient(transport=transport, base_url="http://test") as client,
        anyio.create_task_group() as calls,
    ):
        for path in handlers:
            calls.start_soon(ask, client, path)
        while here != handlers.keys():
            await anyio.lowlevel.checkpoint()
        await give_last_answers(drain, in_flight, within_s=0.01, commits_s=30)

    assert answers == {"/commits": '{"is_error":false}', "/waits": '{"is_error":true}'}
