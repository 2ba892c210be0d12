"""JWTs of a configured issuer, and how clients find out where to get one."""

import base64
import json
import time
from collections.abc import Generator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey

from support.clients import ERAS, Era, Json, environment
from support.http_servers import (
    HttpServer,
    bearer,
    call,
    http_server,
    issue_token,
    post,
    request_body,
    sdk_http_client,
)

pytestmark = [pytest.mark.anyio, pytest.mark.xdist_group("issuer")]

RESOURCE = "https://diary.example.org/mcp"


class IssuerServer:
    """An issuer that publishes the keys which a test gives it."""

    def __init__(self) -> None:
        self.keys: dict[str, ECKey] = {}
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                published = [key.as_dict(private=False) for key in issuer.keys.values()]
                self.send_response(200)
                self.end_headers()
                self.wfile.write(json.dumps({"keys": published}).encode())

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # as http.server names it
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def publish(self, *kids: str) -> None:
        """Replaces every key by new ones."""
        self.keys = {kid: ECKey.generate_key("P-256", {"kid": kid}) for kid in kids}

    def token(self, kid: str, agent: str, **changes: object) -> str:
        return jwt.encode(
            {"alg": "ES256", "kid": kid}, self.claims(agent) | changes, self.keys[kid]
        )

    def claims(self, agent: str) -> Json:
        """What a good token says."""
        return {
            "iss": self.url,
            "aud": RESOURCE,
            "sub": agent,
            "exp": int(time.time()) + 60,
            "scope": "diary:read diary:write",
        }

    def unsigned_token(self, agent: str) -> str:
        """A token that says that it needs no signature."""
        header = {"alg": "none", "kid": next(iter(self.keys))}
        parts = [
            base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()
            for part in (header, self.claims(agent))
        ]
        return f"{parts[0]}.{parts[1]}."


@pytest.fixture(scope="module")
def issuer() -> Generator[IssuerServer]:
    started = IssuerServer()
    started.publish("first")
    thread = Thread(target=started.server.serve_forever, args=(0.05,))
    thread.start()
    yield started
    started.server.shutdown()
    thread.join()
    started.server.server_close()


@pytest.fixture(scope="module")
def server(issuer: IssuerServer, database: str) -> Generator[HttpServer]:
    settings = environment(database_url=database) | {
        "DIARY_MCP_JWT_ISSUER": issuer.url,
        "DIARY_MCP_JWT_AUDIENCE": RESOURCE,
        "DIARY_MCP_JWT_JWKS_URL": f"{issuer.url}/keys",
        # This machine's own issuer is asked without a proxy.
        "ALL_PROXY": "socks5://proxy:1080",
        "HTTP_PROXY": "http://proxy:99999",
        "NO_PROXY": "[::1",
    }
    flags = ("--host", "0.0.0.0", "--allow-host", "diary.example.org")
    with http_server(settings, *flags) as started:
        started.url = f"http://127.0.0.1:{started.address[1]}"
        yield started.wait_until_ready()


@pytest.mark.parametrize("era", ERAS)
async def test_an_agent_of_the_issuer_signs_in(
    server: HttpServer, issuer: IssuerServer, era: Era
) -> None:
    kid = next(iter(issuer.keys))
    async with sdk_http_client(server, issuer.token(kid, "alice"), era) as client:
        answer = await client.call_tool("diary_whoami", {})

    assert answer.structured_content is not None
    assert answer.structured_content["agent"] == "alice"


def test_its_scopes_hold(server: HttpServer, issuer: IssuerServer) -> None:
    token = issuer.token(next(iter(issuer.keys)), "alice")

    answer = call(server, token, "diary_share", {"entry_id": "x", "with": "bob"})

    assert answer.code == "forbidden"


def test_the_diary_s_own_tokens_are_good_beside_it(server: HttpServer, database: str) -> None:
    token = issue_token(database, "bob").secret

    assert call(server, token, "diary_whoami").data["agent"] == "bob"


def test_rotated_keys_are_known_at_once_and_the_old_ones_forgotten(
    server: HttpServer, issuer: IssuerServer
) -> None:
    old = issuer.token(next(iter(issuer.keys)), "alice")
    assert post(server, request_body("tools/list"), bearer(old)).status_code == 200

    issuer.publish("second")

    new = issuer.token("second", "alice")
    assert post(server, request_body("tools/list"), bearer(new)).status_code == 200
    assert post(server, request_body("tools/list"), bearer(old)).status_code == 401


def is_kept_out(server: HttpServer, token: str) -> bool:
    """Whether the token gets its bearer nothing but to know that it is no good."""
    response = post(server, request_body("tools/list"), bearer(token))
    challenge = response.headers.get("WWW-Authenticate", "")
    return response.status_code == 401 and 'error="invalid_token"' in challenge


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": "https://other.example.org/mcp"},
        {"iss": "https://other.example.org"},
        {"exp": int(time.time()) - 3_600},
        {"sub": None},
    ],
    ids=["of another server", "of another issuer", "expired", "nobody's"],
)
def test_a_token_that_is_not_for_this_is_refused(
    server: HttpServer, issuer: IssuerServer, changes: Json
) -> None:
    token = issuer.token(next(iter(issuer.keys)), "alice", **changes)

    assert is_kept_out(server, token)


def test_a_token_that_nobody_signed_is_refused(server: HttpServer, issuer: IssuerServer) -> None:
    assert is_kept_out(server, issuer.unsigned_token("alice"))


def test_a_token_that_another_issuer_signed_is_refused(
    server: HttpServer, issuer: IssuerServer
) -> None:
    forger = IssuerServer()
    forger.server.server_close()
    forger.publish(*issuer.keys)

    assert is_kept_out(server, forger.token(next(iter(forger.keys)), "alice", iss=issuer.url))


def test_who_has_no_token_is_told_where_to_get_one(
    server: HttpServer, issuer: IssuerServer
) -> None:
    refusal = post(server, request_body("tools/list"))
    metadata = httpx.get(
        f"{server.url}/.well-known/oauth-protected-resource/mcp",
        headers={"Host": "diary.example.org"},
        verify=False,
    )

    assert (
        'resource_metadata="https://diary.example.org/.well-known/oauth-protected-resource/mcp"'
        in refusal.headers["WWW-Authenticate"]
    )
    assert metadata.json() == {
        "resource": RESOURCE,
        "authorization_servers": [issuer.url],
        "scopes_supported": ["diary:read", "diary:write", "diary:share"],
        "bearer_methods_supported": ["header"],
        "resource_name": "diary-mcp",
    }


def test_plain_http_beyond_this_machine_is_warned_of(server: HttpServer) -> None:
    assert len(server.events("http.unencrypted")) == 1
    assert server.events("http.no_auth") == []
