"""Clients over HTTP that mean no good: the server stays up, stays small, and answers the others."""

import json
import resource
import socket
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import count

import httpx
import pytest

from support.clients import ERAS, Era, environment
from support.ground_truth import check_promise, eventually
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
from support.http_servers import (
    HttpServer,
    bearer,
    call,
    call_body,
    call_headers,
    http_server,
    issue_token,
    post,
)

pytestmark = pytest.mark.xdist_group("hostile-http")

# Four MiB that become many objects.
_SMALL_VALUES = (
    b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"diary_create",'
    b'"arguments":{"content":[' + b"[]," * 1_390_000 + b"[]]}}}"
)
# And four that are one.
_LONG_TEXT = json.dumps(call_body("diary_create", {"content": "x" * 4_000_000})).encode()
FILES_OF_MOST_SYSTEMS = 1_024
_HEAD = "POST /mcp HTTP/1.1\r\nHost: localhost:1\r\nContent-Type: application/json\r\n"


@pytest.fixture(scope="module")
def token(database: str) -> str:
    return issue_token(database, "mallory").secret


@pytest.fixture(scope="module")
def running(database: str) -> Generator[HttpServer]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (FILES_OF_MOST_SYSTEMS, hard))
    try:
        server = http_server(environment(database_url=database), "--transport", "sse")
        with server as started:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            yield started.wait_until_ready()
            check_promise(database)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture
def server(running: HttpServer, token: str) -> Generator[HttpServer]:
    """A server that goes on after each test: the next call works, and memory is bounded."""
    yield running
    assert call(running, token, "diary_whoami").code == "ok"
    assert rss_mib(running.process.pid) < MAX_MIB
    assert "Traceback" not in running.stderr()
    assert token not in running.stderr()


@pytest.mark.parametrize("era", ERAS)
def test_an_envelope_that_is_wrong_is_no_fault_of_the_server(
    server: HttpServer, token: str, era: Era, subtests: pytest.Subtests
) -> None:
    for name, envelope in ENVELOPES.items():
        with subtests.test(name):
            response = post(server, envelope, bearer(token) | call_headers("diary_create", era))

            assert response.status_code < 500, response.text
            assert len(response.content) < 20_000


@pytest.mark.parametrize("era", ERAS)
def test_damaged_messages_are_no_fault_of_the_server(
    server: HttpServer, token: str, era: Era
) -> None:
    message = call_line("diary_create", {"content": "Damaged.", "tags": ["a", "b"]})
    headers = bearer(token) | call_headers("diary_create", era)

    with httpx.Client(headers=headers | {"Accept": "application/json"}, verify=False) as client:
        for body in damaged(message, 60 * SCALE, seeded(f"damaged over HTTP {era}")):
            response = client.post(
                f"{server.url}/mcp", content=body, headers={"Content-Type": "application/json"}
            )
            assert response.status_code < 500, (body, response.text)


def test_content_of_ten_megabytes_is_too_large(server: HttpServer, token: str) -> None:
    body = call_body("diary_create", {"content": "x" * 10_000_000})

    assert post(server, body, bearer(token)).status_code == 413


def test_many_long_bodies_at_once_fill_no_memory(server: HttpServer, token: str) -> None:
    with ThreadPoolExecutor(16) as clients:
        sent = [clients.submit(post, server, _SMALL_VALUES, bearer(token)) for _ in range(16)]
        sent += [clients.submit(post, server, _LONG_TEXT, bearer(token)) for _ in range(16)]
        sizes = [rss_mib(server.process.pid)]
        while not all(each.done() for each in sent):
            sizes.append(rss_mib(server.process.pid))

    assert {each.result().status_code for each in sent} == {200, 413}
    assert max(sizes) < MAX_MIB


@pytest.mark.parametrize("path", ["/mcp", "/messages/", "/health", "/", "/%00", "/../etc/passwd"])
def test_a_method_of_no_use_is_refused(
    server: HttpServer, token: str, path: str, subtests: pytest.Subtests
) -> None:
    for method in ("GET", "PUT", "DELETE", "HEAD", "OPTIONS", "TRACE", "X"):
        with subtests.test(method):
            response = httpx.request(method, server.url + path, headers=bearer(token), verify=False)

            assert response.status_code < 500


