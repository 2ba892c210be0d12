"""When a stranger is cut off, and what that relies on in uvicorn: its protocol is no public API."""

import asyncio
import inspect
import socket
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send
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
    assert "self.response_complete = " in inspect.getsource(RequestResponseCycle)


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
