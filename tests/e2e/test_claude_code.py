"""The published Claude Code behind a scripted model, with what `diary-mcp install` wrote."""

import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from support.clients import Json, RawClient, environment
from support.fork_server import complete_command
from support.hostile_shares import assert_marked, looks_at, share_hostile_entry
from support.node_tools import CLAUDE_CODE
from support.scripted_model import (
    ScriptedModel,
    call,
    give_hooks_time,
    run_client,
    say,
    scripted_model,
)

pytestmark = pytest.mark.xdist_group("claude-code")

Session = Callable[..., Json]
# The first request goes out before slow servers have connected.
WAIT = [[call("WaitForMcpServers")]] * 3
QUESTION = "wrote nothing to the diary"


@pytest.fixture
def session(tmp_path: Path, database: str) -> Session:
    """One session of Claude Code in a project; what it prints at its end."""
    client = CLAUDE_CODE.path()
    home = tmp_path / "home"

    def install(url: str) -> None:
        settings = environment(database_url=url, data_dir=tmp_path / "data")
        done = complete_command("install", "claude-code", env=settings | {"HOME": str(home)})
        assert done.returncode == 0, done.stderr
        give_hooks_time(home / ".claude" / "settings.json")

    def run(model: ScriptedModel, project: str, *, url: str = database) -> Json:
        install(url)
        printed = run_client(
            [client, "-p", "go", "--output-format", "json", "--allowedTools", "mcp__diary,Bash"],
            env={
                "HOME": str(home),
                "ANTHROPIC_BASE_URL": model.url,
                "ANTHROPIC_API_KEY": "none",
                "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
                "DISABLE_TELEMETRY": "1",
                "DISABLE_AUTOUPDATER": "1",
            },
            folder=tmp_path / project,
            data_dir=tmp_path / "data",
        )
        return json.loads(printed)

    return run


def test_a_session_is_given_what_its_project_handed_over_marked_and_asked_once(
    session: Session, database: str
) -> None:
    in_a_library = environment(database_url=database) | {"DIARY_MCP_DIARY": "library"}
    with closing(RawClient(in_a_library)) as elsewhere:
        elsewhere.create("The parser is done.", type="handoff")
    entry_id = share_hostile_entry(database)
    handoff = call("mcp__diary__diary_create", content="The lexer is done.", type="handoff")
    with scripted_model(*WAIT, *looks_at(entry_id), [handoff], [say("bye")]) as first:
        session(first, "app")
    work = [call("Bash", command="echo 1 > made"), say("working")]
    with scripted_model(work, [say("done")], [say("really done")]) as second:
        ended = session(second, "app")

    assert "The parser is done." not in first.read[0]
    assert "Nothing is written yet" in first.read[0]
    assert QUESTION not in first.read[-1]
    assert_marked(results_in(first.read[-2])[-3:], entry_id)
    assert "The lexer is done." in second.read[0]
    assert [given.count(QUESTION) for given in second.read] == [0, 0, 1]
    assert ended["result"] == "really done"


def test_a_session_goes_on_where_the_database_is_gone(session: Session, database: str) -> None:
    with scripted_model([say("hello")]) as model:
        ended = session(model, "app", url=database.rsplit("/", 1)[0] + "/gone")

    assert (ended["result"], ended["is_error"]) == ("hello", False)
    assert len(model.read) == 1


def results_in(messages: str) -> list[Json]:
    """What the model was given as results of the diary's tools, oldest first."""
    blocks = [
        block
        for message in json.loads(messages)
        if isinstance(message["content"], list)
        for block in message["content"]
        if block["type"] == "tool_result"
    ]
    texts = [
        given if isinstance(given, str) else given[0].get("text", "")
        for given in (block["content"] for block in blocks)
    ]
    return [json.loads(text) for text in texts if text.startswith("{")]
