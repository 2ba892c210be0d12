"""`diary-mcp hook`, as a client runs it, without a database: it never breaks the client."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from diary_mcp.plugins.hook_process import TimeLimit
from support.clients import environment
from support.commands import Done, run_command

Hook = Callable[..., Done]
GARBAGE = {
    "empty": b"",
    "words": b"nonsense",
    "an array": b"[]",
    "no UTF-8": b"\xff",
    "deep": b"[" * 100_000,
}
EDIT: dict[str, object] = {
    "type": "assistant",
    "message": {"content": [{"type": "tool_use", "id": "1", "name": "Edit", "input": {}}]},
}


@pytest.fixture
def hook(tmp_path: Path) -> Hook:
    settings = environment(data_dir=tmp_path / "data")

    def run(event: str, given: object, **more: str) -> Done:
        stdin = given if isinstance(given, bytes) else json.dumps(given)
        words = ("hook", "claude-code", event)
        return run_command(*words, settings=settings | more, stdin=stdin)

    return run


@pytest.fixture
def stopped(tmp_path: Path) -> dict[str, object]:
    """What a client says at the end of a turn that changed a file."""
    transcript = tmp_path / "session.jsonl"
    transcript.write_text(json.dumps(EDIT), "utf-8")
    return {"session_id": "s", "transcript_path": str(transcript), "stop_hook_active": False}


def test_a_session_that_worked_and_wrote_nothing_is_asked_once(
    hook: Hook, stopped: dict[str, object]
) -> None:
    asked, again, other = (
        hook("Stop", stopped),
        hook("Stop", stopped),
        stopped | {"session_id": "t"},
    )

    answer = json.loads(asked.out)
    assert answer["decision"] == "block"
    assert 'session "s"' in answer["reason"]
    assert again == Done(0, "", "")
    assert json.loads(hook("Stop", other).out)["decision"] == "block"


@pytest.mark.parametrize(
    "told",
    [
        {"stop_hook_active": True},
        {"stop_hook_active": "no"},
        {"transcript_path": "/nowhere"},
        {"transcript_path": 7},
        {"session_id": None},
    ],
    ids=str,
)
def test_nobody_is_asked_where_it_is_not_clear(
    hook: Hook, stopped: dict[str, object], told: dict[str, object]
) -> None:
    assert hook("Stop", stopped | told) == Done(0, "", "")


def test_a_setting_turns_the_question_off(hook: Hook, stopped: dict[str, object]) -> None:
    assert hook("Stop", stopped, DIARY_MCP_HOOK_QUESTION="off") == Done(0, "", "")


def test_nobody_is_asked_where_it_cannot_be_remembered(
    hook: Hook, stopped: dict[str, object], tmp_path: Path
) -> None:
    (tmp_path / "data").write_text("in the way", "utf-8")

    done = hook("Stop", stopped)

    assert (done.status, done.out) == (0, "")
    assert done.err.startswith("diary-mcp: hook 'Stop': ")


def test_a_session_begins_with_how_to_begin_where_nothing_is_there(
    hook: Hook, tmp_path: Path
) -> None:
    done = hook("SessionStart", {"session_id": "s", "source": "startup"})

    output = json.loads(done.out)["hookSpecificOutput"]
    assert output["hookEventName"] == "SessionStart"
    assert "diary_create" in output["additionalContext"]
    assert 'session "s"' in output["additionalContext"]
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("event", ["SessionStart", "Stop"])
@pytest.mark.parametrize("given", GARBAGE.values(), ids=GARBAGE)
def test_garbage_is_told_and_counted_and_breaks_nothing(
    hook: Hook, event: str, given: bytes, tmp_path: Path
) -> None:
    done = hook(event, given)

    assert (done.status, done.out) == (0, "")
    assert len(done.err.splitlines()) == 1
    status = run_command("status", "--json", settings=environment(data_dir=tmp_path / "data"))
    report = json.loads(status.out)
    assert (status.status, report["ok"], report["hook_failures"]) == (1, False, 1)


def test_what_took_too_long_is_told_and_counted(
    stopped: dict[str, object], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    limit = TimeLimit(["codex", "Stop"], lambda: 0.0, lambda: None)
    settings = environment(data_dir=tmp_path / "data")
    run_command("hook", "codex", "Stop", settings=settings, stdin=json.dumps(stopped), limit=limit)

    limit.last_words()

    assert "took too long" in capfd.readouterr().err
    report = json.loads(run_command("status", "--json", settings=settings).out)
    assert report["hook_failures"] == 1


def test_failures_are_forgotten_once_the_hook_does_its_work(hook: Hook, tmp_path: Path) -> None:
    hook("SessionStart", b"nonsense")
    hook("SessionEnd", {})
    before = run_command("status", "--json", settings=environment(data_dir=tmp_path / "data"))
    hook("SessionStart", {"session_id": "s"})

    after = run_command("status", "--json", settings=environment(data_dir=tmp_path / "data"))

    failures = [json.loads(each.out)["hook_failures"] for each in (before, after)]
    assert failures == [1, 0]


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("claude-code",),
        ("nobody", "Stop"),
        ("claude-code", "../Nothing"),
        ("--nonsense", "claude-code", "Stop"),
        ("claude-code", "Stop", "--data-dir"),
    ],
    ids=" ".join,
)
def test_a_command_line_that_means_nothing_is_told_and_breaks_nothing(
    words: tuple[str, ...], tmp_path: Path
) -> None:
    done = run_command("hook", *words, settings=environment(data_dir=tmp_path / "data"))

    assert (done.status, done.out) == (0, "")
    assert done.err.startswith("diary-mcp: hook")
    assert len(done.err.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_what_is_not_understood_is_told_and_the_hook_answers(
    stopped: dict[str, object], tmp_path: Path
) -> None:
    words = ("hook", "codex", "Stop", "--nonsense", "more")
    settings = environment(data_dir=tmp_path / "data")

    done = run_command(*words, settings=settings, stdin=json.dumps(stopped))

    assert (done.status, json.loads(done.out)["decision"]) == (0, "block")
    assert "--nonsense more" in done.err


def test_a_setting_that_cannot_be_used_breaks_nothing(hook: Hook) -> None:
    done = hook("SessionStart", {"session_id": "s"}, DIARY_MCP_DATABASE_URL="mysql://x")

    assert (done.status, done.out) == (0, "")
    assert "DIARY_MCP_DATABASE_URL" in done.err


def test_status_makes_nothing_where_there_is_nothing(tmp_path: Path) -> None:
    settings = environment(data_dir=tmp_path / "data", agent="alice") | {"DIARY_MCP_DIARY": "app"}

    done = run_command("status", "--json", settings=settings)

    report = json.loads(done.out)
    assert (done.status, report["ok"], report["entries"], report["pending"]) == (0, True, 0, 0)
    assert (report["data_dir"], report["agent"]) == (str(tmp_path / "data"), "alice")
    assert report["diary"] == "app"
    assert not (tmp_path / "data").exists()
