"""MCP over stdin and stdout.

Four things differ from the SDK's own stdio transport. A signal ends the session as the end of
stdin does, so that everything is closed (with the SDK SIGTERM kills the process in the middle,
and SIGINT waits for stdin). Calls that were read before stdin ended are answered first.
What a client sends faster than it reads answers stays in the pipe, not in memory. And a
string that cannot be decoded reaches the tool that it is meant for, which refuses it by name,
where the SDK would drop the whole message without an answer.
"""

import asyncio
import os
import stat
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from io import RawIOBase

import anyio
import anyio.to_thread
import structlog
from mcp.server.stdio import stdio_server

from diary_mcp.server.build import DiaryServer
from diary_mcp.signals import ending_signals
from diary_mcp.transport.ending import CLOSING_S, end_within
from diary_mcp.transport.inflight import InFlight
from diary_mcp.transport.json_text import decode_json, has_too_many_values

_log = structlog.get_logger()

_MAX_LINE_BYTES = 16 << 20
# So much is read, then everything is answered before more is read.
_MAX_UNANSWERED_BYTES = 32 << 20
# Clients wait two seconds for a server whose stdin they closed before they kill it.
_LAST_ANSWERS_S = 1.0


async def serve_stdio(
    server: DiaryServer, in_flight: InFlight, came_up: Callable[[], Awaitable[None]]
) -> int:
    """Serves one client until stdin ends or a signal comes.

    Args:
        server: the protocol's side of it.
        in_flight: what the server's middleware counts with.
        came_up: returns once calls need not wait for the diary any more.

    Returns:
        The process's exit status: 0, or 128 and the signal's number.
    """
    async with _stdin() as stdin, _signals_end(stdin) as signals:
        last = _LastAnswers(in_flight, came_up, signals.came.wait)
        lines = _messages(stdin, in_flight, last, lambda: end_within(CLOSING_S, signals.status))
        async with stdio_server(stdin=lines) as (read, write):  # pyright: ignore[reportArgumentType]
            options = server.create_initialization_options()
            await server.run(read, in_flight.counted(write), options)
    return signals.status


async def _messages(
    stdin: asyncio.StreamReader,
    in_flight: InFlight,
    last: "_LastAnswers",
    closing: Callable[[], None],
) -> AsyncIterator[str]:
    read_bytes = 0
    while line := await _read_line(stdin):
        read_bytes += len(line)
        if read_bytes > _MAX_UNANSWERED_BYTES:
            await in_flight.wait_until_idle()
            read_bytes = len(line)
        yield decode_json(line)
        await in_flight.wait_for_room()
    await last.wait()
    closing()


@dataclass(frozen=True)
class _LastAnswers:
    """The answers to what was read before the end."""

    in_flight: InFlight
    came_up: Callable[[], Awaitable[None]]
    signalled: Callable[[], Awaitable[None]]

    async def wait(self) -> None:
        """Returns when they are given, or when that takes too long.

        Calls that were piped in find the diary still coming up, and wait for it. A client that
        does not want to wait sends a signal.
        """
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as limits:
                limits.start_soon(_limit, scope, self.came_up)
                limits.start_soon(_limit, scope, self.signalled)
                await self.in_flight.wait_until_idle()
                limits.cancel_scope.cancel()


async def _limit(scope: anyio.CancelScope, begins: Callable[[], Awaitable[None]]) -> None:
    await begins()
    scope.deadline = min(scope.deadline, anyio.current_time() + _LAST_ANSWERS_S)


async def _read_line(stdin: asyncio.StreamReader) -> bytes:
    """The next line, empty at the end; a line over the limits is dropped."""
    while True:
        try:
            line = await stdin.readline()
        except ValueError:
            _log.warning("message.too_long", most_bytes=_MAX_LINE_BYTES)
            continue
        if not has_too_many_values(line):
            return line
        _log.warning("message.too_many_values")


@asynccontextmanager
async def _stdin() -> AsyncGenerator[asyncio.StreamReader]:
    reader = asyncio.StreamReader(limit=_MAX_LINE_BYTES)
    stdin = os.fdopen(os.dup(sys.stdin.fileno()), "rb", 0)
    if not _can_be_waited_for(stdin):
        reader.feed_data(await anyio.to_thread.run_sync(stdin.read))
        reader.feed_eof()
        stdin.close()
        yield reader
        return
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), stdin
    )
    try:
        yield reader
    finally:
        transport.close()


def _can_be_waited_for(stdin: RawIOBase) -> bool:
    """A file and /dev/null never make a reader wait, and the event loop refuses them."""
    mode = os.fstat(stdin.fileno()).st_mode
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or stdin.isatty()


class _Signals:
    def __init__(self) -> None:
        self.came = anyio.Event()
        self.first: int | None = None

    @property
    def status(self) -> int:
        """What the process ends with."""
        return 128 + self.first if self.first else 0

    def take(self, number: int) -> None:
        self.first = self.first or number
        self.came.set()


@asynccontextmanager
async def _signals_end(stdin: asyncio.StreamReader) -> AsyncGenerator[_Signals]:
    signals = _Signals()

    def end(number: int) -> None:
        signals.take(number)
        stdin.feed_eof()

    loop = asyncio.get_running_loop()
    ending = ending_signals()
    for number in ending:
        loop.add_signal_handler(number, end, number)
    try:
        yield signals
    finally:
        for number in ending:
            loop.remove_signal_handler(number)
