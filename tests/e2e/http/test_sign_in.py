"""Who gets in over HTTP with the diary's own tokens, as whom, and who stays outside."""

from collections.abc import Generator
from datetime import timedelta

import httpx
import pytest

from diary_mcp.domain.scopes import TokenScope
from support.clients import Json, environment
from support.fork_server import complete_command
from support.ground_truth import ask, eventually
from support.http_servers import (
    HttpServer,
    bearer,
    call,
    call_body,
    http_server,
    issue_token,
    post,
    request_body,
)
from support.sites import own_database

pytestmark = pytest.mark.xdist_group("sign-in")

UNKNOWN = "dmcp_" + "a" * 43


@pytest.fixture(scope="module")
def database(postgres_url: str) -> Generator[str]:
    with own_database(postgres_url) as url:
        yield url
        assert ask(url, "select 1 from diary.entry where content = 'I got in.'") == []


@pytest.fixture(scope="module")
def server(database: str) -> Generator[HttpServer]:
    with http_server(environment(database_url=database), "--transport", "sse") as started:
        yield started.wait_until_ready()


def refused(server: HttpServer, *headers: tuple[str, str], query: str = "") -> httpx.Response:
    """The answer to a call with these headers, which must have changed nothing."""
    return httpx.post(
        f"{server.url}/mcp{query}",
        json=call_body("diary_create", {"content": "I got in."}),
        headers=[("Accept", "application/json"), *headers],
        verify=False,
    )


def test_a_request_without_a_token_is_told_how_to_sign_in(server: HttpServer) -> None:
    response = refused(server)

    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"] == (
        'Bearer realm="diary-mcp", scope="diary:read diary:write diary:share"'
    )


@pytest.mark.parametrize("path", ["/mcp", "/messages/?session_id=1"])
def test_every_way_to_send_a_message_wants_a_token(server: HttpServer, path: str) -> None:
    response = httpx.post(server.url + path, json=request_body("tools/list"), verify=False)

    assert response.status_code == 401


def test_a_stream_is_opened_for_nobody_without_a_token(server: HttpServer) -> None:
    response = httpx.get(f"{server.url}/sse", verify=False)

    assert response.status_code == 401


@pytest.mark.parametrize(
    "authorization",
    ["", "Bearer", "Basic YWxpY2U6c2VjcmV0", "bearer:x", UNKNOWN, f"Token {UNKNOWN}"],
)
def test_what_is_no_bearer_token_is_as_good_as_none(server: HttpServer, authorization: str) -> None:
    response = refused(server, ("Authorization", authorization))

    assert response.status_code == 401
    assert "error=" not in response.headers["WWW-Authenticate"]


@pytest.mark.parametrize(
    "token",
    [
        UNKNOWN,
        "dmcp_",
        "dmcp_" + "a" * 42,
        "dmcp_" + "a" * 44,
        "dmcp_' or true --" + "a" * 30,
        "alice",
        "a b",
        "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbGljZSJ9.",
        "x" * 20_000,
    ],
    ids=lambda token: token[:20],
)
def test_a_token_that_was_never_issued_is_refused(server: HttpServer, token: str) -> None:
    response = refused(server, ("Authorization", f"Bearer {token}"))

    assert response.status_code == 401
    assert 'error="invalid_token"' in response.headers["WWW-Authenticate"]


def test_two_tokens_at_once_are_none(server: HttpServer, database: str) -> None:
    token = issue_token(database, "alice").secret

    response = refused(
        server,
        ("Authorization", f"Bearer {token}"),
        ("Authorization", f"Bearer {UNKNOWN}"),
    )

    assert response.status_code == 401


def test_a_token_in_the_address_is_none(server: HttpServer, database: str) -> None:
    token = issue_token(database, "alice").secret

    response = refused(server, query=f"?access_token={token}")

    assert response.status_code == 401


