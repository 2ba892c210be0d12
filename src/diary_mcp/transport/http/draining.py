"""What is under way over HTTP: requests that are owed an answer, and streams that stay open."""

from dataclasses import dataclass, field

import anyio
import anyio.lowlevel
from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from diary_mcp.transport.http.protocol import CONNECTION, BoundedHttpProtocol

MAX_STREAMS = 500
MAX_STREAMS_OF_ONE_AGENT = 50


def is_stream_start(message: Message) -> bool:
    """Whether a response that stays open for events begins with this message."""
    if message["type"] != "http.response.start":
        return False
    return Headers(raw=message["headers"]).get("content-type", "").startswith("text/event-stream")


async def end_stream(send: Send) -> None:
    """Tells the client of an event stream that this was all."""
    await send({"type": "http.response.body", "body": b"", "more_body": False})


def service_unavailable(reason: str) -> JSONResponse:
    """The answer to what cannot be served now, but perhaps in a moment or by another replica."""
    return JSONResponse(
        {"error": "unavailable", "error_description": reason},
        status_code=503,
        headers={"Retry-After": "1"},
    )


class ConnectionDrain:
    """Knows what is under way, and ends it in good order when the server closes."""

    def __init__(self) -> None:
        self._exchanges: set[_Exchange] = set()
        self._is_closing = False
        self._changed = anyio.Event()

    def watch(self, app: ASGIApp) -> ASGIApp:
        """`app`, with everything that it answers known."""

        async def watched(scope: Scope, receive: Receive, send: Send) -> None:
            if self._is_closing:
                await _closing()(scope, receive, send)
                return
            exchange = _Exchange(self, scope, receive, send)
            self._exchanges.add(exchange)
            try:
                with exchange.work:
                    await app(scope, exchange.receive, exchange.send)
                if exchange.work.cancelled_caught and not exchange.is_answered:
                    await _closing()(scope, receive, send)
            finally:
                self._exchanges.discard(exchange)
                self.tell_change()

        return watched

    async def close(self) -> None:
        """Sends every new request away; returns once those that are here are answered.

        A request is here from its last byte on, so that a slow upload keeps nobody waiting, and
        answered when its answer begins.
        """
        self._is_closing = True
        for exchange in self._exchanges:
            if not exchange.is_here:
                exchange.work.cancel()
        while any(exchange.is_here and not exchange.is_answered for exchange in self._exchanges):
            self._changed = anyio.Event()
            await self._changed.wait()

    async def end_streams(self, *, but: str | None = None) -> None:
        """Ends every open event stream, but those of one path where it is named."""
        for exchange in [each for each in self._exchanges if each.is_streaming]:
            if exchange.scope["path"] != but:
                await end_stream(exchange.send_message)
                exchange.work.cancel()

    def count_streams(self) -> int:
        """How many event streams are open."""
        return sum(exchange.is_streaming for exchange in self._exchanges)

    def count_streams_of(self, agent: str) -> int:
        """How many of them are this agent's."""
        return sum(exchange.is_streaming for exchange in self._exchanges if exchange.agent == agent)

    def tell_change(self) -> None:
        """Something that was waited for may have come."""
        self._changed.set()


@dataclass(eq=False)
class _Exchange:
    """One request and its response, passing by."""

    connection_drain: ConnectionDrain
    scope: Scope
    receive_message: Receive
    send_message: Send
    work: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    is_here: bool = False
    is_answered: bool = False
    is_streaming: bool = False

    @property
    def agent(self) -> str | None:
        """Who has signed in on its connection, which is who reads it."""
        connection: object = self.scope.get("state", {}).get(CONNECTION)
        return connection.agent if isinstance(connection, BoundedHttpProtocol) else None

    async def receive(self) -> Message:
        message = await self.receive_message()
        if message["type"] == "http.request" and not message.get("more_body", False):
            self.is_here = True
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.is_answered = True
            self.connection_drain.tell_change()
        if is_stream_start(message):
            await self._start_streaming()
        await self.send_message(message)

    async def _start_streaming(self) -> None:
        agent, drain = self.agent, self.connection_drain
        is_greedy = agent and drain.count_streams_of(agent) >= MAX_STREAMS_OF_ONE_AGENT
        if is_greedy or drain.count_streams() >= MAX_STREAMS:
            refusal = service_unavailable("Too many streams are open.")
            await refusal(self.scope, self.receive_message, self.send_message)
            self.work.cancel()
            await anyio.lowlevel.checkpoint()
        self.is_streaming = True


def _closing() -> JSONResponse:
    return service_unavailable("The server is closing.")
