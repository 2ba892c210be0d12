"""Requests that were read and not answered yet."""

from collections import Counter
from collections.abc import Callable
from types import TracebackType
from typing import Generic, Protocol, Self, TypeVar

import anyio
import anyio.lowlevel
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.shared.exceptions import MCPError
from mcp_types import INTERNAL_ERROR, CallToolResult, TextContent

# A message that was read reaches its handler, and a handler's answer the stream that takes it,
# within a few turns of the event loop.
_TURNS = 20
# Read and not answered, so many requests at most; what comes after them waits where it is.
_MAX_REQUESTS = 256
# Where several agents share a server, one of them must not use that up.
_MAX_REQUESTS_OF_ONE_AGENT = 64
_MAX_REQUESTS_OF_ALL_AGENTS = 1_024
# Its answer comes when the client hangs up: nobody waits for it.
_LISTEN = "subscriptions/listen"

_CALLED_OFF = (
    "unavailable: The server was ended before this was done. If it was a change, look whether it "
    "was made before you repeat it."
)

Message = TypeVar("Message")
MessageT_contra = TypeVar("MessageT_contra", contravariant=True)


class MessageStream(Protocol[MessageT_contra]):
    """What messages are sent on: the SDK's streams, and those of anyio, have this shape."""

    async def send(self, item: MessageT_contra, /) -> None: ...
    async def aclose(self) -> None: ...
    async def __aenter__(self) -> Self: ...
    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> bool | None: ...


AgentOf = Callable[[ServerRequestContext[object]], str]


def _nobody(_context: ServerRequestContext[object]) -> str:
    return ""


class InFlight:
    """Counts requests from their handler's start until their answer was taken."""

    def __init__(self, agent_of: AgentOf = _nobody) -> None:
        """Counts also by `agent_of` a request, where that says a name."""
        self._agent_of = agent_of
        self._count = 0
        self._count_of = Counter[str]()
        self._calls: set[anyio.CancelScope] = set()
        self._idle = anyio.Event()
        self._fewer = anyio.Event()
        self.first_answer = anyio.Event()
        """Set once a first request was answered."""

    async def middleware(
        self, ctx: ServerRequestContext[object], call_next: CallNext
    ) -> HandlerResult:
        """Counts one request; the server's middleware.

        Raises:
            MCPError: it was called off before it was done.
        """
        if ctx.method == _LISTEN:
            return await call_next(ctx)
        agent = self._agent_of(ctx)
        self._begin(agent)
        try:
            with anyio.CancelScope() as call:
                self._calls.add(call)
                try:
                    return await call_next(ctx)
                finally:
                    self._calls.remove(call)
            if ctx.method == "tools/call":
                return CallToolResult(content=[TextContent(text=_CALLED_OFF)], is_error=True)
            raise MCPError(INTERNAL_ERROR, _CALLED_OFF, {"code": "unavailable"})
        finally:
            self.first_answer.set()
            self._end(agent)

    def call_off(self) -> None:
        """Ends what has not begun to change anything; a unit of work goes on to its end."""
        for call in self._calls:
            call.cancel()

    def counted(self, stream: MessageStream[Message], agent: str = "") -> MessageStream[Message]:
        """The agent's stream: messages count as in flight until the other end has taken them."""
        return _CountedStream(stream, self, agent)

    async def send(self, stream: MessageStream[Message], message: Message, agent: str) -> None:
        """Counts one message while it is sent."""
        self._begin(agent)
        try:
            await stream.send(message)
        finally:
            self._end(agent)

    async def wait_until_idle(self) -> None:
        """Returns once every request that was read is answered."""
        await _turns()
        while self._count:
            if self._idle.is_set():
                self._idle = anyio.Event()
            await self._idle.wait()
            await _turns()

    async def wait_for_room(self) -> None:
        """Returns once another request may be read.

        A client that sends without end, or does not read its answers, waits; it would otherwise
        fill the memory with what it is owed.
        """
        while self.is_full:
            self._fewer = anyio.Event()
            await self._fewer.wait()

    @property
    def is_full(self) -> bool:
        """Whether there is no room."""
        return self._count >= _MAX_REQUESTS

    def is_full_of(self, agent: str) -> bool:
        """Whether there is no room for this agent, whom others do not keep out."""
        if not agent:
            return self.is_full
        return (
            self._count_of[agent] >= _MAX_REQUESTS_OF_ONE_AGENT
            or self._count >= _MAX_REQUESTS_OF_ALL_AGENTS
        )

    def _begin(self, agent: str) -> None:
        self._count += 1
        self._count_of[agent] += 1

    def _end(self, agent: str) -> None:
        self._count -= 1
        self._count_of[agent] -= 1
        if not self._count_of[agent]:
            del self._count_of[agent]
        self._fewer.set()
        if self._count == 0:
            self._idle.set()


class _CountedStream(Generic[Message]):
    def __init__(self, stream: MessageStream[Message], in_flight: InFlight, agent: str) -> None:
        self._stream = stream
        self._in_flight = in_flight
        self._agent = agent

    async def send(self, item: Message, /) -> None:
        await self._in_flight.send(self._stream, item, self._agent)

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def __aenter__(self) -> Self:
        await self._stream.__aenter__()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> bool | None:
        return await self._stream.__aexit__(exc_type, exc_val, exc_tb)


async def _turns() -> None:
    for _ in range(_TURNS):
        await anyio.lowlevel.checkpoint()