def test_an_expired_token_is_refused(server: HttpServer, database: str) -> None:
    token = issue_token(database, "alice", lifetime=timedelta(microseconds=1)).secret

    response = refused(server, ("Authorization", f"Bearer {token}"))

    assert response.status_code == 401
    assert 'error="invalid_token"' in response.headers["WWW-Authenticate"]


def test_a_revocation_holds_from_the_next_request_on(server: HttpServer, database: str) -> None:
    issued = issue_token(database, "carol")
    assert call(server, issued.secret, "diary_whoami").data["agent"] == "carol"

    agent_command(database, "revoke", "--token", str(issued.token.id))

    assert refused(server, ("Authorization", f"Bearer {issued.secret}")).status_code == 401


def test_revoking_an_agent_ends_all_of_its_tokens_and_no_other(
    server: HttpServer, database: str
) -> None:
    first, second = (issue_token(database, "dave").secret for _ in range(2))
    other = issue_token(database, "erin").secret

    agent_command(database, "revoke", "dave")

    assert post(server, request_body("tools/list"), bearer(first)).status_code == 401
    assert post(server, request_body("tools/list"), bearer(second)).status_code == 401
    assert post(server, request_body("tools/list"), bearer(other)).status_code == 200


def test_the_token_alone_says_who_is_calling(server: HttpServer, database: str) -> None:
    token = issue_token(database, "frank").secret

    response = post(
        server,
        call_body("diary_whoami"),
        bearer(token) | {"X-Agent": "mallory", "X-Forwarded-User": "mallory", "From": "mallory"},
    )

    assert response.json()["result"]["structuredContent"]["agent"] == "frank"


def test_agents_see_only_their_own_diary(server: HttpServer, database: str) -> None:
    mine = issue_token(database, "grace").secret
    theirs = issue_token(database, "heidi").secret

    entry_id = call(server, mine, "diary_create", {"content": "Mine alone."}).data["id"]

    assert call(server, mine, "diary_get", {"entry_id": entry_id}).data["content"] == "Mine alone."
    assert call(server, theirs, "diary_get", {"entry_id": entry_id}).code == "not_found"


CHANGES: list[tuple[str, Json]] = [
    ("diary_update", {"expected_version": 1, "content": "I got in."}),
    ("diary_delete", {}),
    ("diary_share", {"with": "grace"}),
    ("diary_unshare", {"with": "heidi"}),
]


def test_a_viewer_s_token_changes_nothing(server: HttpServer, database: str) -> None:
    owner = issue_token(database, "grace").secret
    viewer = issue_token(database, "heidi").secret
    entry_id = call(server, owner, "diary_create", {"content": "To be read."}).data["id"]
    call(server, owner, "diary_share", {"entry_id": entry_id, "with": "heidi"})
    eventually(lambda: call(server, viewer, "diary_get", {"entry_id": entry_id}).code == "ok")

    for tool, arguments in CHANGES:
        refusal = call(server, viewer, tool, {"entry_id": entry_id, **arguments})

        assert refusal.code == "forbidden", tool
        for token in (owner, viewer):
            read = call(server, token, "diary_get", {"entry_id": entry_id}).data
            assert (read["content"], read["version"]) == ("To be read.", 1), tool


@pytest.mark.parametrize("argument", ["agent", "owner", "role", "scopes"])
def test_an_argument_does_not_say_who_is_calling(
    server: HttpServer, database: str, argument: str
) -> None:
    token = issue_token(database, "frank").secret

    answer = call(server, token, "diary_create", {"content": "I got in.", argument: "mallory"})

    assert answer.code == "invalid_argument"


