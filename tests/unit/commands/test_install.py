"""`diary-mcp install` and `config`, as a person types them."""

import json
import sys
import tomllib
from pathlib import Path

import pytest

from diary_mcp.domain.errors import ConflictError
from support.clients import environment
from support.commands import Done, run_command


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, str]:
    moved = {"CLAUDE_CONFIG_DIR", "CODEX_HOME", "XDG_CONFIG_HOME"}
    inherited = environment(data_dir=tmp_path / "data", agent="alice")
    kept = {name: value for name, value in inherited.items() if name not in moved}
    return kept | {"HOME": str(tmp_path / "home")}


def test_a_dry_run_shows_the_change_and_writes_nothing(
    settings: dict[str, str], tmp_path: Path
) -> None:
    done = run_command("install", "claude-code", "--dry-run", settings=settings)

    assert done.status == 0
    assert '+    "diary": {' in done.out
    assert "hook claude-code SessionStart" in done.out
    assert not (tmp_path / "home").exists()


def test_what_is_installed_starts_this_installation(
    settings: dict[str, str], tmp_path: Path
) -> None:
    printed = tomllib.loads(run_command("config", "codex", settings=settings).out)
    run_command("install", "codex", settings=settings)

    installed = tomllib.loads((tmp_path / "home/.codex/config.toml").read_text("utf-8"))
    server = installed["mcp_servers"]["diary"]
    assert server["env"]["DIARY_MCP_DIARY"] == "auto"
    assert installed == printed
    hooks = json.loads((tmp_path / "home/.codex/hooks.json").read_text("utf-8"))["hooks"]
    assert list(hooks) == ["SessionStart", "Stop", "SessionEnd"]
    command = hooks["Stop"][0]["hooks"][0]["command"]
    assert f"DIARY_MCP_DATA_DIR={tmp_path / 'data'} " in command
    assert "DIARY_MCP_AGENT=alice " in command
    assert command.endswith(" hook codex Stop")


def test_installing_again_and_taking_out_again_is_told(settings: dict[str, str]) -> None:
    def told(*words: str) -> Done:
        return run_command(*words, settings=settings)

    first, again = told("install", "cursor"), told("install", "cursor")
    out, gone = told("uninstall", "cursor"), told("uninstall", "cursor")

    assert first.out.startswith("wrote ")
    assert again.out == gone.out == "Nothing to change.\n"
    assert out.out.startswith("removed ")


def test_another_server_of_this_name_is_named_and_replaced_only_with_force(
    settings: dict[str, str], tmp_path: Path
) -> None:
    path = tmp_path / "home" / ".cursor" / "mcp.json"
    path.parent.mkdir(parents=True)
    path.write_text('{"mcpServers": {"diary": {"url": "https://diary.example/mcp"}}}', "utf-8")

    with pytest.raises(ConflictError, match="Rename it there, or replace it with --force"):
        run_command("install", "cursor", settings=settings)
    out = run_command("uninstall", "cursor", settings=settings)
    forced = run_command("install", "cursor", "--force", settings=settings)

    assert (out.status, out.out) == (0, "Nothing to change.\n")
    assert out.err.startswith("The server named diary in ")
    assert "(as it was: " in forced.out


def test_without_a_client_and_a_terminal_those_that_are_there_are_named(
    settings: dict[str, str], tmp_path: Path
) -> None:
    alone = settings | {"PATH": str(tmp_path)}
    nothing = run_command("install", settings=alone)
    (tmp_path / "home" / ".cursor").mkdir(parents=True)
    (tmp_path / "codex").touch(mode=0o755)

    found = run_command("install", settings=alone)

    assert (nothing.status, nothing.out) == (1, "")
    assert nothing.err.startswith("No client was found. Name one of claude-desktop, ")
    assert found.status == 1
    assert found.out.splitlines()[1:] == ["  diary-mcp install codex", "  diary-mcp install cursor"]
    assert list((tmp_path / "home").rglob("*")) == [tmp_path / "home" / ".cursor"]


def test_what_uv_may_clean_away_is_installed_into_no_client(
    settings: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"
    cache.mkdir()
    (cache / "CACHEDIR.TAG").touch()
    monkeypatch.setattr(sys, "prefix", str(cache / "archive-v0" / "x"))

    with pytest.raises(ConflictError, match="uvx runs this diary-mcp from its cache"):
        run_command("install", "cursor", settings=settings)

    assert not (tmp_path / "home").exists()


def test_a_folder_that_cannot_be_written_is_an_error(
    settings: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "home").write_text("in the way", "utf-8")

    with pytest.raises(Exception, match=r"cannot be (?:read|written)"):
        run_command("install", "gemini", settings=settings)
