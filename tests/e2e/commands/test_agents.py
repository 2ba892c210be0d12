"""`diary-mcp agent` and `diary-mcp audit`, as an operator types them."""

import json
import subprocess
from collections.abc import Generator
from pathlib import Path

import pytest

from support.clients import environment
from support.commands import Done, run_command
from support.fork_server import complete_command
from support.sites import own_database


@pytest.fixture
def database(postgres_url: str) -> Generator[str]:
    with own_database(postgres_url) as url:
        yield url


def run(database: str, *arguments: str) -> Done:
    return run_command(*arguments, settings=environment(database_url=database))


def test_stdout_of_token_is_the_token_and_nothing_else(database: str) -> None:
    issued = run(database, "agent", "token", "alice", "--expires-in", "30d")

    (token,) = issued.out.splitlines()
    assert token.startswith("dmcp_")
    assert token not in issued.err
    assert "shown once" in issued.err


def test_agents_are_listed_with_what_their_tokens_may_do(database: str) -> None:
    added = run(database, "agent", "add", "bob")
    again = run(database, "agent", "add", "bob")
    first = run(database, "agent", "token", "alice", "--scope", "diary:read")
    mistyped = run(database, "agent", "token", "alise", "--scope", "diary:read")

    listed = run(database, "agent", "list")

    assert added.out == "added agent bob\n"
    assert again.out == "agent bob already exists\n"
    assert first.err.startswith("added agent alice\n")
    assert "alise, which is new; close to it: alice. If" in mistyped.err
    token = "diary:read, never expires"
    assert listed.out == f"alice\n  token 1: {token}\nalise\n  token 2: {token}\nbob\n"


def test_the_diary_that_a_token_is_for_is_settled_where_no_server_runs(database: str) -> None:
    run(database, "agent", "token", "alice", "--diary", "work")

    found = run(database, "reconcile", "--dry-run")

    assert found.out == "found 0 missing and 0 stray relation tuples; 0 waiting changes\n"


def test_revoked_tokens_are_not_listed_and_the_trail_tells_of_them(database: str) -> None:
    for _ in range(3):
        run(database, "agent", "token", "alice")

    one = run(database, "agent", "revoke", "--token", "2")
    rest = run(database, "agent", "revoke", "alice")
    trail = run(database, "audit", "--of", "alice")

    assert one.out == "revoked token 2\n"
    assert rest.out == "revoked 2 tokens of alice\n"
    assert run(database, "agent", "list").out == "alice\n"
    events = [json.loads(line) for line in trail.out.splitlines()]
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

    assert (removed.status, removed.out) == (0, "removed agent bob\n")
    assert not key.exists()
    assert [each.read_text() for each in (key.parent / "removed").iterdir()] == ["a key"]
    assert run(database, "group", "list").out == "team: (no members)\n"
    assert run(database, "group", "remove", "team").out == "removed group team\n"
    assert run(database, "agent", "list").out == ""


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


def refuse(database: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """What a process prints whose command fails."""
    return complete_command(*arguments, env=environment(database_url=database))


def test_what_cannot_be_done_is_told_in_one_line(database: str) -> None:
    for arguments, told in WRONG:
        done = refuse(database, "agent", *arguments)

        assert done.returncode == 2, arguments
        assert told in done.stderr
        assert "Traceback" not in done.stderr


def test_a_token_that_is_not_there_cannot_be_revoked(database: str) -> None:
    done = refuse(database, "agent", "revoke", "--token", "7")

    assert done.returncode == 1
    assert done.stderr == (
        "diary-mcp: There is no token 7 to revoke; `diary-mcp agent list` shows what there is.\n"
    )
