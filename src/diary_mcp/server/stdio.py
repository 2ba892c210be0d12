"""MCP over stdin and stdout.

Three things differ from the SDK's own stdio transport. A signal ends the session as the end of
stdin does, so that everything is closed (with the SDK SIGTERM kills the process in the middle,
and SIGINT waits for stdin). Calls that were read before stdin ended are answered first. And a
string that cannot be decoded reaches the tool that it is meant for, which refuses it by name,
where the SDK would drop the whole message without an answer.
"""

import asyncio
import os
import re
import signal
import stat
import sys
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from io import RawIOBase

import anyio
import anyio.to_thread
import structlog
from mcp.server.stdio import stdio_server

from diary_mcp.server.build import DiaryServer
from diary_mcp.server.inflight import InFlight

_log = structlog.get_logger()

_MOST_LINE_BYTES = 64 << 20
# Clients wait two seconds for a server whose stdin they closed before they kill it.
_LAST_ANSWERS_S = 1.0
_ESCAPE = re.compile(
    r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"  # a pair: one character
    r"|(?P<lone>\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
    r"|\\."
)
_NUL_ESCAPE = r"\u0000"


async def serve_stdio(server: DiaryServer, in_flight: InFlight) -> int:
    """Serves one client until stdin ends or a signal comes.

    Returns:
        The process's exit status: 0, or 128 and the signal's number.
    """
    async with _stdin() as stdin, _signals_end(stdin) as received:
        lines = _messages(stdin, in_flight)
        async with stdio_server(stdin=lines) as (read, write):  # pyright: ignore[reportArgumentType]
            await server.run(read, write, server.create_initialization_options())
    return 128 + received[0] if received else 0


async def _messages(stdin: asyncio.StreamReader, in_flight: InFlight) -> AsyncIterator[str]:
    while line := await _read_line(stdin):
        yield decode_line(line)
    with anyio.move_on_after(_LAST_ANSWERS_S):
        await in_flight.wait_until_idle()


async def _read_line(stdin: asyncio.StreamReader) -> bytes:
    """The next line, empty at the end; a line over the limit is dropped."""
    while True:
        try:
            return await stdin.readline()
        except ValueError:
            _log.warning("message.too_long", most_bytes=_MOST_LINE_BYTES)


def decode_line(line: bytes) -> str:
    r"""A line of JSON as text, with U+0000 for whatever no string may hold.

    Bytes that are no UTF-8 and escapes of lone surrogates become `\\u0000`, which every string
    field refuses by name.
    """
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError:
        text = re.sub(
            "[\udc80-\udcff]", lambda _: _NUL_ESCAPE, line.decode("utf-8", "surrogateescape")
        )
    return _ESCAPE.sub(lambda found: _NUL_ESCAPE if found["lone"] else found[0], text)


@asynccontextmanager
async def _stdin() -> AsyncGenerator[asyncio.StreamReader]:
    reader = asyncio.StreamReader(limit=_MOST_LINE_BYTES)
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


@asynccontextmanager
async def _signals_end(stdin: asyncio.StreamReader) -> AsyncGenerator[list[int]]:
    received: list[int] = []

    def end(number: int) -> None:
        received.append(number)
        stdin.feed_eof()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end, number)
    try:
        yield received
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
