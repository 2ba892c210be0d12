"""Commands run in this process, as their users type them: what is imported is imported once."""

import logging
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from unittest.mock import patch

import structlog
from click.testing import CliRunner

from diary_mcp.cli import command
from diary_mcp.plugins.hook_process import TimeLimit


@dataclass(frozen=True)
class Done:
    """How a command ended, and what it printed where."""

    status: int
    out: str
    err: str


def run_command(
    *words: str,
    settings: Mapping[str, str],
    stdin: bytes | str = "",
    limit: TimeLimit | None = None,
) -> Done:
    """Runs `diary-mcp` with these words in this environment, and no terminal."""
    root, hook = logging.getLogger(), sys.excepthook
    handlers, level = root.handlers[:], root.level
    try:
        with patch.dict(os.environ, settings, clear=True):
            result = CliRunner().invoke(command, words, input=stdin, obj=limit)
    finally:
        sys.excepthook = hook
        root.handlers[:] = handlers
        root.setLevel(level)
        structlog.reset_defaults()
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Done(result.exit_code, result.stdout, result.stderr)
