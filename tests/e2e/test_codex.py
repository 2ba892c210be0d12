"""The published Codex behind a scripted model, with what `diary-mcp install` wrote."""

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from support.clients import Json, environment
from support.commands import run_command
from support.fork_server import complete_command
from support.hostile_shares import assert_marked, looks_at, share_hostile_entry
from support.node_tools import CODEX
from support.scripted_model import (
    ScriptedModel,
    call,
    give_hooks_time,
    run_client,
    say,
    scripted_model,
)

pytestmark = pytest.mark.xdist_group("codex")

Session = Callable[[ScriptedModel, str], None]
PATCH = "*** Begin Patch\n*** Add File: made.txt\n+1\n*** End Patch\n"
QUESTION = "wrote nothing to the diary"
_PROVIDER = """
[model_providers.scripted]
name = "scripted"
base_url = "{url}/v1"
wire_api = "responses"
env_key = "SCRIPTED_KEY"
"""


@pytest.fixture
def session(tmp_path: Path, database: str) -> Session:
    """One session of Codex in a project."""
    client = CODEX.path()
    home = tmp_path / "home"
    config = home / ".codex" / "config.toml"

    def install(url: str) -> None:
        settings = environment(database_url=database, data_dir=tmp_path / "data")
        settings["DIARY_MCP_HOOK_PROGRESS"] = "on"
        config.parent.mkdir(parents=True, exist_ok=True)
        config.write_text('model = "scripted"\nmodel_provider = "scripted"\n')
        done = complete_command("install", "codex", env=settings | {"HOME": str(home)})
        assert done.returncode == 0, done.stderr
        config.write_text(config.read_text() + _PROVIDER.format(url=url))
        give_hooks_time(config.with_name("hooks.json"))

    def run(model: ScriptedModel, project: str) -> None:
        install(model.url)
        trust = ["--dangerously-bypass-approvals-and-sandbox", "--dangerously-bypass-hook-trust"]
        run_client(
            [client, "exec", "--skip-git-repo-check", *trust, "go"],
            env={"HOME": str(home), "SCRIPTED_KEY": "none"},
            folder=tmp_path / project,
            data_dir=tmp_path / "data",
        )

    return run


def test_a_session_is_given_what_its_project_handed_over_marked_and_asked_once(
    session: Session, database: str
) -> None:
    handoff = call("mcp__diary__diary_create", content="The lexer is done.", type="handoff")
    with scripted_model([handoff], [say("bye")]) as first:
        session(first, "app")
    entry_id = share_hostile_entry(database)
    work = [call("exec_command", cmd=f"apply_patch <<'EOF'\n{PATCH}EOF\n")]
    with scripted_model(work, *looks_at(entry_id), [say("done")], [say("really done")]) as second:
        session(second, "app")

    assert "Nothing is written yet" in first.read[0]
    assert QUESTION not in first.read[-1]
    assert "The lexer is done." in second.read[0]
    assert_marked(results_in(second.read[-1]), entry_id)
    assert [given.count(QUESTION) for given in second.read] == [0, 0, 0, 0, 0, 1]
    assert "made.txt" in eventually_kept(database)


def eventually_kept(database: str) -> str:
    """What the end of a session has left, which nobody has waited for."""
    settings = environment(database_url=database, agent="local")
    words = ("search", "files changed", "--type", "progress", "--mode", "text", "--json")
    deadline = time.monotonic() + 60
    while not (hits := json.loads(run_command(*words, settings=settings).out)["hits"]):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    (kept,) = hits
    return str(kept)


def results_in(read: str) -> list[Json]:
    """What the model was given as results of the diary's tools, oldest first."""
    outputs = [
        str(item["output"]).partition("Output:\n")[2]
        for item in json.loads(read)
        if item["type"] == "function_call_output"
    ]
    return [json.loads(output) for output in outputs if output.startswith("{")]
