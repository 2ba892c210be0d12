"""`diary-mcp install` at a terminal."""

import json
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from support.clients import environment


def test_on_a_terminal_each_client_that_is_there_is_asked_for(
    tmp_path: Path,
) -> None:
    home = tmp_path / "home"
    for folder in (".cursor", ".gemini", ".config/Code/User"):
        (home / folder).mkdir(parents=True)
    (home / ".gemini" / "settings.json").write_text("// mine", "utf-8")
    moved = {"CLAUDE_CONFIG_DIR", "CODEX_HOME", "XDG_CONFIG_HOME"}
    inherited = environment(data_dir=tmp_path / "data")
    alone = {name: value for name, value in inherited.items() if name not in moved}
    alone |= {"HOME": str(home), "PATH": str(tmp_path)}

    first, told = _at_terminal("install", settings=alone, typed="n\ny\n")
    again, told_again = _at_terminal("install", settings=alone, typed="n\n")

    assert first == again == 1  # what stands in Gemini's file cannot be changed
    assert "gemini: " in told
    assert "Install the diary into vscode?" in told
    assert "cursor has the diary already." in told_again
    assert "diary" in json.loads((home / ".cursor/mcp.json").read_text("utf-8"))["mcpServers"]
    assert list((home / ".config/Code/User").iterdir()) == []


def _at_terminal(*words: str, settings: dict[str, str], typed: str) -> tuple[int, str]:
    """Runs a command as one types it; its status, and what stood on the screen."""
    ours, its = os.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "diary_mcp", *words], env=settings, stdin=its, stdout=its, stderr=its
    )
    os.close(its)
    os.write(ours, typed.encode())
    told = b""
    # At the end Linux says EIO, and macOS nothing.
    with suppress(OSError):
        while read := os.read(ours, 65_536):
            told += read
    os.close(ours)
    return process.wait(), told.decode()
