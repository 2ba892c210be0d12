"""`diary-mcp agent` and `diary-mcp audit`, as an operator types them."""

import json
import subprocess
from collections.abc import Generator
from pathlib import Path

import pytest

from support.clients import environment
from support.fork_server import complete_command
from support.sites import own_database


@pytest.fixture
def database(postgres_url: str) -> Generator[str]:
    with own_database(postgres_url) as url:
        yield url


def run(database: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return complete_command(*arguments, env=environment(database_url=database))


def test_stdout_of_token_is_the_token_and_nothing_else(database: str) -> None:
    issued = run(database, "agent", "token", "alice", "--expires-in", "30d")

    (token,) = issued.stdout.splitlines()
    assert token.startswith("dmcp_")
    assert token not in issued.stderr
    assert "shown once" in issued.stderr


def test_agents_are_listed_with_what_their_tokens_may_do(database: str) -> None:
    added = run(database, "agent", "add", "bob")
    again = run(database, "agent", "add", "bob")
    first = run(database, "agent", "token", "alice", "--scope", "diary:read")
    mistyped = run(database, "agent", "token", "alise", "--scope", "diary:read")

    listed = run(database, "agent", "list")

    assert added.stdout == "added agent bob\n"
    assert again.stdout == "agent bob already exists\n"
    assert first.stderr.startswith("added agent alice\n")
    assert "alise, which is new; close to it: alice. If" in mistyped.stderr
    token = "diary:read, never expires"
    assert listed.stdout == f"alice\n  token 1: {token}\nalise\n  token 2: {token}\nbob\n"


def test_revoked_tokens_are_not_listed_and_the_trail_tells_of_them(database: str) -> None:
    for _ in range(3):
        run(database, "agent", "token", "alice")

    one = run(database, "agent", "revoke", "--token", "2")
    rest = run(database, "agent", "revoke", "alice")
    trail = run(database, "audit", "--of", "alice")

    assert one.stdout == "revoked token 2\n"
    assert rest.stdout == "revoked 2 tokens of alice\n"
    assert run(database, "agent", "list").stdout == "alice\n"
    events = [json.loads(line) for line in trail.stdout.splitlines()]
    assert [(event["event"], event["token_id"]) for event in events] == [
        ("token_issued", 1),
        ("token_issued", 2),
        ("token_issued", 3),
        ("token_revoked", 2),
        ("token_revoked", 1),
        ("token_revoked", 3),
    ]


def test_a_removed_agent_leaves_its_key_aside_and_its_groups(tmp_path: Path, database: str) -> None:
    key = tmp_path / "keys" / "bob.pem"
    run(database, "group", "add", "team")
    run(database, "agent", "add", "bob")
    run(database, "group", "member", "add", "team", "bob")
    key.parent.mkdir(mode=0o700)
    key.write_text("a key")

    removed = run(database, "agent", "remove", "bob", "--data-dir", str(tmp_path))

    assert (removed.returncode, removed.stdout) == (0, "removed agent bob\n")
    assert not key.exists()
    assert [each.read_text() for each in (key.parent / "removed").iterdir()] == ["a key"]
    assert run(database, "group", "list").stdout == "team: (no members)\n"
    assert run(database, "group", "remove", "team").stdout == "removed group team\n"
    assert run(database, "agent", "list").stdout == ""


WRONG: list[tuple[tuple[str, ...], str]] = [
    (("add", "Alice"), "'Alice' is not a valid agent name"),
    (("token", "group:team"), "'group:team' is not a valid agent name"),
    (("token", "alice", "--expires-in", "soon"), "such as 30d"),
    (("token", "alice", "--expires-in", "999999w"), "leave --expires-in out"),
    (("token", "alice", "--scope", "diary:admin"), "diary:admin"),
    (("revoke",), "Name either an agent"),
    (("revoke", "nobody"), "There is no agent or group 'nobody'"),
    (("revoke", "alice", "--token", "1"), "Name either an agent"),
]


def test_what_cannot_be_done_is_told_in_one_line(database: str) -> None:
    for arguments, told in WRONG:
        done = run(database, "agent", *arguments)

        assert done.returncode == 2, arguments
        assert told in done.stderr
        assert "Traceback" not in done.stderr


def test_a_token_that_is_not_there_cannot_be_revoked(database: str) -> None:
    done = run(database, "agent", "revoke", "--token", "7")

    assert done.returncode == 1
    assert done.stderr == (
        "diary-mcp: There is no token 7 to revoke; `diary-mcp agent list` shows what there is.\n"
    )
