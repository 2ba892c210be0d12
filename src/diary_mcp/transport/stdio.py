"""MCP over stdin and stdout.

Five things differ from the SDK's own stdio transport. A signal ends the session as the end of
stdin does, so that everything is closed (with the SDK SIGTERM kills the process in the middle,
and SIGINT waits for stdin). Calls that were read before stdin ended are answered first.
What a client sends faster than it reads answers stays in the pipe, not in memory. Every line is
answered: one that is no message by JSON-RPC's error, one with a string that cannot be decoded by
the tool that it is meant for, where the SDK would drop it. And the session reads and writes the
wire itself, where the SDK has tasks for that, and streams between them.
"""

import asyncio
import fcntl
import os
import signal
import stat
import struct
import sys
import termios
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from io import RawIOBase
from types import FrameType, TracebackType
from typing import IO, Self

import anyio
import anyio.to_thread
import structlog
from mcp.server.runner import serve_loop
from mcp.shared.message import SessionMessage
from mcp_types import JSONRPCMessage, JSONRPCRequest

from diary_mcp.posix_signals import ending_signals
from diary_mcp.server.build import DiaryServer
from diary_mcp.transport.inflight import InFlight, MessageStream
from diary_mcp.transport.json_text import (
    Refusal,
    find_id,
    has_envelope,
    has_too_many_values,
    read_message,
    refuse,
)
from diary_mcp.transport.process_exit import CLOSING_S, end_within

_log = structlog.get_logger()

# An empty socket takes more, unless somebody made it very small.
_SOCKET_ROOM = 32 << 10
_MAX_LINE_BYTES = 16 << 20
# So much is read, then everything is answered before more is read.
_MAX_UNANSWERED_BYTES = 32 << 20
# Whoever closes stdin wants what was asked before, and has signals to hurry with: clients wait two
# seconds before they send one.
_LAST_ANSWERS_S = 4.0
_LAST_ANSWERS_ON_SIGNAL_S = 1.0
_LAST_COMMITS_S = 0.5
_MOST_BEFORE_A_REQUEST = 8
_HAS_ENVELOPE = (
    "Invalid request: this session began with initialize, so that _meta names no protocol version."
)


async def serve_stdio(
    server: DiaryServer,
    in_flight: InFlight,
    came_up: Callable[[], Awaitable[None]],
    finish: Callable[[anyio.Event], Awaitable[None]],
) -> int:
    """Serves one client until stdin ends or a signal comes.

    Args:
        server: the protocol's side of it.
        in_flight: what the server's middleware counts with.
        came_up: returns once calls need not wait for the diary any more.
        finish: what is to be done after the last answer, in a hurry once a signal has come.

    Returns:
        The process's exit status: 0, or 128 and the signal's number.
    """
    signals = _Signals()
    async with _stdin() as stdin, _stdout() as stdout:
        _end_on_signals(stdin, signals)
        last = _LastAnswers(in_flight, came_up, signals.came)
        answers = in_flight.counted(_Answers(stdout))

        def end() -> None:
            end_within(CLOSING_S, signals.status)

        messages = _Messages(stdin, answers, in_flight, last, end)
        await _serve_in_its_era(server, messages, answers)
    await finish(signals.came)
    return signals.status


async def _serve_in_its_era(
    server: DiaryServer, messages: "_Messages", answers: MessageStream[SessionMessage]
) -> None:
    """Serves a client in the era of the protocol in which it opens the session.

    The SDK's `run` finds that out too, with a task that then hands on every message.
    """
    opening = await messages.read_opening()
    options = server.create_initialization_options()
    if opening is None or has_envelope(opening):
        await server.run(messages, answers, options)
        return
    messages.takes_envelopes = False
    async with server.lifespan(server) as state:
        await serve_loop(server, messages, answers, lifespan_state=state, init_options=options)


class _Wire:
    """What the SDK asks of a stream beside its messages; whoever opened the wire closes it."""

    async def aclose(self) -> None:
        pass

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        pass


