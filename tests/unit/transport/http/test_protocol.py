"""When a stranger is cut off, and what that relies on in uvicorn: its protocol is no public API."""

import asyncio
import inspect
import re
import socket
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from diary_mcp.transport.http import protocol
from diary_mcp.transport.http.protocol import CONNECTION, BoundedHttpProtocol

OVERRIDDEN = {
    name
    for name, member in vars(BoundedHttpProtocol).items()
    if inspect.isfunction(member) and not name.startswith("_")
} - {"sign_in"}  # our own


def test_every_method_that_is_overridden_is_there_with_the_same_arguments() -> None:
    for name in OVERRIDDEN:
        ours, theirs = getattr(BoundedHttpProtocol, name), getattr(HttpToolsProtocol, name)
        assert list(inspect.signature(ours).parameters) == list(
            inspect.signature(theirs).parameters
        )


def test_what_is_used_of_a_connection_is_there() -> None:
    assert callable(HttpToolsProtocol.send_400_response)
    source = inspect.getsource(HttpToolsProtocol)
    assert "self.cycle = " in source
    assert "self.loop = " in source
    assert "self.transport = " in source
    cycle = inspect.getsource(RequestResponseCycle)
    assert "self.response_complete = " in cycle
    assert set(re.findall(r"self\.transport\.(\w+)", cycle)) == {"write", "close", "is_closing"}


class ImpatientLoop(asyncio.SelectorEventLoop):
    """One whose clock can be put forward."""

    skipped_s = 0.0

    def time(self) -> float:
        return super().time() + self.skipped_s

    async def skip(self, seconds: float) -> None:
        """Lets the time pass, and whatever is due by then happen."""
        self.skipped_s += seconds
        for _ in range(10):
            await asyncio.sleep(0)


async def answer(scope: Scope, receive: Receive, send: Send) -> None:
    """Lets in whoever says a name; the answer comes when the whole request is there."""
    agent = Headers(scope=scope).get("x-agent")
    is_admitted = agent is None or scope["state"][CONNECTION].sign_in(agent)
    while (await receive()).get("more_body", False):
        pass
    await PlainTextResponse("answered", 200 if is_admitted else 503)(scope, receive, send)


@asynccontextmanager
async def connection(
    state: ServerState | None = None,
) -> AsyncGenerator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A stranger's, to a server that answers every request."""
    config = Config(answer, log_config=None, timeout_keep_alive=75)
    config.load()
    server = state or ServerState()
    ours, theirs = socket.socketpair()
    await asyncio.get_running_loop().connect_accepted_socket(
        lambda: BoundedHttpProtocol(config, server, {}), theirs
    )
    reader, writer = await asyncio.open_connection(sock=ours)
    try:
        yield reader, writer
    finally:
        writer.close()
        await writer.wait_closed()


@pytest.mark.parametrize("sent", [b"", b"POST /mcp HTTP/1.1\r\nHost: loc"])
def test_a_head_that_has_not_come_whole_after_ten_seconds_is_cut_off(sent: bytes) -> None:
    loop = ImpatientLoop()

    async def run() -> None:
        async with connection() as (reader, writer):
            writer.write(sent)
            await loop.skip(0)  # What was sent is read.
            await loop.skip(9)
            assert not reader.at_eof()

            await loop.skip(2)

            assert reader.at_eof()

    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(run())


SLOW = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nbody"


def test_a_stranger_s_body_that_has_not_come_whole_after_ten_seconds_is_cut_off() -> None:
    loop = ImpatientLoop()

    async def run() -> None:
        async with connection() as (reader, writer):
            writer.write(SLOW)
            await loop.skip(0)  # What was sent is read.
            await loop.skip(9)
            writer.write(b".")
            await loop.skip(0)
            assert not reader.at_eof()

            await loop.skip(2)

            assert reader.at_eof()

    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(run())


