"""MCP over HTTP: both protocol eras, the legacy stream, and what hostile clients may send."""

import json
import socket
from collections.abc import Generator
from contextlib import ExitStack

import anyio
import httpx
import pytest
from mcp.client.client import Client

from support.clients import ERAS, Era, environment
from support.ground_truth import ask
from support.http_servers import (
    HttpServer,
    bearer,
    call,
    call_body,
    call_headers,
    http_server,
    in_era,
    issue_token,
    post,
    request_body,
    sdk_http_client,
    sdk_sse_client,
)

pytestmark = [pytest.mark.anyio, pytest.mark.xdist_group("http")]

_REVOKE = "update diary.agent_token set revoked_at = now() where id = %s"
_NESTED = b"[" * 9_000 + b"]" * 9_000


@pytest.fixture(scope="module")
def server(database: str) -> Generator[HttpServer]:
    flags = ("--transport", "sse", "--allow-host", "diary.example.org")
    with http_server(environment(database_url=database), *flags) as started:
        yield started.wait_until_ready()
        assert started.process.poll() is None


@pytest.fixture(scope="module")
def token(database: str) -> str:
    return issue_token(database, "alice").secret


async def write_and_read(client: Client) -> str:
    """What the entry says that was just written."""
    created = await client.call_tool("diary_create", {"content": "Written over HTTP."})
    assert created.structured_content is not None
    entry_id = created.structured_content["id"]
    found = await client.call_tool("diary_get", {"entry_id": entry_id})
    assert found.structured_content is not None
    return str(found.structured_content["content"])


@pytest.mark.parametrize("era", ERAS)
async def test_a_client_of_either_era_writes_and_reads(
    server: HttpServer, token: str, era: Era
) -> None:
    async with sdk_http_client(server, token, era) as client:
        tools = [tool.name for tool in (await client.list_tools()).tools]

        assert "diary_create" in tools
        assert await write_and_read(client) == "Written over HTTP."


async def test_a_client_of_the_legacy_stream_writes_and_reads(
    server: HttpServer, token: str
) -> None:
    async with sdk_sse_client(server, token) as client:
        assert await write_and_read(client) == "Written over HTTP."


def test_the_legacy_stream_is_there_only_where_it_was_asked_for(database: str, token: str) -> None:
    with http_server(environment(database_url=database)) as plain:
        response = httpx.get(f"{plain.url}/sse", headers=bearer(token), verify=False)

    assert response.status_code == 404


def test_answers_are_json(server: HttpServer, token: str) -> None:
    response = post(server, request_body("tools/list"), bearer(token))

    assert response.headers["Content-Type"] == "application/json"
    assert response.json()["id"] == 1


def test_what_is_answered_without_the_sdk_is_what_it_would_answer(
    server: HttpServer, token: str
) -> None:
    called = {"name": "diary_list", "arguments": {"limit": 3}}

    answers = [
        post(server, request_body("tools/call", params), bearer(token)).json()
        # What it alone may know what to do with is left to it.
        for params in (called, {**called, "unknown": 1})
    ]

    assert "entries" in answers[0]["result"]["structuredContent"]
    assert answers[0] == answers[1]


def test_a_client_of_which_nothing_is_known_may_have_apps(server: HttpServer, token: str) -> None:
    unknown = request_body("tools/list")
    modern = in_era(unknown, "2026-07-28")
    in_modern = {"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/list"}

    with_views = post(server, unknown, bearer(token)).json()["result"]["tools"]
    without = post(server, modern, bearer(token) | in_modern).json()["result"]["tools"]

    assert [tool["name"] for tool in with_views if "_meta" in tool] == [
        "diary_get", "diary_list", "diary_search", "diary_reflect",
    ]  # fmt: skip
    assert [tool["name"] for tool in without if "_meta" in tool] == []


@pytest.mark.parametrize("method", ["GET", "DELETE", "PUT"])
def test_there_is_no_session_to_listen_to_or_to_end(
    server: HttpServer, token: str, method: str
) -> None:
    response = httpx.request(method, f"{server.url}/mcp", headers=bearer(token), verify=False)

    assert response.status_code == 405
    assert response.headers["Allow"] == "POST"


