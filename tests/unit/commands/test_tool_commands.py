"""A tool's arguments are options of its command, whatever arguments it has."""

import click
import pytest

from diary_mcp.cli import command as diary_mcp
from diary_mcp.server.tools.catalogue import TOOLS
from diary_mcp.server.tools.schemas import tool_schemas

COMMANDS = {
    "write": "diary_create",
    "show": "diary_get",
    "list": "diary_list",
    "search": "diary_search",
    "edit": "diary_update",
    "delete": "diary_delete",
    "share": "diary_share",
    "unshare": "diary_unshare",
    "tags": "diary_tags",
}
POSITIONAL = {"write": "content", "search": "query"}


@pytest.mark.parametrize(("name", "tool"), COMMANDS.items(), ids=COMMANDS)
def test_a_command_takes_what_its_tool_takes(name: str, tool: str) -> None:
    command = diary_mcp.get_command(click.Context(diary_mcp), name)
    assert command is not None
    options = {flag for each in command.params for flag in each.opts if flag.startswith("--")}

    arguments = set(TOOLS[tool].argument_names) - {POSITIONAL.get(name, "entry_id")}

    listed = {
        each.name for each in command.params if isinstance(each, click.Option) and each.multiple
    }
    properties = tool_schemas()[tool]["input"]["properties"]
    assert isinstance(properties, dict)
    assert listed == {name for name, shape in properties.items() if "'array'" in str(shape)}
    assert {f"--{argument.replace('_', '-')}" for argument in arguments} <= options
    assert "--json" in options
