"""Request bodies: read in full before anything looks at them, bounded, and fit to be stored."""

from collections.abc import AsyncGenerator, MutableMapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import anyio
from mcp_types import UNSUPPORTED_PROTOCOL_VERSION, JSONRPCMessage, JSONRPCRequest
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS, MODERN_PROTOCOL_VERSIONS
from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from diary_mcp.transport.http.auth import agent_in
from diary_mcp.transport.json_text import (
    Refusal,
    as_read,
    has_too_many_values,
    read_message,
    refuse,
)

MAX_BODY_BYTES = 4 << 20
_PROTOCOL_VERSIONS = (*HANDSHAKE_PROTOCOL_VERSIONS, *MODERN_PROTOCOL_VERSIONS)
_MESSAGE = "diary_message"
_ARRIVE_S = 30
# What is longer takes memory that counts, many times its length once it is parsed: so many of
# them are read and answered at once, and the others wait; of one agent, half of them.
_LONG_BYTES = 256 << 10
_MAX_LONG_BODIES = 8
_MAX_LONG_BODIES_OF_ONE_AGENT = 4


class _TooLargeError(Exception):
    pass


class _GoneError(Exception):
    pass


class LongBodies:
    """Those that are read and answered at once; what all applications of one server share."""

    def __init__(self) -> None:
        self._all = anyio.Semaphore(_MAX_LONG_BODIES)
        self._of: dict[str, anyio.Semaphore] = {}

    @asynccontextmanager
    async def turn(self, agent: str) -> AsyncGenerator[None]:
        """Waits for one; an agent without a name is everybody."""
        most = _MAX_LONG_BODIES_OF_ONE_AGENT if agent else _MAX_LONG_BODIES
        async with self._of.setdefault(agent, anyio.Semaphore(most)), self._all:
            yield


@dataclass(frozen=True)
class BodyLimit:
    """Hands an ASGI application each request with its body complete."""

    app: ASGIApp
    long_bodies: LongBodies
    """Each long body has one of these turns until it is answered."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers 413 to a body that is too large, 408 to one that does not arrive."""
        async with AsyncExitStack() as held:
            await self._answer(scope, receive, send, held)

    async def _answer(
        self, scope: Scope, receive: Receive, send: Send, held: AsyncExitStack
    ) -> None:
        try:
            with anyio.fail_after(_ARRIVE_S):
                body = await self._receive(scope, receive, held)
        except _GoneError:
            return
        except _TooLargeError:
            await _refusal(413, f"A request has at most {MAX_BODY_BYTES >> 20} MiB.")(
                scope, receive, send
            )
            return
        except TimeoutError:
            await _refusal(408, f"The request did not arrive within {_ARRIVE_S} s.")(
                scope, receive, send
            )
            return
        if has_too_many_values(body):
            await _refusal(413, "The request holds too many values.")(scope, receive, send)
            return
        message = _read(scope, body)
        if isinstance(message, Refusal):
            told = message.error.model_dump(mode="json", by_alias=True, exclude_none=True)
            await JSONResponse({**told, "id": message.error.id}, 400)(scope, receive, send)
            return
        unread = [message]

        async def receive_whole() -> Message:
            if not unread:
                return await receive()
            read = unread.pop()
            return {"type": "http.request", "body": body if read is None else as_read(body, read)}

        await self.app({**scope, _MESSAGE: message}, receive_whole, send)

    async def _receive(self, scope: Scope, receive: Receive, held: AsyncExitStack) -> bytes:
        declared = Headers(scope=scope).get("content-length", "")
        if declared.isdigit() and int(declared) > MAX_BODY_BYTES:
            raise _TooLargeError
        body = bytearray()
        is_long = False
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise _GoneError
            body += message.get("body", b"")
            if len(body) > MAX_BODY_BYTES:
                raise _TooLargeError
            if len(body) > _LONG_BYTES and not is_long:
                is_long = True
                await held.enter_async_context(self.long_bodies.turn(agent_in(scope)))
            if not message.get("more_body", False):
                return bytes(body)


def request_in(scope: MutableMapping[str, object]) -> JSONRPCRequest | None:
    """What was asked in the body of a request that has passed `BodyLimit`."""
    message = scope.get(_MESSAGE)
    return message if isinstance(message, JSONRPCRequest) else None


def _read(scope: Scope, body: bytes) -> JSONRPCMessage | Refusal | None:
    """The message in the body, `None` where none is asked for, or the answer to what is none."""
    if scope["method"] != "POST":
        return None
    asked = Headers(scope=scope).get("mcp-protocol-version")
    message = read_message(body)
    if asked is not None and asked not in _PROTOCOL_VERSIONS and not isinstance(message, Refusal):
        request_id = message.id if isinstance(message, JSONRPCRequest) else None
        told = (
            f"MCP-Protocol-Version {asked!a} is not supported; {', '.join(_PROTOCOL_VERSIONS)} are."
        )
        return refuse(told, UNSUPPORTED_PROTOCOL_VERSION, request_id)
    if message is None:
        return refuse("Invalid request: this is neither a request nor a notification.")
    return message


def _refusal(status: int, reason: str) -> JSONResponse:
    return JSONResponse({"error": "invalid_request", "error_description": reason}, status)
