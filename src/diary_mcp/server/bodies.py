"""Request bodies: read in full before anything looks at them, bounded, and fit to be stored."""

from dataclasses import dataclass

import anyio
from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from diary_mcp.server.json_text import decode_json

MOST_BODY_BYTES = 4 << 20
_ARRIVE_S = 30


class _TooLargeError(Exception):
    pass


class _GoneError(Exception):
    pass


@dataclass(frozen=True)
class Bodies:
    """Hands an ASGI application each request with its body complete."""

    app: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers 413 to a body that is too large, 408 to one that does not arrive."""
        try:
            with anyio.fail_after(_ARRIVE_S):
                body = await _read(scope, receive)
        except _GoneError:
            return
        except _TooLargeError:
            await _refusal(413, f"A request has at most {MOST_BODY_BYTES >> 20} MiB.")(
                scope, receive, send
            )
            return
        except TimeoutError:
            await _refusal(408, f"The request did not arrive within {_ARRIVE_S} s.")(
                scope, receive, send
            )
            return
        whole: list[Message] = [{"type": "http.request", "body": decode_json(body).encode()}]

        async def receive_whole() -> Message:
            return whole.pop() if whole else await receive()

        await self.app(scope, receive_whole, send)


async def _read(scope: Scope, receive: Receive) -> bytes:
    declared = Headers(scope=scope).get("content-length", "")
    if declared.isdigit() and int(declared) > MOST_BODY_BYTES:
        raise _TooLargeError
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _GoneError
        body += message.get("body", b"")
        if len(body) > MOST_BODY_BYTES:
            raise _TooLargeError
        if not message.get("more_body", False):
            return bytes(body)


def _refusal(status: int, reason: str) -> JSONResponse:
    return JSONResponse({"error": "invalid_request", "error_description": reason}, status)
