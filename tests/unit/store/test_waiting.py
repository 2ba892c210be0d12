"""Waiting for a socket that stays registered with the event loop."""

import asyncio
import socket
from collections.abc import Generator
from contextlib import suppress
from pathlib import Path

import anyio
import pytest

from diary_mcp.store.waiting import READ, WRITE, SocketWatch

pytestmark = pytest.mark.anyio

Ends = tuple[socket.socket, socket.socket]


@pytest.fixture
def ends() -> Generator[Ends]:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with ours, theirs:
        yield ours, theirs


def number_of_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def let_it_notice() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


async def test_what_comes_is_told_each_time(ends: Ends) -> None:
    ours, theirs = ends
    watch = SocketWatch()

    for _ in range(3):
        waiting = asyncio.ensure_future(watch.wait(ours.fileno(), READ, None))
        await asyncio.sleep(0)
        assert not waiting.done()
        theirs.send(b"x")
        assert await waiting == READ
        ours.recv(10)

    watch.end()


async def test_the_socket_stays_registered(ends: Ends) -> None:
    ours, theirs = ends
    watch = SocketWatch()
    before = number_of_descriptors()

    for _ in range(3):
        theirs.send(b"x")
        await watch.wait(ours.fileno(), READ, None)
        ours.recv(10)
        assert number_of_descriptors() == before + 1

    watch.end()
    assert number_of_descriptors() == before


async def test_what_nobody_waits_for_is_told_to_whoever_waits_next(ends: Ends) -> None:
    ours, theirs = ends
    watch = SocketWatch()
    assert await watch.wait(ours.fileno(), READ, asyncio.get_running_loop().time()) == 0
    before = number_of_descriptors()

    theirs.send(b"x")
    await let_it_notice()

    assert number_of_descriptors() == before - 1
    assert await watch.wait(ours.fileno(), READ, None) == READ
    watch.end()


async def test_a_socket_that_the_other_end_has_closed_is_let_go(ends: Ends) -> None:
    ours, theirs = ends
    watch = SocketWatch()
    assert await watch.wait(ours.fileno(), READ, asyncio.get_running_loop().time()) == 0
    before = number_of_descriptors()

    theirs.shutdown(socket.SHUT_RDWR)
    await let_it_notice()

    assert number_of_descriptors() == before - 1
    watch.end()


@pytest.mark.parametrize("anyio_backend", [("asyncio", {"use_uvloop": True})], ids=["uvloop"])
async def test_a_connection_that_breaks_is_told_as_often_as_it_is_waited_for(ends: Ends) -> None:
    ours, theirs = ends
    watch = SocketWatch()
    ours.send(b"never read, which makes the end of it a failure")
    theirs.send(b"why")
    theirs.close()

    for _ in range(3):
        with anyio.fail_after(30):
            assert await watch.wait(ours.fileno(), READ, None) == READ
    watch.end()


async def test_a_socket_with_room_can_be_written_to_at_once(ends: Ends) -> None:
    ours, theirs = ends
    watch = SocketWatch()

    assert await watch.wait(ours.fileno(), READ | WRITE, None) == WRITE
    theirs.send(b"x")
    assert await watch.wait(ours.fileno(), READ | WRITE, None) == READ | WRITE


async def test_who_writes_to_a_full_socket_waits_for_room(ends: Ends) -> None:
    ours, theirs = ends
    watch = SocketWatch()
    sent = 0
    with suppress(BlockingIOError):
        while True:
            sent += ours.send(bytes(1 << 16))

    waiting = asyncio.ensure_future(watch.wait(ours.fileno(), READ | WRITE, None))
    await asyncio.sleep(0)
    assert not waiting.done()
    while sent:
        sent -= len(theirs.recv(1 << 20))

    assert await waiting == WRITE
    watch.end()


async def test_who_is_called_off_does_not_keep_the_next_from_waiting(ends: Ends) -> None:
    ours, theirs = ends
    watch = SocketWatch()
    waiting = asyncio.ensure_future(watch.wait(ours.fileno(), READ, None))
    await asyncio.sleep(0)

    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting

    theirs.send(b"x")
    assert await watch.wait(ours.fileno(), READ, None) == READ
    watch.end()


async def test_what_never_has_to_wait_lets_others_have_the_loop(ends: Ends) -> None:
    ours, _theirs = ends
    watch = SocketWatch()
    others = asyncio.ensure_future(asyncio.sleep(0))

    while not others.done():
        await watch.wait(ours.fileno(), WRITE, None)
