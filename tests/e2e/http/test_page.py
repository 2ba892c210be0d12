"""The page for people on a server over HTTP: who signs in with a token sees what that agent may."""

from collections.abc import Generator
from contextlib import contextmanager

import httpx
import pytest

from support.clients import environment
from support.fork_server import complete_command
from support.html_pages import HtmlPage
from support.http_servers import HttpServer, call, http_server, issue_token

pytestmark = pytest.mark.xdist_group("http-page")


@pytest.fixture(scope="module")
def server(database: str) -> Generator[HttpServer]:
    with http_server(environment(database_url=database)) as started:
        yield started.wait_until_ready()


@contextmanager
def sign_in(server: HttpServer, token: str, origin: str | None = None) -> Generator[httpx.Client]:
    """A browser that tried to sign in."""
    with httpx.Client(base_url=server.url, verify=False) as browser:
        headers = {"origin": origin or server.url}
        browser.post("/sign-in", data={"token": token}, headers=headers)
        yield browser


def test_an_agent_signs_in_with_its_token_and_sees_its_own_diary(
    server: HttpServer, database: str
) -> None:
    alice, bob = issue_token(database, "alice"), issue_token(database, "bob")
    call(server, alice.secret, "diary_create", {"content": "Alice's.", "title": "Of alice"})

    with sign_in(server, alice.secret) as browser, sign_in(server, bob.secret) as other:
        of_alice = HtmlPage(browser.get("/").text)
        of_bob = HtmlPage(other.get("/").text)

    assert "Of alice" in of_alice.text
    assert "Diary of bob" in of_bob.text
    assert "Of alice" not in of_bob.text


def test_who_has_no_token_or_sends_the_form_from_elsewhere_stays_outside(
    server: HttpServer, database: str
) -> None:
    carol = issue_token(database, "carol")

    for token, origin in (
        ("", None),
        ("dmcp_" + "a" * 43, None),
        (carol.secret, "http://127.0.0.1:1"),
        (carol.secret, "https://evil.example"),
    ):
        with sign_in(server, token, origin) as browser:
            answer = browser.get("/")
            assert answer.status_code == 401
            assert "carol" not in answer.text
            assert not browser.cookies


def test_a_revoked_token_and_signing_out_end_it_at_once(server: HttpServer, database: str) -> None:
    dave, erin = issue_token(database, "dave"), issue_token(database, "erin")

    with sign_in(server, dave.secret) as browser, sign_in(server, erin.secret) as other:
        before = browser.get("/").status_code
        revoked = complete_command(
            "agent", "revoke", "dave", env=environment(database_url=database)
        )
        revoked.check_returncode()
        after = browser.get("/").status_code
        out = HtmlPage(other.get("/").text).fields_of("/sign-out")
        other.post("/sign-out", data=out, headers={"origin": server.url})

        assert (before, after) == (200, 401)
        assert other.get("/").status_code == 401


def test_a_token_does_on_the_page_what_its_scopes_allow(server: HttpServer, database: str) -> None:
    reader = issue_token(database, "frank", scopes=("diary:read",))

    with sign_in(server, reader.secret) as browser:
        form = HtmlPage(browser.get("/write").text).fields_of("/write")
        written = browser.post(
            "/write", data={**form, "content": "x"}, headers={"origin": server.url}
        )

    assert written.status_code == 403
    assert "needs a token with the scope diary:write" in HtmlPage(written.text).text


def test_the_cookie_is_secure_where_the_browser_came_by_tls(
    server: HttpServer, database: str
) -> None:
    token = issue_token(database, "grace")
    host = httpx.URL(server.url).netloc.decode()

    answer = httpx.post(
        f"{server.url}/sign-in",
        data={"token": token.secret},
        headers={"origin": f"https://{host}"},
        verify=False,
    )

    assert {"secure", "httponly", "samesite=strict"} <= {
        each.strip().lower() for each in answer.headers["set-cookie"].split(";")
    }


def test_nobody_signs_in_to_a_server_that_lets_every_program_in(database: str) -> None:
    with http_server(environment(database_url=database), "--no-auth") as started:
        started.wait_until_ready()

        assert httpx.get(f"{started.url}/", verify=False).status_code == 404