def test_a_session_of_one_agent_is_not_there_for_another(
    server: HttpServer, database: str, token: str
) -> None:
    thief = issue_token(database, "mallory").secret
    with httpx.stream("GET", f"{server.url}/sse", headers=bearer(token)) as stream:
        lines = stream.iter_lines()
        endpoint = next(line for line in lines if line.startswith("data:")).split(": ", 1)[1]

        stolen = httpx.post(
            server.url + endpoint,
            json=request_body("tools/list"),
            headers=bearer(thief),
            verify=False,
        )
        own = httpx.post(
            server.url + endpoint,
            json=request_body("tools/list"),
            headers=bearer(token),
            verify=False,
        )

    assert (stolen.status_code, own.status_code) == (404, 202)


def test_a_stream_ends_instead_of_telling_more_to_a_revoked_token(
    server: HttpServer, database: str
) -> None:
    revoked, own = issue_token(database, "nina"), issue_token(database, "nina")
    with httpx.stream("GET", f"{server.url}/sse", headers=bearer(revoked.secret)) as stream:
        lines = stream.iter_lines()
        endpoint = next(line for line in lines if line.startswith("data:")).split(": ", 1)[1]
        ask(
            database,
            "update diary.agent_token set revoked_at = now() where id = %s",
            revoked.token.id,
        )

        httpx.post(
            server.url + endpoint,
            json=request_body("tools/list"),
            headers=bearer(own.secret),
            verify=False,
        )

        assert [line for line in lines if line.startswith("data:")] == []


@pytest.mark.parametrize(
    ("header", "status"),
    [
        (("Host", "evil.example"), 421),
        (("Host", "127.0.0.1.evil.example:80"), 421),
        (("Host", "evil.example:8722"), 421),
        (("Origin", "https://evil.example"), 403),
        (("Origin", "null"), 403),
        (("Origin", "http://localhost.evil.example"), 403),
        (("Host", "localhost"), 200),
        (("Host", "LOCALHOST"), 200),
        (("Host", "Diary.Example.ORG:8443"), 200),
        (("Origin", "HTTPS://Diary.example.org"), 200),
        (("Host", "diary.example.org"), 200),
        (("Host", "diary.example.org:8443"), 200),
        (("Origin", "https://diary.example.org"), 200),
        (("Origin", "http://localhost:6274"), 200),
    ],
    ids=str,
)
def test_only_known_hosts_and_origins_are_answered(
    server: HttpServer, token: str, header: tuple[str, str], status: int
) -> None:
    response = post(server, request_body("tools/list"), bearer(token) | dict([header]))

    assert response.status_code == status


def test_a_page_of_an_allowed_origin_may_ask_and_read_the_answer(
    server: HttpServer, token: str
) -> None:
    origin = {"Origin": "http://localhost:6274"}
    asking = {
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type,mcp-protocol-version",
    }

    allowed = httpx.options(f"{server.url}/mcp", headers=origin | asking, verify=False)
    answer = post(server, request_body("tools/list"), bearer(token) | origin)
    refused = httpx.options(
        f"{server.url}/mcp", headers=asking | {"Origin": "https://evil.example"}, verify=False
    )

    assert allowed.status_code == 200
    assert allowed.headers["access-control-allow-origin"] == origin["Origin"]
    assert "authorization" in allowed.headers["access-control-allow-headers"]
    assert answer.headers["access-control-allow-origin"] == origin["Origin"]
    assert refused.status_code == 403
    assert "access-control-allow-origin" not in refused.headers


def test_a_slash_at_the_end_is_the_same_address(server: HttpServer, token: str) -> None:
    response = httpx.post(
        f"{server.url}/mcp/",
        json=request_body("tools/list"),
        headers=bearer(token) | {"Accept": "application/json"},
        verify=False,
    )

    assert response.status_code == 200