HEADERS: list[dict[str, str]] = [
    {"Content-Type": "text/plain"},
    {"Content-Type": "application/x-www-form-urlencoded"},
    {"Content-Type": "application/json; charset=utf-16"},
    {"Content-Type": "\x01"},
    {"Accept": "text/html"},
    {"Accept": "*/*;q=0"},
    {"Content-Encoding": "gzip"},
    {"MCP-Protocol-Version": "1999-01-01"},
    {"MCP-Protocol-Version": "x" * 5_000},
    {"Mcp-Session-Id": "x" * 5_000},
    {"Mcp-Method": "tools/list", "MCP-Protocol-Version": "2026-07-28"},
    {"Last-Event-ID": "1"},
    {"traceparent": "00-zz"},
    {"Expect": "100-continue"},
    {"X-Forwarded-For": "127.0.0.1", "X-Agent": "alice"},
]


def test_headers_of_no_use_are_no_fault_of_the_server(
    server: HttpServer, token: str, subtests: pytest.Subtests
) -> None:
    for headers in HEADERS:
        with subtests.test(", ".join(headers)):
            response = post(server, call_body("diary_whoami"), bearer(token) | headers)

            assert response.status_code < 500
            assert "alice" not in response.text


RequestOf = Callable[[str], bytes]
"""The bytes of a request, for a token."""


def _strange(request: bytes) -> RequestOf:
    return lambda _token: request


def _chunked(*parts: bytes) -> RequestOf:
    def request(token: str) -> bytes:
        head = f"{_HEAD}Authorization: Bearer {token}\r\nTransfer-Encoding: chunked\r\n\r\n"
        return head.encode() + b"".join(parts)

    return request


def _with_length(length: str, body: bytes) -> RequestOf:
    def request(token: str) -> bytes:
        head = f"{_HEAD}Authorization: Bearer {token}\r\nContent-Length: {length}\r\n\r\n"
        return head.encode() + body

    return request


FRAMINGS: list[RequestOf] = [
    _chunked(b"nonsense\r\n"),
    _chunked(b"-1\r\nx\r\n"),
    _chunked(b"ffffffffffffffffff\r\n"),
    _chunked(b"5\r\nabcdefghij\r\n0\r\n\r\n"),
    _chunked(b"1;" + b"x" * 100_000 + b"\r\nx\r\n0\r\n\r\n"),
    _chunked(b"1\r\n{\r\n0\r\n" + b"X: y\r\n" * 5_000 + b"\r\n"),
    _with_length("-1", b"{}"),
    _with_length("1e3", b"{}"),
    _with_length("99999999999999999999999", b"{}"),
    _with_length("2\r\nContent-Length: 3", b"{}x"),
    _with_length("2\r\nTransfer-Encoding: chunked", b"{}"),
    _strange(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 200),
    _strange(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    _strange(b"GET http://evil.example/ HTTP/1.1\r\nHost: evil.example\r\n\r\n"),
    _strange(b"CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example\r\n\r\n"),
    _strange(b"GET /mcp HTTP/9.9\r\n\r\n"),
    _strange(b"\r\n" * 10_000),
    _strange(b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
]


def test_framing_that_is_wrong_is_answered_or_cut_off(
    server: HttpServer, token: str, subtests: pytest.Subtests
) -> None:
    for request_of in FRAMINGS:
        request = request_of(token)
        with subtests.test(repr(request[-60:])):
            assert not _exchange(server, request).startswith(b"HTTP/1.1 5")


def test_garbage_and_damaged_requests_are_no_fault_of_the_server(
    server: HttpServer, token: str
) -> None:
    chance = seeded("garbage over HTTP")
    body = json.dumps(call_body("diary_create", {"content": "Damaged."})).encode()
    whole = _with_length(str(len(body)), body)(token)

    for sent in (*garbage(20 * SCALE, chance), *damaged(whole, 120 * SCALE, chance)):
        assert not _exchange(server, sent, patience_s=0.05).startswith(b"HTTP/1.1 5")


# When they are cut off: tests/unit/transport/http/test_protocol.py.
def test_clients_that_never_finish_their_requests_keep_nobody_waiting(
    server: HttpServer, token: str
) -> None:
    with ExitStack() as connections:

        def connect(sent: bytes) -> None:
            opened = connections.enter_context(socket.create_connection(server.address))
            opened.sendall(sent)

        for _ in range(300):
            connect(b"POST /mcp HTTP/1.1\r\nHost: loc")
        for _ in range(20):
            connect(_with_length("1000000", b'{"jsonrpc"')(token))

        assert call(server, token, "diary_whoami").code == "ok"


def test_more_connections_than_most_systems_allow_files_keep_nobody_out(
    server: HttpServer, token: str
) -> None:
    with ExitStack() as connections:
        for _ in range(FILES_OF_MOST_SYSTEMS + 100):
            connections.enter_context(socket.create_connection(server.address))

        assert call(server, token, "diary_create", {"content": "In between."}).code == "ok"


def test_clients_that_do_not_read_fill_no_memory(server: HttpServer, token: str) -> None:
    content = "z" * 90_000
    call(server, token, "diary_create", {"content": content, "key": "z"})
    body = json.dumps(call_body("diary_get", {"entry_id": "z"})).encode()
    pipelined = _with_length(str(len(body)), body)(token) * 50

    with ExitStack() as connections:
        for _ in range(60):
            opened = connections.enter_context(socket.create_connection(server.address))
            opened.setblocking(False)
            opened.send(pipelined)

        answer = call(server, token, "diary_get", {"entry_id": "z"})

        assert content.startswith(answer.data["content"])
        assert rss_mib(server.process.pid) < MAX_MIB


def test_an_sse_client_that_does_not_read_fills_no_memory_and_keeps_nobody_out(
    server: HttpServer, token: str, database: str
) -> None:
    content = "s" * 90_000
    other = issue_token(database, "bystander").secret
    call(server, token, "diary_create", {"content": content, "key": "s"})
    with ExitStack() as streams:
        path = _open_session(streams, server, token)
        statuses: list[int] = []
        with httpx.Client(headers=bearer(token), timeout=60, verify=False) as client:
            for message in HANDSHAKE:
                client.post(server.url + path, json=message)
            post_message = _poster(client, server.url + path)
            while len(statuses) < 2_000 and 503 not in statuses:
                statuses.append(post_message())
        others = _open_session(streams, server, other)
        told = httpx.post(server.url + others, json=HANDSHAKE[0], headers=bearer(other))

    assert told.status_code == 202
    assert statuses[:5] == [202] * 5
    assert statuses[-1] == 503
    eventually(lambda: call(server, token, "diary_whoami").code == "ok")


def test_connections_without_a_token_keep_nobody_out_who_has_one(
    server: HttpServer, token: str
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 4_096), hard))
    with ExitStack() as idle:
        for _ in range(2_100):
            idle.enter_context(socket.create_connection(server.address))

        assert call(server, token, "diary_whoami").code == "ok"


