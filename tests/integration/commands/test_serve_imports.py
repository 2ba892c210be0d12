"""What a server has imported before it answers `initialize`."""

import json
import subprocess
import sys

_CODE = """
import json, sys
import click
from diary_mcp.cli import command

command.get_command(click.Context(command), "serve")
print(json.dumps(list(sys.modules)))
"""
_LATER = {
    "diary_mcp.app",
    "diary_mcp.domain.entry",
    "diary_mcp.server.handlers",
    "diary_mcp.service.diary",
    "dbos",
    "numpy",
    "psycopg",
}
_NEVER = {"pydantic_settings", "pygments", "rich"}


def test_what_initialize_does_not_need_is_not_imported_before_it() -> None:
    printed = subprocess.run(
        [sys.executable, "-c", _CODE], check=True, capture_output=True, timeout=60
    ).stdout

    imported = set(json.loads(printed))
    assert "diary_mcp.serving.stdio" in imported
    assert imported & (_LATER | _NEVER) == set()