@pytest.mark.parametrize(
    ("scopes", "tool", "arguments"),
    [
        (["diary:read"], "diary_create", {"content": "x"}),
        (["diary:read"], "diary_update", {"entry_id": "x", "expected_version": 1, "content": "y"}),
        (["diary:read"], "diary_delete", {"entry_id": "x"}),
        (["diary:read", "diary:write"], "diary_share", {"entry_id": "x", "with": "alice"}),
        (["diary:read", "diary:write"], "diary_unshare", {"entry_id": "x", "with": "alice"}),
        (["diary:write", "diary:share"], "diary_list", {}),
        (["diary:write", "diary:share"], "diary_get", {"entry_id": "x"}),
    ],
)
def test_a_token_without_the_scope_is_forbidden_the_tool(
    server: HttpServer,
    database: str,
    scopes: list[TokenScope],
    tool: str,
    arguments: dict[str, object],
) -> None:
    token = issue_token(database, "ivan", scopes=scopes).secret

    answer = call(server, token, tool, arguments)

    assert answer.code == "forbidden"
    assert "diary:" in answer.text


def test_a_token_with_the_scope_alone_is_enough(server: HttpServer, database: str) -> None:
    reader = issue_token(database, "judy", scopes=["diary:read"]).secret
    writer = issue_token(database, "judy", scopes=["diary:write"]).secret
    sharer = issue_token(database, "judy", scopes=["diary:share"]).secret
    issue_token(database, "alice")

    entry_id = call(server, writer, "diary_create", {"content": "x"}).data["id"]

    assert call(server, reader, "diary_get", {"entry_id": entry_id}).code == "ok"
    assert call(server, sharer, "diary_share", {"entry_id": entry_id, "with": "alice"}).code == "ok"


def test_a_token_that_may_only_write_is_told_nothing_of_earlier_entries(
    server: HttpServer, database: str
) -> None:
    writer = issue_token(database, "lena", scopes=["diary:write"]).secret
    both = issue_token(database, "lena", scopes=["diary:read", "diary:write"]).secret
    written = {"content": "The cache of the build server lost every artefact again."}
    call(server, both, "diary_create", written)

    assert "similar" in call(server, both, "diary_create", written).data
    assert "similar" not in call(server, writer, "diary_create", written).data


def test_a_token_for_one_diary_reaches_nothing_else(server: HttpServer, database: str) -> None:
    everything = issue_token(database, "mona").secret
    work = agent_command(database, "token", "mona", "--diary", "work").strip()
    kept = call(server, everything, "diary_create", {"content": "Not at work."}).data

    made = call(server, work, "diary_create", {"content": "At work."}).data

    listed = call(server, work, "diary_list").data["entries"]
    assert [each["id"] for each in listed] == [made["id"]]
    assert call(server, work, "diary_get", {"entry_id": kept["id"]}).code == "not_found"
    assert call(server, work, "diary_list", {"diary": "*"}).code == "forbidden"
    assert call(server, everything, "diary_get", {"entry_id": made["id"]}).data["diary"] == "work"
    origin = {"Origin": server.url}
    page = httpx.post(f"{server.url}/sign-in", data={"token": work}, headers=origin, verify=False)
    assert (page.status_code, "set-cookie" in page.headers) == (403, False)
    assert httpx.get(f"{server.url}/", cookies={"diary": work}, verify=False).status_code == 401
    assert "diary work only" in agent_command(database, "list")
    entries = {"entry_id": made["id"], "expected_version": 1, "diary": "main"}
    assert call(server, everything, "diary_update", entries).code == "ok"
    hers = environment(agent="mona", database_url=database)
    complete_command("diary", "remove", "work", env=hers).check_returncode()
    assert refused(server, ("Authorization", f"Bearer {work}")).status_code == 401


def test_no_token_gets_into_the_log(server: HttpServer, database: str) -> None:
    issued = issue_token(database, "kim")
    call(server, issued.secret, "diary_create", {"content": "A secret in an entry."})
    refused(server, ("Authorization", f"Bearer {UNKNOWN}"))

    assert server.events("http.refused")
    assert "dmcp_" not in server.stderr()
    assert "A secret" not in server.stderr()


def agent_command(database: str, *arguments: str) -> str:
    """What `diary-mcp agent …` prints."""
    done = complete_command("agent", *arguments, env=environment(database_url=database))
    done.check_returncode()
    return done.stdout
