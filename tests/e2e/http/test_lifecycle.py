"""How the HTTP server starts, what it refuses to start with, and how it ends."""

import signal
import socket
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import psycopg
import pytest

from support.clients import ERAS, Era, environment
from support.fork_server import complete_command
from support.ground_truth import ask, eventually
from support.http_servers import (
    bearer,
    call,
    call_body,
    http_server,
    issue_token,
    post,
    request_body,
)
from support.sites import own_database

LAST_WORDS = {"content": "Last words."}
# Calls under way have 8 to end.
ENDS_WITHIN_S = 7
# The call, and nothing that the server does by itself.
_WAITING = """
select from pg_stat_activity
where datname = current_database() and wait_event_type = 'Lock'
    and query like '%%insert into diary.entry %%'
"""


@contextmanager
def locked_entries(database: str) -> Generator[psycopg.Connection]:
    """Nobody writes an entry until the connection commits."""
    with psycopg.connect(database) as connection:
        connection.execute("lock table diary.entry in share mode")
        yield connection


def refusal(database: str, *flags: str) -> tuple[int, str]:
    """Exit status and stderr of a server that must not start."""
    done = complete_command(
        *("serve", "--transport", "http", *flags), env=environment(database_url=database)
    )
    return done.returncode, done.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_an_idle_server_at_once(database: str, number: signal.Signals) -> None:
    with http_server(environment(database_url=database)) as server:
        server.wait_until_ready()

        took_s = server.end(number)

        assert server.process.returncode == 128 + number
        assert took_s < ENDS_WITHIN_S
        assert "Traceback" not in server.stderr()


@pytest.mark.parametrize("era", ERAS)
def test_a_call_in_flight_gets_its_answer_when_the_server_ends(database: str, era: Era) -> None:
    token = issue_token(database, "alice").secret
    with (
        http_server(environment(database_url=database)) as server,
        ThreadPoolExecutor() as elsewhere,
    ):
        server.wait_until_ready()
        with locked_entries(database) as lock:
            answer = elsewhere.submit(call, server, token, "diary_create", LAST_WORDS, era=era)
            eventually(lambda: ask(database, _WAITING))
            server.process.send_signal(signal.SIGTERM)
            eventually(lambda: server.events("http.closing"))
            lock.commit()

        created = answer.result().data
        assert server.process.wait(60) == 128 + signal.SIGTERM
    found = ask(database, "select version, content from diary.entry where id = %s", created["id"])
    assert found == [(created["version"], "Last words.")]


def test_a_server_that_is_ending_sends_new_requests_elsewhere(database: str) -> None:
    token = issue_token(database, "alice").secret
    with (
        http_server(environment(database_url=database)) as server,
        ThreadPoolExecutor() as elsewhere,
        httpx.Client(headers=bearer(token), timeout=30, verify=False) as connected,
    ):
        server.wait_until_ready()
        connected.get(f"{server.url}/health")
        with locked_entries(database) as lock:
            answer = elsewhere.submit(call, server, token, "diary_create", LAST_WORDS)
            eventually(lambda: ask(database, _WAITING))
            server.process.send_signal(signal.SIGTERM)
            eventually(lambda: server.events("http.closing"))

            late = connected.post(f"{server.url}/mcp", json=request_body("tools/list"))
            with pytest.raises(httpx.ConnectError):
                httpx.get(f"{server.url}/ready", verify=False)
            lock.commit()

        assert late.status_code == 503
        assert late.headers["Retry-After"] == "1"
        assert answer.result().code == "ok"


def test_a_second_signal_ends_a_server_that_waits_for_a_call(database: str) -> None:
    token = issue_token(database, "alice").secret
    with (
        ThreadPoolExecutor() as elsewhere,
        http_server(environment(database_url=database)) as server,
        locked_entries(database),
    ):
        server.wait_until_ready()
        body = call_body("diary_create", LAST_WORDS)
        answer = elsewhere.submit(post, server, body, bearer(token))
        eventually(lambda: ask(database, _WAITING))
        server.process.send_signal(signal.SIGTERM)
        eventually(lambda: server.events("http.closing"))

        server.end(signal.SIGTERM)

        assert server.process.returncode == -signal.SIGTERM
        assert isinstance(answer.exception(), httpx.HTTPError)