def test_streams_of_one_agent_keep_no_other_agent_from_opening_one(
    server: HttpServer, token: str, database: str
) -> None:
    other = issue_token(database, "bystander").secret
    with ExitStack() as streams:
        opened = [_open_stream(streams, server, token) for _ in range(51)]

        assert [status for status in opened if status != b"200"] == [b"503"]
        assert _open_stream(streams, server, other) == b"200"


def _open_session(streams: ExitStack, server: HttpServer, token: str) -> str:
    """Opens a legacy stream, which is not read any further; where its messages go."""
    stream = streams.enter_context(socket.create_connection(server.address))
    head = f"Host: localhost:1\r\nAuthorization: Bearer {token}\r\n\r\n"
    stream.sendall(f"GET /sse HTTP/1.1\r\n{head}".encode())
    told = b""
    while b"session_id=" not in told or not told.endswith(b"\r\n\r\n"):
        told += stream.recv(1_000)
    return told.partition(b"data: ")[2].split()[0].decode()


def _open_stream(streams: ExitStack, server: HttpServer, token: str) -> bytes:
    """Opens a stream that nobody reads; the status that it began with."""
    stream = streams.enter_context(socket.create_connection(server.address, timeout=30))
    head = f"Host: localhost:1\r\nAuthorization: Bearer {token}\r\n\r\n"
    stream.sendall(f"GET /sse HTTP/1.1\r\n{head}".encode())
    return stream.recv(12).split()[1]


def _poster(client: httpx.Client, url: str) -> Callable[[], int]:
    """Asks for a long entry; none of them waits for its answer."""

    numbers = count(1)

    def post_message() -> int:
        body = {"name": "diary_get", "arguments": {"entry_id": "s"}}
        message = {"jsonrpc": "2.0", "id": next(numbers), "method": "tools/call"}
        return client.post(url, json=message | {"params": body}).status_code

    return post_message


def _exchange(server: HttpServer, sent: bytes, *, patience_s: float = 1) -> bytes:
    """What the server answers to these bytes, before it closes or has nothing more to say."""
    with socket.create_connection(server.address, timeout=patience_s) as connection:
        try:
            connection.sendall(sent)
            return connection.recv(1_000)
        except (TimeoutError, ConnectionError):
            return b""
