"""A client over stdio that means no good: the server stays up, stays small, and goes on."""

import json
import os
import select
import signal
import subprocess
import threading
from collections.abc import Generator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import count, cycle
from tempfile import TemporaryFile
from typing import IO

import psycopg
import pytest

from support.clients import Json, ProtocolError, RawClient, answer_of, environment, raw_client
from support.fork_server import Process, complete_command, start_command
from support.ground_truth import check_promise
from support.hostile import (
    ENVELOPES,
    HANDSHAKE,
    MAX_MIB,
    SCALE,
    call_line,
    damaged,
    garbage,
    rss_mib,
    seeded,
)

pytestmark = pytest.mark.xdist_group("hostile-stdio")

FAR_TOO_MUCH = 100_000_000
REFUSED_AFTER_S = 2
# Read and not answered yet: `transport/inflight.py`.
TAKEN_AT_ONCE = 256
MAX_OF_A_PIPE = 1 << 17


@pytest.fixture(scope="module")
def running(database: str) -> Generator[RawClient]:
    with raw_client(environment(agent="mallory", database_url=database)) as client:
        yield client.wait_until_up()
        check_promise(database)


@pytest.fixture
def server(running: RawClient) -> Generator[RawClient]:
    """A server that goes on after each test: the next call works, and memory is bounded."""
    yield running
    running.wait_until_up()
    assert rss_mib(running.process.pid) < MAX_MIB
    assert "Traceback" not in running.stderr()


@pytest.mark.parametrize("name", ENVELOPES)
def test_an_envelope_that_is_wrong_ends_nothing(server: RawClient, name: str) -> None:
    server.send_bytes(ENVELOPES[name] + b"\n")


def test_garbage_and_damaged_messages_end_nothing(server: RawClient) -> None:
    chance = seeded("garbage on stdin")
    message = call_line("diary_create", {"content": "Damaged.", "tags": ["a", "b"]})

    for junk in (*garbage(40 * SCALE, chance), *damaged(message, 400 * SCALE, chance)):
        server.send_bytes(junk.replace(b"\n", b" ") + b"\n")


def test_content_of_ten_megabytes_is_refused_by_name(server: RawClient) -> None:
    for _ in range(2):
        answer = server.call("diary_create", content="x" * 10_000_000)

        assert answer.code == "invalid_argument"
        assert "content" in answer.text
        assert len(answer.text) < 1_000


@pytest.mark.parametrize("mebibytes", [17, 33, 50])
def test_a_message_that_is_too_long_is_answered_once_by_its_id(
    server: RawClient, mebibytes: int
) -> None:
    without_id = len(server.refusals)

    with pytest.raises(ProtocolError, match="at most 16 MiB"):
        server.request("ping", {"x": "a" * (mebibytes << 20)}).result(60)

    assert server.request("ping").result(60) == {}
    assert len(server.refusals) == without_id


def test_a_line_without_end_is_dropped(server: RawClient) -> None:
    for _ in range(100):
        server.send_bytes(b"x" * 1_000_000)
    server.send_bytes(b"\n")


def test_what_is_refused_is_not_sent_back_whole(server: RawClient) -> None:
    long = "x" * 3_000_000

    assert len(answer_of(server.request("tools/call", {"name": long})).text) < 5_000
    assert len(server.call("diary_get", **{long: 1}).text) < 5_000
    with pytest.raises(ProtocolError) as told:
        server.request("resources/read", {"uri": f"diary://{long}"}).result(60)
    assert len(str(told.value)) < 5_000


def test_more_calls_than_are_taken_at_once_wait_to_be_read_and_are_all_answered(
    server: RawClient, database: str
) -> None:
    answered_before: list[int] = []
    is_read = threading.Event()

    def look(_answer: Future[Json]) -> None:
        answered_before.append(sum(call.done() for call in calls))
        is_read.set()

    # Long ones, since what is in the server's buffer is taken at once.
    long = [f"{number:064}" for number in range(20)]
    with psycopg.connect(database) as other:
        other.execute("lock table diary.entry")
        numbers = range(2 * TAKEN_AT_ONCE * SCALE)
        calls = [server.start_call("diary_list", limit=1, tags=long) for _ in numbers]
        server.request("ping").add_done_callback(look)
        # A server that reads on answers it long before any call can be done.
        is_read.wait(1)

    codes = [answer_of(call).code for call in calls]

    assert codes == ["ok"] * len(calls)
    assert is_read.wait(60)
    assert answered_before[0] > 0


