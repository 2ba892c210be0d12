"""When an answer is written without a thread: where the client cannot make the server wait."""

import os
import socket
import sys
from pathlib import Path

import pytest

from diary_mcp.transport.stdio import has_room

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux says it")


def test_an_empty_pipe_has_room_for_as_much_as_it_holds() -> None:
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb", 0), os.fdopen(writer, "wb", 0) as wire:
        assert has_room(writer, 1)
        assert not has_room(writer, 1 << 30)
        room = next(size for size in (65_536, 8_192, 4_096) if has_room(writer, size))
        os.set_blocking(writer, False)
        assert wire.write(bytes(room)) == room


def test_a_pipe_has_no_room_until_everything_was_read() -> None:
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb", 0) as client, os.fdopen(writer, "wb", 0) as wire:
        wire.write(b"answer")
        assert not has_room(writer, 1)
        client.read(3)
        assert not has_room(writer, 1)
        client.read(3)
        assert has_room(writer, 1)


def test_a_socket_has_no_room_until_everything_was_read() -> None:
    server, client = socket.socketpair()
    with server, client:
        assert has_room(server.fileno(), 1)
        assert not has_room(server.fileno(), 1 << 30)
        server.sendall(b"answer")
        assert not has_room(server.fileno(), 1)
        client.recv(100)
        assert has_room(server.fileno(), 1)


def test_nothing_is_said_of_a_file(tmp_path: Path) -> None:
    with (tmp_path / "answers").open("wb") as file:
        assert not has_room(file.fileno(), 1)