@dataclass
class _Messages(_Wire):
    """The messages that come in, as the SDK takes them; answers what is none."""

    stdin: asyncio.StreamReader
    answers: MessageStream[SessionMessage]
    in_flight: InFlight
    last: "_LastAnswers"
    closing: Callable[[], None]
    has_ended: bool = False
    unanswered_bytes: int = 0
    takes_envelopes: bool = True
    """Whether requests of the protocol without a handshake are taken."""
    read_before: deque[SessionMessage] = field(default_factory=deque[SessionMessage])

    async def read_opening(self) -> JSONRPCRequest | None:
        """The first request, which is received again, with what came before it."""
        with suppress(anyio.EndOfStream):
            while True:
                read = await self._receive()
                if isinstance(read.message, JSONRPCRequest):
                    self.read_before.append(read)
                    return read.message
                if len(self.read_before) < _MOST_BEFORE_A_REQUEST:
                    self.read_before.append(read)
        return None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> SessionMessage:
        try:
            return await self.receive()
        except anyio.EndOfStream as end:
            raise StopAsyncIteration from end

    async def receive(self) -> SessionMessage:
        """The next message.

        Raises:
            anyio.EndOfStream: there is none any more, and the last answers are given.
        """
        return self.read_before.popleft() if self.read_before else await self._receive()

    async def _receive(self) -> SessionMessage:
        while not self.has_ended:
            await self.in_flight.wait_for_room()
            if self.unanswered_bytes > _MAX_UNANSWERED_BYTES:
                await self.in_flight.wait_until_idle()
                self.unanswered_bytes = 0
            line = await _read_line(self.stdin)
            # After a signal, what was not read yet is not begun either.
            if not line or self.last.signalled.is_set():
                await self.last.wait()
                self.closing()
                self.has_ended = True
            elif (message := await self._read(line)) is not None:
                return SessionMessage(message)
        raise anyio.EndOfStream

    async def _read(self, line: bytes | Refusal) -> JSONRPCMessage | None:
        if isinstance(line, bytes):
            self.unanswered_bytes += len(line)
        match read_message(line) if isinstance(line, bytes) else line:
            case None:
                _log.warning("message.malformed")
            case Refusal(error):
                await self.answers.send(SessionMessage(error))
            case JSONRPCRequest() as request if not self.takes_envelopes and has_envelope(request):
                refusal = refuse(_HAS_ENVELOPE, request_id=request.id)
                await self.answers.send(SessionMessage(refusal.error))
            case message:
                return message
        return None


class _Answers(_Wire):
    """Writes what the SDK sends, one message after the other."""

    def __init__(self, stdout: IO[bytes]) -> None:
        self._stdout = stdout
        self._turn = anyio.Lock()

    async def send(self, item: SessionMessage, /) -> None:
        """Returns when it is written.

        Raises:
            anyio.BrokenResourceError: the client reads no more.
        """
        text = item.message.model_dump_json(by_alias=True, exclude_unset=True)
        line = f"{text}\n".encode()
        try:
            if not self._turn.locked() and has_room(self._stdout.fileno(), len(line)):
                # A thread would cost more than the whole rest of a small call.
                _write_line(self._stdout, line)
                return
            async with self._turn:
                await anyio.to_thread.run_sync(_write_line, self._stdout, line)
        except OSError as error:
            raise anyio.BrokenResourceError from error


def has_room(wire: int, size: int) -> bool:
    """Whether so many bytes can be written at once: the client has read all that came before.

    Only Linux says it of pipes, and of the sockets that Node has in their place.
    """
    if sys.platform != "linux":
        return False
    mode = os.fstat(wire).st_mode
    if stat.S_ISFIFO(mode):
        room = fcntl.fcntl(wire, fcntl.F_GETPIPE_SZ)
        return size <= room and _count(wire, termios.FIONREAD) == 0
    return stat.S_ISSOCK(mode) and size <= _SOCKET_ROOM and _count(wire, termios.TIOCOUTQ) == 0