def test_calls_that_are_called_off_at_once_leave_no_call_behind(
    server: RawClient, database: str
) -> None:
    """Those that have a connection of the pool, and the more that wait for one."""
    calls: list[tuple[str, Json]] = [("diary_create", {"content": "Called off."})]
    calls += [("diary_list", {"limit": 1})] * 24
    # None of them is done before it is called off.
    with psycopg.connect(database) as other:
        other.execute("lock table diary.entry")
        for turn in range(3 * SCALE):
            ids = [f"off {turn} {number}" for number in range(TAKEN_AT_ONCE // 2)]
            for request_id, (tool, arguments) in zip(ids, cycle(calls), strict=False):
                server.send_bytes(call_line(tool, arguments, number=request_id) + b"\n")
            # What came before it has begun once this is answered.
            server.request("ping").result(60)
            for request_id in reversed(ids):
                server.notify("notifications/cancelled", {"requestId": request_id})

    server.create("Not called off.")


@dataclass(frozen=True)
class Bare:
    """A server on two pipes that nothing reads or writes but the test."""

    process: Process
    stdin: IO[bytes]
    stdout: IO[bytes]
    stderr: IO[bytes]

    def write(self, *messages: bytes) -> None:
        self.stdin.write(b"".join(message + b"\n" for message in messages))
        self.stdin.flush()


@contextmanager
def bare_server(database: str, agent: str) -> Generator[Bare]:
    """One that has shaken hands; it is killed at the end, if it is still there."""
    settings = environment(agent=agent, database_url=database)
    pipe = subprocess.PIPE
    with TemporaryFile() as stderr:
        process = start_command("serve", env=settings, stdin=pipe, stdout=pipe, stderr=stderr)
        assert process.stdin is not None
        assert process.stdout is not None
        bare = Bare(process, process.stdin, process.stdout, stderr)
        try:
            bare.write(*(json.dumps(message).encode() for message in HANDSHAKE))
            assert "result" in json.loads(bare.stdout.readline())
            yield bare
        finally:
            process.kill()
            process.wait()
            for stream in (bare.stdin, bare.stdout):
                with suppress(BrokenPipeError):
                    stream.close()


def test_a_client_that_does_not_read_fills_no_memory(database: str) -> None:
    """It sends for as long as the server takes it, and gets every answer once it reads."""
    content = "y" * 90_000
    with bare_server(database, "mute") as server:
        server.write(call_line("diary_create", {"content": content, "key": "k"}))
        assert not json.loads(server.stdout.readline())["result"]["isError"]

        sent, rest = _send_until_refused(server.stdin.fileno())
        size = rss_mib(server.process.pid)
        _start_rest(server.stdin.fileno(), rest)
        answers = [json.loads(server.stdout.readline()) for _ in range(TAKEN_AT_ONCE + 50)]

    assert sent < FAR_TOO_MUCH
    assert size < MAX_MIB
    read = [answer["result"]["structuredContent"] for answer in answers if answer["id"] % 4 == 0]
    assert {each["content"] for each in read} == {content[:20_000]}
    assert all("result" in answer for answer in answers)


def test_a_client_that_does_not_read_keeps_no_server_from_ending(database: str) -> None:
    with bare_server(database, "deaf") as server:
        server.write(call_line("diary_create", {"content": "y" * 90_000, "key": "k"}))
        assert not json.loads(server.stdout.readline())["result"]["isError"]
        _send_until_refused(server.stdin.fileno())

        server.process.terminate()

        assert server.process.wait(60) == 128 + signal.SIGTERM


@pytest.mark.usefixtures("server")
def test_a_client_that_vanishes_in_the_middle_of_its_calls_leaves_no_server(database: str) -> None:
    """Both pipes break at once, with calls read and answers owed."""
    call = call_line("diary_create", {"content": "Gone."})
    with bare_server(database, "gone") as server:
        server.write(call)
        server.stdout.readline()

        server.write(*[call] * 60)
        server.stdout.close()
        server.stdin.close()

        server.process.wait(60)
        server.stderr.seek(0)
        assert b"Gone." not in server.stderr.read()
    check_promise(database)


def _send_until_refused(pipe: int) -> tuple[int, bytes]:
    """Sends requests until the other end takes no more, or far too much.

    Returns:
        How many bytes went, and the rest of a line that was cut.
    """
    os.set_blocking(pipe, False)
    numbers, sent, waiting = count(), 0, b""
    while sent < FAR_TOO_MUCH and select.select([], [pipe], [], REFUSED_AFTER_S)[1]:
        while len(waiting) < MAX_OF_A_PIPE:
            waiting += _request(next(numbers)) + b"\n"
        written = os.write(pipe, waiting)
        sent, waiting = sent + written, waiting[written:]
    return sent, waiting.partition(b"\n")[0] + b"\n"


def _request(number: int) -> bytes:
    """Every fourth has a large answer; the others are as little work as there is.

    They are long, or it would be most of the work to make as many as a server reads ahead.
    """
    if number % 4 == 0:
        return call_line("diary_get", {"entry_id": "k"}, number=number).ljust(2_000)
    return (b'{"jsonrpc": "2.0", "id": %d, "method": "ping"}' % number).ljust(2_000)


def _start_rest(pipe: int, rest: bytes) -> None:
    """Completes the line that was cut, as soon as it is taken."""
    os.set_blocking(pipe, True)

    def write() -> None:
        with suppress(BrokenPipeError):
            os.write(pipe, rest)

    threading.Thread(target=write, daemon=True).start()


def test_every_line_with_an_id_is_answered(database: str) -> None:
    piped = b"""
{"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
{"jsonrpc": "2.0", "id": 2, "method": "tools/list", "params": []}
{"jsonrpc": "2.0", "id": 3, "method": "tools/call", "params": {}}
{"jsonrpc": "2.0", "id": 4, "method": "tools/list", "params": 7}
{"id": 5, "method": "ping"}
{"jsonrpc": "2.0", "id": 6, "method": "tools/call", "params": {"name": "diary_whoami"}}
{"jsonrpc": "2.0", "method": "notifications/initialized"}
{nonsense
"""

    with TemporaryFile() as stdin:
        stdin.write(piped)
        stdin.seek(0)
        served = complete_command("serve", env=environment(database_url=database), stdin=stdin)

    assert served.returncode == 0
    answers = {each["id"]: each["error"] for each in map(json.loads, served.stdout.splitlines())}
    codes = {request_id: error["code"] for request_id, error in answers.items()}
    assert codes == {1: -32602, 2: -32602, 3: -32602, 4: -32602, 5: -32600, 6: -32602, None: -32700}
    assert "tools/list came before initialize" in answers[1]["message"]
    assert "tools/call came before initialize" in answers[6]["message"]
    assert "params.name is required" in answers[3]["message"]
