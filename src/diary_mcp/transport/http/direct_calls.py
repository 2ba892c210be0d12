"""Calls of tools, answered in the task that has read them.

The SDK's transport has three more tasks, five streams and another reading of the body for each
request, which together take longer than a short call. What it would refuse, and whatever is no
call of a tool, goes on to it; what is answered here passes through the same session and the same
middleware, and gets the same answer.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NoReturn

import anyio
from mcp.server.connection import Connection
from mcp.server.runner import serve_one
from mcp.server.streamable_http import check_accept_headers
from mcp.shared.dispatcher import CallOptions
from mcp.shared.exceptions import MCPError, NoBackChannelError
from mcp.shared.message import ServerMessageMetadata
from mcp.shared.transport_context import TransportContext
from mcp_types import (
    DEFAULT_NEGOTIATED_VERSION,
    JSONRPCError,
    JSONRPCRequest,
    JSONRPCResponse,
    RequestId,
)
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from diary_mcp.server.build import DiaryServer
from diary_mcp.transport.http.bodies import request_in

_CALL = "tools/call"
_JSON = "application/json"
_TRANSPORT = TransportContext(kind="streamable-http", can_send_request=False)


@dataclass(frozen=True)
class DirectCalls:
    """An ASGI application that answers calls of tools, and leaves the rest to another."""

    app: ASGIApp
    server: DiaryServer
    lifespan_state: object

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        message, request = request_in(scope), Request(scope, receive)
        version = request.headers.get("mcp-protocol-version", DEFAULT_NEGOTIATED_VERSION)
        if message is None or not _is_direct(message, request, version):
            await self.app(scope, receive, send)
            return
        answer = await self._answer(message, request, version)
        text = answer.model_dump_json(by_alias=True, exclude_unset=True)
        await Response(text, headers={"Content-Type": _JSON})(scope, receive, send)

    async def _answer(
        self, message: JSONRPCRequest, request: Request, version: str
    ) -> JSONRPCResponse | JSONRPCError:
        try:
            result = await serve_one(
                self.server,
                _OneAnswer(message.id, ServerMessageMetadata(request_context=request)),
                message.method,
                message.params,
                connection=Connection.from_envelope(version, None, None),
                lifespan_state=self.lifespan_state,
            )
        except MCPError as error:
            return JSONRPCError(jsonrpc="2.0", id=message.id, error=error.error)
        return JSONRPCResponse(jsonrpc="2.0", id=message.id, result=result)


def _is_direct(message: JSONRPCRequest, request: Request, version: str) -> bool:
    """Whether it is a call that the SDK's transport would let through, in the older era."""
    content_type = request.headers.get("content-type", "")
    takes_json, _ = check_accept_headers(request)
    return (
        message.method == _CALL
        and version in HANDSHAKE_PROTOCOL_VERSIONS
        and content_type.partition(";")[0].rstrip() == _JSON
        and takes_json
    )


@dataclass(frozen=True)
class _OneAnswer:
    """One request as the session sees it: its answer is all that its client can be sent."""

    request_id: RequestId
    message_metadata: ServerMessageMetadata
    cancel_requested: anyio.Event = field(default_factory=anyio.Event)
    transport: TransportContext = _TRANSPORT
    can_send_request: bool = False

    async def send_raw_request(
        self,
        method: str,
        params: Mapping[str, object] | None,  # noqa: ARG002  # as in the SDK, and the next
        opts: CallOptions | None = None,  # noqa: ARG002
    ) -> NoReturn:
        raise NoBackChannelError(method)

    async def notify(
        self, method: str, params: Mapping[str, object] | None, opts: CallOptions | None = None
    ) -> None:
        pass

    async def progress(
        self, progress: float, total: float | None = None, message: str | None = None
    ) -> None:
        pass
