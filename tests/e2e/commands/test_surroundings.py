"""What a command does where its surroundings are not what it expects."""

import subprocess
import sys
from pathlib import Path

import pytest

from support.clients import environment


def run_in_shell(script: str, *words: str, database: str, diary: str = "main") -> tuple[int, str]:
    """Runs the script, whose `"$@"` is the command; its status, and what it printed."""
    done = subprocess.run(
        ["sh", "-c", script, "sh", sys.executable, "-P", "-m", "diary_mcp", *words],
        env={**environment(database_url=database), "DIARY_MCP_DIARY": diary},
        capture_output=True,
        timeout=60,
        check=False,
    )
    return done.returncode, (done.stdout + done.stderr).decode()


@pytest.mark.parametrize(
    ("stream", "words", "expected"),
    [
        (">&-", ["write", "kept"], (0, "")),
        ("2>&-", ["agent", "list"], (0, "local\n")),
        ("2>&-", ["show", "nosuch"], (1, "")),
        ("<&-", ["serve"], (0, "")),
    ],
    ids=["no stdout", "no stderr", "no stderr for the error", "no stdin of a server"],
)
def test_a_standard_stream_may_be_closed(
    database: str, stream: str, words: list[str], expected: tuple[int, str]
) -> None:
    run_in_shell('"$@"', "agent", "add", "local", database=database)

    assert run_in_shell(f'"$@" 2>/dev/null {stream}', *words, database=database) == expected


def test_nothing_to_write_is_refused_where_there_is_no_stdin(database: str) -> None:
    status, told = run_in_shell('"$@" <&-', "write", database=database)

    assert (status, told) == (
        1,
        "invalid_argument: content should have at least 1 character. Correct this and try again.\n",
    )


def test_output_that_finds_no_space_is_one_line(database: str) -> None:
    status, told = run_in_shell('"$@" >/dev/full', "diary", "list", database=database)

    assert (status, told) == (
        1,
        "diary-mcp: No space is left to write to; make room. What was changed stays changed.\n",
    )


@pytest.mark.parametrize("words", [["serve"], ["list"], ["write", "lost"], ["import", "."]])
def test_a_folder_that_is_gone_is_named(database: str, tmp_path: Path, words: list[str]) -> None:
    script = f'mkdir "{tmp_path}/gone"; cd "{tmp_path}/gone"; rmdir "{tmp_path}/gone"; "$@"'

    status, told = run_in_shell(script, *words, database=database, diary="auto")

    assert (status, told) == (
        1,
        "diary-mcp: The folder that this was started in is gone; change to one that is there.\n",
    )