def test_a_protocol_version_that_is_not_supported_is_named_with_those_that_are(
    server: HttpServer, token: str
) -> None:
    response = post(
        server, request_body("tools/list"), bearer(token) | {"MCP-Protocol-Version": "2099-01-01"}
    )

    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (400, -32022)
    assert "2099-01-01" in error["message"]
    assert "2025-11-25, 2026-07-28" in error["message"]


@pytest.mark.parametrize(
    ("body", "code"),
    [(b"{nonsense", -32700), (b"[]", -32600), (b'{"id":5,"method":"ping"}', -32600)],
)
def test_what_is_no_message_is_answered_as_json_rpc_says(
    server: HttpServer, token: str, body: bytes, code: int
) -> None:
    response = post(server, body, bearer(token))

    assert (response.status_code, response.json()["error"]["code"]) == (400, code)
    assert "validation" not in response.text


def test_an_empty_list_stands_for_no_parameters(server: HttpServer, token: str) -> None:
    listed = post(
        server, b'{"jsonrpc":"2.0","id":7,"method":"tools/list","params":[]}', bearer(token)
    )
    arguments = json.dumps(call_body("diary_tags")).replace('"arguments": {}', '"arguments": []')
    called = post(server, arguments.encode(), bearer(token))

    assert listed.json()["result"]["tools"]
    assert called.json()["result"]["isError"] is False


def test_a_strange_host_is_turned_away_before_it_may_show_a_token(server: HttpServer) -> None:
    response = post(server, request_body("tools/list"), {"Host": "evil.example"})

    assert response.status_code == 421


@pytest.mark.parametrize("path", ["/health", "/ready"])
def test_a_load_balancer_may_ask_by_address(server: HttpServer, path: str) -> None:
    response = httpx.get(server.url + path, headers={"Host": "10.1.2.3"}, verify=False)

    assert response.status_code == 200


def test_readiness_names_what_answers(server: HttpServer) -> None:
    response = httpx.get(f"{server.url}/ready", verify=False)

    assert response.json() == {
        "ready": True,
        "database": True,
        "permission_backend": True,
        "workflows": True,
    }


def test_a_body_of_more_than_four_mib_is_refused(server: HttpServer, token: str) -> None:
    declared = post(server, b" " * ((4 << 20) + 1), bearer(token))
    streamed = httpx.post(
        f"{server.url}/mcp",
        content=(b" " * (1 << 20) for _ in range(5)),
        headers={"Content-Type": "application/json", **bearer(token)},
        verify=False,
    )

    assert (declared.status_code, streamed.status_code) == (413, 413)


def test_the_largest_entry_fits_into_a_body(server: HttpServer, token: str) -> None:
    content = "\N{GRINNING FACE}" * 100_000

    entry = call(server, token, "diary_create", {"content": content}).data

    read = ""
    while len(read) < len(content):
        asked = {"entry_id": entry["id"], "from": len(read)}
        part = call(server, token, "diary_get", asked).data
        read += part["content"]
        assert part.get("next_from", len(content)) == len(read)
    assert read == content


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize(
    "bad",
    [rb"\ud800", rb"\udfff\ud83d", rb"\u0000", b"\xff", b"\xed\xa0\x80"],
    ids=["lone high", "two lone", "NUL", "no UTF-8", "surrogate in UTF-8"],
)
def test_what_no_string_may_hold_is_refused_by_the_tool(
    server: HttpServer, token: str, era: Era, bad: bytes
) -> None:
    body = json.dumps(in_era(call_body("diary_create", {"content": "a@b"}), era)).encode()

    response = post(
        server, body.replace(b"@", bad), bearer(token) | call_headers("diary_create", era)
    )

    result = response.json()["result"]
    assert result["isError"]
    assert result["content"][0]["text"].startswith("invalid_argument: content ")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b"[1,2,3]",
        b'"text"',
        b'{"jsonrpc":"2.0"}',
        b'{"jsonrpc":"2.0","id":{},"method":"tools/list"}',
        b'{"jsonrpc":"2.0","id":1,"method":7}',
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":'
        + b"[" * 9_000
        + b"]" * 9_000
        + b"}",
        b'{"jsonrpc":"2.0","id":' + b"9" * 5_000 + b',"method":"tools/list"}',
        bytes(range(256)),
    ],
    ids=lambda body: repr(body[:30]),
)
@pytest.mark.parametrize("era", ERAS)
def test_what_is_no_request_is_no_trouble(
    server: HttpServer, token: str, era: Era, body: bytes
) -> None:
    response = post(server, body, bearer(token) | call_headers("diary_create", era))

    # A notification without a meaning is accepted, and dropped.
    assert response.status_code == 202 or 400 <= response.status_code < 500
    assert call(server, token, "diary_whoami").code == "ok"