def test_strangers_whose_requests_never_end_keep_no_new_one_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(protocol, "MAX_STRANGERS", 3)
    loop, state = ImpatientLoop(), ServerState()

    async def run() -> None:
        async with AsyncExitStack() as opened:
            slow = [await opened.enter_async_context(connection(state)) for _ in range(3)]
            for _, writer in slow:
                writer.write(SLOW)
            await loop.skip(0)

            reader, writer = await opened.enter_async_context(connection(state))
            writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert (await reader.readuntil(b"answered")).startswith(b"HTTP/1.1 200")

            assert [reader.at_eof() for reader, _ in slow] == [True, False, False]

    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(run())


def test_an_agent_has_so_many_connections_and_the_idle_ones_make_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(protocol, "MAX_CONNECTIONS_OF_ONE_AGENT", 2)
    loop, state = ImpatientLoop(), ServerState()
    ask = b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Agent: %b\r\n\r\n"

    async def run() -> None:
        async with AsyncExitStack() as opened:
            connections = [await opened.enter_async_context(connection(state)) for _ in range(5)]
            statuses: list[bytes] = []
            for number, agent in enumerate([b"mallory", b"bob", b"mallory", b"mallory"]):
                reader, writer = connections[number]
                writer.write(ask % agent)
                statuses.append((await reader.readuntil(b"answered"))[9:12])
            await loop.skip(0)
            are_closed = [reader.at_eof() for reader, _ in connections]

            for _, writer in connections[2:4]:
                writer.write(SLOW)
            await loop.skip(0)
            reader, writer = connections[4]
            writer.write(ask % b"mallory")
            one_more = (await reader.readuntil(b"answered"))[9:12]

            assert statuses == [b"200"] * 4
            assert are_closed == [True, False, False, False, False]
            assert one_more == b"503"

    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(run())


def test_a_stranger_who_was_answered_and_asks_nothing_more_is_cut_off_after_five_seconds() -> None:
    loop = ImpatientLoop()

    async def run() -> None:
        async with connection() as (reader, writer):
            for _ in range(2):
                writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
                assert (await reader.readuntil(b"answered")).startswith(b"HTTP/1.1 200")
                await loop.skip(4)

            await loop.skip(4)

            assert reader.at_eof()

    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(run())


class RecordingTransport(asyncio.Transport):
    """The other end, as pieces that were written at once."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.is_closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.is_closed
        self.written.append(bytes(data))

    def is_closing(self) -> bool:
        return self.is_closed

    def close(self) -> None:
        self.is_closed = True


async def answer_late(_scope: Scope, _receive: Receive, send: Send) -> None:
    """Begins at once, and says the rest in two parts, much later and one after the other."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await asyncio.sleep(1)
    await send({"type": "http.response.body", "body": b"one", "more_body": True})
    await send({"type": "http.response.body", "body": b"two"})


async def written_by(
    app: ASGIApp, loop: ImpatientLoop, request: bytes
) -> tuple[list[bytes], list[bytes], bool]:
    """What was written before and after a while, and whether the connection was closed."""
    config = Config(app, log_config=None)
    config.load()
    transport = RecordingTransport()
    connected = BoundedHttpProtocol(config, ServerState(), {})
    connected.connection_made(transport)
    connected.data_received(request)
    await loop.skip(0)
    at_once = [*transport.written]
    await loop.skip(2)
    is_closed = transport.is_closed
    connected.connection_lost(None)
    return at_once, transport.written[len(at_once) :], is_closed


GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n"


@pytest.mark.parametrize("header", [b"", b"Connection: close\r\n"])
def test_a_response_is_written_at_once_before_its_connection_is_closed(header: bytes) -> None:
    loop = ImpatientLoop()
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        at_once, later, is_closed = runner.run(written_by(answer, loop, GET + header + b"\r\n"))

    (response,) = at_once
    assert response.startswith(b"HTTP/1.1 200 OK\r\n")
    assert response.endswith(b"\r\n\r\nanswered")
    assert (later, is_closed) == ([], header != b"")


def test_the_head_of_a_stream_does_not_wait_for_what_comes_later() -> None:
    loop = ImpatientLoop()
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        at_once, later, _ = runner.run(written_by(answer_late, loop, GET + b"\r\n"))

    (head,) = at_once
    assert head.endswith(b"\r\n\r\n")
    assert b"".join(later) == b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n"
