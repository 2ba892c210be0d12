"""Requests that were read and not answered yet."""

import anyio
import anyio.lowlevel
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext

# A message that was read reaches its handler within a few turns of the event loop.
_TURNS_TO_A_HANDLER = 20


class InFlight:
    """Counts requests between their handler's start and its answer."""

    def __init__(self) -> None:
        self._count = 0
        self._idle = anyio.Event()
        self.first_answer = anyio.Event()
        """Set once a first request was answered."""

    async def middleware(
        self, ctx: ServerRequestContext[object], call_next: CallNext
    ) -> HandlerResult:
        """Counts one request; the server's middleware."""
        if self._count == 0:
            self._idle = anyio.Event()
        self._count += 1
        try:
            return await call_next(ctx)
        finally:
            self._count -= 1
            self.first_answer.set()
            if self._count == 0:
                self._idle.set()

    async def wait_until_idle(self) -> None:
        """Returns once every request that was read is answered."""
        for _ in range(_TURNS_TO_A_HANDLER):
            await anyio.lowlevel.checkpoint()
        while self._count:
            await self._idle.wait()
        for _ in range(_TURNS_TO_A_HANDLER):
            await anyio.lowlevel.checkpoint()