def test_clients_that_vanish_leave_the_server_as_it_was(server: HttpServer, token: str) -> None:
    body = json.dumps(call_body("diary_create", {"content": "Sent, then gone."})).encode()
    head = (
        f"POST /mcp HTTP/1.1\r\nHost: localhost:1\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Type: application/json\r\nAccept: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode()
    whole = head + body

    for sent in (b"", b"POST", head[:40], head, whole[:-1], whole) * 5:
        with socket.create_connection(server.address) as connection:
            connection.sendall(sent)

    assert call(server, token, "diary_whoami").code == "ok"
    assert "Traceback" not in server.stderr()


def test_clients_that_do_not_read_keep_nobody_waiting(server: HttpServer, token: str) -> None:
    request = (
        f"POST /mcp HTTP/1.1\r\nHost: localhost:1\r\nAuthorization: Bearer {token}\r\n"
        "Content-Type: application/json\r\nAccept: application/json\r\n"
    )
    body = json.dumps(request_body("tools/list"))
    pipelined = f"{request}Content-Length: {len(body)}\r\n\r\n{body}".encode() * 200

    with ExitStack() as open_connections:
        for _ in range(5):
            connection = open_connections.enter_context(socket.create_connection(server.address))
            connection.setblocking(False)
            connection.send(pipelined)

        assert call(server, token, "diary_whoami").code == "ok"


@pytest.mark.parametrize(
    "endless",
    [
        b"GET /health HTTP/1.1\r\nX: " + b"x" * 200_000,
        b"GET /health HTTP/1.1\r\n" + b"X: y\r\n" * 40_000,
        b"GET /" + b"x" * 200_000,
    ],
    ids=["one header", "many headers", "address"],
)
def test_a_head_without_end_is_cut_off(server: HttpServer, endless: bytes) -> None:
    with socket.create_connection(server.address, timeout=10) as connection:
        answer = _exchange(connection, endless)

    assert answer.startswith((b"HTTP/1.1 400", b""))
    assert httpx.get(f"{server.url}/health", verify=False).status_code == 200


async def test_many_calls_at_once_are_all_answered(server: HttpServer, token: str) -> None:
    limits = httpx.Limits(max_connections=100)
    statuses: list[int] = []
    async with (
        httpx.AsyncClient(headers=bearer(token), limits=limits, timeout=60, verify=False) as client,
        anyio.create_task_group() as calls,
    ):

        async def send() -> None:
            response = await client.post(
                f"{server.url}/mcp",
                json=call_body("diary_whoami"),
                headers={"Accept": "application/json"},
            )
            statuses.append(response.status_code)

        for _ in range(120):
            calls.start_soon(send)

    assert statuses == [200] * 120


def _exchange(connection: socket.socket, sent: bytes) -> bytes:
    try:
        connection.sendall(sent)
        return connection.recv(100)
    except ConnectionError:
        return b""


def test_no_cache_keeps_an_answer(server: HttpServer, token: str) -> None:
    whole = post(server, request_body("tools/list"), bearer(token))
    refused = post(server, request_body("tools/list"), {})

    assert (whole.status_code, refused.status_code) == (200, 401)
    assert [each.headers["Cache-Control"] for each in (whole, refused)] == ["no-store", "no-store"]
