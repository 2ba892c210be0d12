"""When a stranger is cut off, and what that relies on in uvicorn: its protocol is no public API."""

import asyncio
import inspect
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest
from starlette.responses import PlainTextResponse
from uvicorn import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from diary_mcp.transport.http.protocol import BoundedHttpProtocol

OVERRIDDEN = {
    name
    for name, member in vars(BoundedHttpProtocol).items()
    if inspect.isfunction(member) and not name.startswith("_")
} - {"sign_in", "worth"}  # our own


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


@asynccontextmanager
async def connection() -> AsyncGenerator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A stranger's, to a server that answers every request."""
    config = Config(PlainTextResponse("answered"), log_config=None, timeout_keep_alive=75)
    config.load()
    ours, theirs = socket.socketpair()
    await asyncio.get_running_loop().connect_accepted_socket(
        lambda: BoundedHttpProtocol(config, ServerState(), {}), theirs
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
