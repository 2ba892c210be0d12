"""Waiting for what a connection's socket brings.

psycopg registers the socket with the event loop for each wait, and takes it away again after it.
With uvloop that is eight system calls, more than a short wait takes otherwise. Here a socket
stays registered until something comes that nobody waits for.
"""

import asyncio
import os
import select
import time

READ, WRITE = 1, 2
"""What psycopg waits for, and what it is told is there."""

_NOTHING = 0
_MAX_BUSY_S = 0.005


class SocketWatch:
    """Watches one socket for whoever waits for it, one at a time.

    What is registered is a descriptor of its own: libpq closes its socket whenever it likes, and
    the loop would take the next one of that number for it.
    """

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._descriptor = -1
        self._asked: asyncio.Future[int] | None = None
        self._busy_since: float | None = None

    async def wait(self, socket: int, wanted: int, until: float | None) -> int:
        """What of `wanted` the socket is ready for; nothing after `until`, by the loop's clock."""
        if not wanted & WRITE:
            return await self._wait(socket, until)
        await self.rest()
        # Nearly always it can be written to.
        if ready := _poll(socket, wanted):
            return ready
        loop = asyncio.get_running_loop()
        loop.add_writer(socket, self._answer, WRITE)
        try:
            await self._wait(socket, until)
        finally:
            loop.remove_writer(socket)
        return _poll(socket, wanted)

    async def rest(self) -> None:
        """Lets others have the loop, where nothing had to be waited for in a while."""
        now = time.monotonic()
        if self._busy_since is None:
            self._busy_since = now
        elif now - self._busy_since >= _MAX_BUSY_S:
            await asyncio.sleep(0)
            self._busy_since = None

    def end(self) -> None:
        """Lets go of the socket, until somebody waits for it again."""
        if self._loop is not None:
            self._loop.remove_reader(self._descriptor)
            self._loop = None
            os.close(self._descriptor)

    async def _wait(self, socket: int, until: float | None) -> int:
        loop = asyncio.get_running_loop()
        if self._loop is None:
            self._descriptor = os.dup(socket)
            self._loop = loop
            loop.add_reader(self._descriptor, self._read)
        self._asked = loop.create_future()
        limit = None if until is None else loop.call_at(until, self._answer, _NOTHING)
        try:
            return await self._asked
        finally:
            self._asked = self._busy_since = None
            if limit is not None:
                limit.cancel()

    def _read(self) -> None:
        if self._asked is None:
            # The other end has closed it, or tells what nobody asked for: the loop would say so
            # again and again.
            self.end()
            return
        if _has_failed(self._descriptor):
            # uvloop says it once, and never again of a descriptor that is registered.
            self.end()
        self._answer(READ)

    def _answer(self, ready: int) -> None:
        if self._asked is not None and not self._asked.done():
            self._asked.set_result(ready)


def _poll(socket: int, wanted: int) -> int:
    """What of it the socket is ready for now; one that has failed is ready for everything."""
    poll = select.poll()
    poll.register(socket, (select.POLLIN if wanted & READ else 0) | select.POLLOUT)
    events = sum(found for _, found in poll.poll(0))
    if events & ~(select.POLLIN | select.POLLOUT):
        return wanted
    return (READ if events & select.POLLIN else 0) | (WRITE if events & select.POLLOUT else 0)


def _has_failed(socket: int) -> bool:
    poll = select.poll()
    poll.register(socket, 0)
    return bool(poll.poll(0))
