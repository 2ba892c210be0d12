"""What errors tell a model names tools; what a person reads on a terminal names commands."""

import re

import click
import pytest

from diary_mcp.cli import command
from diary_mcp.commands.wording import COMMANDS, for_terminal
from diary_mcp.server.tools.catalogue import TOOLS
from support.told import texts_of_the_diary

TOLD = {
    "invalid_argument: with is required. Correct this and call diary_share again.": (
        "invalid_argument: --with is required. Correct this and try again."
    ),
    "not_found: No diary 'nope' that you may read. diary_diaries lists them, and makes one with "
    "open.": (
        "not_found: No diary 'nope' that you may read. `diary-mcp diary list` lists them, and "
        "`diary-mcp diary add` makes one."
    ),
    "conflict: Read it again with diary_get, and repeat the change with expected_version 2.": (
        "conflict: Read it again with `diary-mcp show`, and repeat the change with "
        "--expected-version 2."
    ),
    "conflict: You already have an entry with the key 'diary_get'; /a/diary_get/expires_at": (
        "conflict: You already have an entry with the key 'diary_get'; /a/diary_get/expires_at"
    ),
}


@pytest.mark.parametrize(("told", "read"), TOLD.items())
def test_a_person_reads_commands_and_options_and_what_was_quoted(told: str, read: str) -> None:
    assert for_terminal(told) == read


def test_each_tool_has_a_command_that_is_there() -> None:
    assert COMMANDS.keys() == TOOLS.keys()
    there = command.list_commands(click.Context(command))
    assert {each.split()[0] for each in COMMANDS.values()} <= set(there)


def test_no_error_or_notice_of_the_diary_names_a_tool_to_a_person() -> None:
    tool = re.compile(rf"\b({'|'.join(TOOLS)})\b")
    named = [text for text in texts_of_the_diary() if tool.search(text)]

    assert named
    assert [text for text in named if tool.search(for_terminal(text))] == []
