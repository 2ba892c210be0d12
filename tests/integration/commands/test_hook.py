"""What a session is given at its start, from a database."""

import json
from collections.abc import Generator
from pathlib import Path

import pytest

from support.clients import environment
from support.commands import run_command
from support.sites import own_database


@pytest.fixture(scope="module")
def database_url(postgres_url: str) -> Generator[str]:
    with own_database(postgres_url) as url:
        yield url


def test_a_session_begins_with_what_the_last_one_left(database_url: str) -> None:
    settings = environment(database_url=database_url, agent="carol")
    run_command(
        "write", "The parser is done; next: the printer.", "--type", "handoff", settings=settings
    )

    given = json.dumps({"session_id": "s-2", "source": "resume", "cwd": "/"})
    done = run_command("hook", "claude-code", "SessionStart", settings=settings, stdin=given)

    assert (done.status, done.err) == (0, "")
    told = json.loads(done.out)["hookSpecificOutput"]["additionalContext"]
    assert "The parser is done; next: the printer." in told
    assert told.endswith('Pass session "s-2" with what you write.')


def test_a_database_that_does_not_answer_breaks_nothing(database_url: str, tmp_path: Path) -> None:
    gone = database_url.rsplit("/", 1)[0] + "/gone"
    settings = environment(database_url=gone, data_dir=tmp_path)

    done = run_command("hook", "claude-code", "SessionStart", settings=settings, stdin="{}")

    assert (done.status, done.out) == (0, "")
    assert "unavailable" in done.err