def _count(wire: int, question: int) -> int:
    (count,) = struct.unpack("i", fcntl.ioctl(wire, question, bytes(4)))
    return count


def _write_line(stdout: IO[bytes], line: bytes) -> None:
    stdout.write(line)
    stdout.flush()


@dataclass(frozen=True)
class _LastAnswers:
    """The answers to what was read before the end."""

    in_flight: InFlight
    came_up: Callable[[], Awaitable[None]]
    signalled: anyio.Event

    async def wait(self) -> None:
        """Returns when they are given, or when that takes too long.

        Calls that were piped in find the diary still coming up, and wait for it. A client that
        does not want to wait sends a signal.
        """
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as limits:
                limits.start_soon(_limit, scope, self.came_up, _LAST_ANSWERS_S)
                limits.start_soon(_limit, scope, self.signalled.wait, _LAST_ANSWERS_ON_SIGNAL_S)
                await self.in_flight.wait_until_idle()
                limits.cancel_scope.cancel()
        # What is committed is answered; what still waits for its turn is not done any more.
        self.in_flight.call_off()
        with anyio.move_on_after(_LAST_COMMITS_S):
            await self.in_flight.wait_until_idle()


async def _limit(
    scope: anyio.CancelScope, begins: Callable[[], Awaitable[None]], seconds: float
) -> None:
    await begins()
    scope.deadline = min(scope.deadline, anyio.current_time() + seconds)


async def _read_line(stdin: asyncio.StreamReader) -> bytes | Refusal:
    """The next line that is not blank, empty at the end; the answer to one over the limits."""
    while True:
        line, is_whole = await _read_to_newline(stdin)
        if not is_whole:
            _log.warning("message.too_long", most_bytes=_MAX_LINE_BYTES)
            told = f"Invalid request: a message has at most {_MAX_LINE_BYTES >> 20} MiB."
            return refuse(told, request_id=find_id(line))
        if has_too_many_values(line):
            _log.warning("message.too_many_values")
            told = "Invalid request: the message holds too many values."
            return refuse(told, request_id=find_id(line))
        if line.strip() or not line:
            return line


async def _read_to_newline(stdin: asyncio.StreamReader) -> tuple[bytes, bool]:
    """What comes before the next newline or the end, and whether that is all of it.

    Of what is over the limit it is the beginning; the rest is passed over.
    """
    beginning: bytes | None = None
    while True:
        try:
            line = await stdin.readuntil()
        except asyncio.IncompleteReadError as end:
            line = end.partial
        except asyncio.LimitOverrunError as over:
            skipped = await stdin.readexactly(over.consumed)
            beginning = skipped if beginning is None else beginning
            continue
        return (line, True) if beginning is None else (beginning, False)


@asynccontextmanager
async def _stdout() -> AsyncGenerator[IO[bytes]]:
    """Stdout for messages alone: whatever else is printed meanwhile goes to stderr."""
    number = sys.stdout.fileno()
    wire = os.dup(number)
    os.dup2(sys.stderr.fileno(), number)
    try:
        # A thread may still be writing to a client that does not read: it is never closed.
        yield os.fdopen(wire, "wb", closefd=False)
    finally:
        os.dup2(wire, number)


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


def _end_on_signals(stdin: asyncio.StreamReader, signals: _Signals) -> None:
    """A signal ends the session; further ones change nothing, to the end of the process.

    Claude Code sends SIGTERM a tenth of a second after SIGINT. The event loop's own handlers would
    be gone with the loop, before everything is closed.
    """
    loop = asyncio.get_running_loop()

    def end(number: int) -> None:
        if signals.first is None:
            # Who does not read its answers keeps us from what it wrote, and from the end of that.
            limit_s = _LAST_ANSWERS_ON_SIGNAL_S + _LAST_COMMITS_S + CLOSING_S
            end_within(limit_s, 128 + number)
        signals.take(number)
        stdin.feed_eof()

    def hand_on(number: int, _frame: FrameType | None) -> None:
        with suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(end, number)

    for number in ending_signals():
        signal.signal(number, hand_on)