def test_streams_and_half_sent_requests_do_not_hold_the_server_up(database: str) -> None:
    token = issue_token(database, "alice").secret
    flags = ("--transport", "sse")
    with http_server(environment(database_url=database), *flags) as server:
        server.wait_until_ready()
        with (
            httpx.stream("GET", f"{server.url}/sse", headers=bearer(token)) as stream,
            socket.create_connection(server.address) as half_sent,
        ):
            half_sent.sendall(
                b"POST /mcp HTTP/1.1\r\nHost: localhost:1\r\nContent-Length: 10\r\n"
                b"Authorization: Bearer " + token.encode() + b"\r\n\r\n{"
            )
            lines = stream.iter_lines()
            next(lines)

            took_s = server.end(signal.SIGTERM)

            assert [line for line in lines if line.startswith("event: message")] == []
        assert took_s < ENDS_WITHIN_S
        assert "Traceback" not in server.stderr()


def test_a_taken_port_is_one_clear_line(database: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        status, told = refusal(database, "--port", str(port))

    assert status == 1
    assert told == (
        f"diary-mcp: Port {port} on 127.0.0.1 is taken by another program, perhaps another "
        "`diary-mcp serve`; choose one with --port.\n"
    )


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (("--host", "no.such.host.invalid"), "There is no host 'no.such.host.invalid'"),
        (("--host", "192.0.2.1", "--no-auth"), "--no-auth on 192.0.2.1 would let everybody"),
        (("--host", "0.0.0.0", "--no-auth"), "--no-auth on 0.0.0.0 would let everybody"),
        (("--host", "::", "--no-auth"), "--no-auth on :: would let everybody"),
        (("--port", "70000"), "70000"),
        (("--transport", "carrier-pigeon"), "carrier-pigeon"),
    ],
    ids=str,
)
def test_what_cannot_or_must_not_be_listened_on_is_refused(
    database: str, flags: tuple[str, ...], told: str
) -> None:
    status, stderr = refusal(database, *flags)

    assert status == 2
    assert told in stderr
    assert "Traceback" not in stderr


def test_a_public_address_is_refused_while_no_agent_has_a_token(postgres_url: str) -> None:
    with own_database(postgres_url) as database:
        status, stderr = refusal(database, "--host", "0.0.0.0")

    assert status == 2
    assert "Not listening on 0.0.0.0: no agent could sign in." in stderr
    assert "Traceback" not in stderr


def test_an_address_of_another_machine_is_refused(database: str) -> None:
    issue_token(database, "alice")

    status, stderr = refusal(database, "--host", "192.0.2.1")

    assert status == 2
    assert stderr.startswith("diary-mcp: 192.0.2.1 is not an address of this machine")


def test_a_public_address_is_served_once_an_agent_has_a_token(database: str) -> None:
    token = issue_token(database, "alice").secret
    with http_server(environment(database_url=database), "--host", "0.0.0.0") as server:
        port = server.address[1]
        url = f"http://127.0.0.1:{port}/mcp"

        inside = httpx.post(
            url, json=request_body("tools/list"), headers=bearer(token), verify=False
        )
        outside = httpx.post(url, json=request_body("tools/list"), verify=False)

    assert outside.status_code == 401
    assert inside.status_code != 401


def test_without_sign_in_every_caller_is_the_configured_agent(database: str) -> None:
    settings = environment(agent="robin", database_url=database)
    with http_server(settings, "--no-auth") as server:
        assert call(server, None, "diary_whoami").data["agent"] == "robin"


def test_the_server_answers_before_the_diary_is_up(tmp_path: Path) -> None:
    with http_server(environment(data_dir=tmp_path), "--no-auth") as server:
        initialize = request_body(
            "initialize",
            {
                "protocolVersion": "2025-11-25",
                "capabilities": {},
                "clientInfo": {"name": "test", "version": "0"},
            },
        )

        early = post(server, initialize)
        ready = httpx.get(f"{server.url}/ready", verify=False)

        assert early.json()["result"]["serverInfo"]["name"] == "diary-mcp"
        assert ready.status_code == 503
        assert not ready.json()["ready"]
        assert call(server, None, "diary_whoami").code == "ok"


def test_readiness_follows_the_database(database: str) -> None:
    unreachable = database.replace("/diary_test_", "/gone_")
    with http_server(environment(database_url=unreachable)) as server:
        eventually(lambda: server.events("diary.down"))

        ready = httpx.get(f"{server.url}/ready", verify=False)
        health = httpx.get(f"{server.url}/health", verify=False)
        stranger = post(server, request_body("tools/list"), bearer("dmcp_" + "a" * 43))

    assert ready.status_code == 503
    assert ready.json() == {
        "ready": False,
        "database": False,
        "permission_backend": False,
        "workflows": False,
    }
    assert health.status_code == 200
    assert stranger.status_code == 503


def test_a_server_is_found_by_the_name_localhost(database: str) -> None:
    settings = environment(database_url=database)
    with http_server(settings, "--host", "localhost", "--no-auth") as server:
        _, port = server.address

        assert httpx.get(f"http://localhost:{port}/health", verify=False).status_code == 200
