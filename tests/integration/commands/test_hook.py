"""What a session is given at its start, from a database."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Generator
from pathlib import Path

import pytest

from support.clients import environment
from support.commands import Done, run_command
from support.sites import own_database


@pytest.fixture(scope="module")
def database_url(postgres_url: str) -> Generator[str]:
    with own_database(postgres_url) as url:
        yield url


def test_a_session_begins_with_what_the_last_one_left(database_url: str) -> None:
    settings = environment(database_url=database_url, agent="carol")
    run_command(
        "write", "The parser is done; next: the printer.", "--type", "handoff", settings=settings
    )

    given = json.dumps({"session_id": "s-2", "source": "resume", "cwd": "/"})
    done = run_command("hook", "claude-code", "SessionStart", settings=settings, stdin=given)

    assert (done.status, done.err) == (0, "")
    told = json.loads(done.out)["hookSpecificOutput"]["additionalContext"]
    assert "The parser is done; next: the printer." in told
    assert told.endswith('Pass session "s-2" with what you write.')


def test_a_database_that_does_not_answer_breaks_nothing(database_url: str, tmp_path: Path) -> None:
    gone = database_url.rsplit("/", 1)[0] + "/gone"
    settings = environment(database_url=gone, data_dir=tmp_path)

    done = run_command("hook", "claude-code", "SessionStart", settings=settings, stdin="{}")

    assert (done.status, done.out) == (0, "")
    assert "unavailable" in done.err


@pytest.fixture
def ended(tmp_path: Path) -> dict[str, str]:
    """What a client says at the end of a session that committed once and changed two files."""
    folder = tmp_path / "shop"
    folder.mkdir()
    git(folder, "init", "--quiet", "--initial-branch", "printer")
    commit(folder, "Before", "2026-01-01T00:00:00Z")
    records = [
        {"timestamp": "2026-01-02T00:00:00.000Z", "type": "summary"},
        edit("1", folder / "src" / "print.py"),
        edit("2", folder / "refused.py"),
        {"message": {"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "2", "is_error": True}
        ]}},
        edit("3", Path("/etc/hosts")),
    ]  # fmt: skip
    transcript = tmp_path / "session.jsonl"
    transcript.write_text("\n".join(map(json.dumps, records)), "utf-8")
    commit(folder, "Print", "2026-01-02T01:00:00Z")
    return {"session_id": "s-9", "transcript_path": str(transcript), "cwd": str(folder)}


def edit(number: str, path: Path) -> dict[str, object]:
    given = {"type": "tool_use", "id": number, "name": "Edit", "input": {"file_path": str(path)}}
    return {"message": {"role": "assistant", "content": [given]}}


def commit(folder: Path, subject: str, when: str) -> None:
    git(folder, "commit", "--quiet", "--allow-empty", "-m", subject, GIT_COMMITTER_DATE=when)


def git(folder: Path, *words: str, **environment: str) -> None:
    identity = ("-c", "user.name=Sam", "-c", "user.email=sam@example.com")
    subprocess.run(["git", *identity, *words], cwd=folder, env=os.environ | environment, check=True)


def test_what_follows_a_session_is_one_entry_of_facts(
    database_url: str, ended: dict[str, str]
) -> None:
    settings = environment(database_url=database_url, agent="dora")
    settings["DIARY_MCP_HOOK_PROGRESS"] = "on"

    def keep() -> dict[str, object]:
        words = ("hook", "claude-code", "SessionEnded")
        assert run_command(*words, settings=settings, stdin=json.dumps(ended)) == Done(0, "", "")
        (entry,) = json.loads(run_command("list", "--json", settings=settings).out)["entries"]
        return entry

    first, again = keep(), keep()
    commit(Path(ended["cwd"]), "Mend the printer", "2026-01-02T02:00:00Z")
    more = keep()

    named = [first[name] for name in ("key", "type", "session", "importance", "title")]
    title = "Session on printer: 1 commit, 2 files changed"
    assert named == ["session/s-9", "progress", "s-9", 0.1, title]
    assert again == first
    assert (more["id"], more["version"]) == (first["id"], 2)
    shown = json.loads(run_command("show", "session/s-9", "--json", settings=settings).out)
    lines = shown["content"].splitlines()
    assert [line.split(" ", 2)[2] for line in lines[2:4]] == ["Print", "Mend the printer"]
    assert lines[5:] == ["## Files changed", "", "- src/print.py", "- /etc/hosts"]


def test_the_end_of_a_session_hands_on_what_is_to_be_kept_only_where_that_is_turned_on(
    database_url: str, ended: dict[str, str]
) -> None:
    def end(agent: str, progress: str) -> int:
        settings = environment(database_url=database_url) | {"DIARY_MCP_HOOK_PROGRESS": progress}
        words = ["hook", "claude-code", "SessionEnd", "--agent", agent]
        return subprocess.run(
            [sys.executable, "-m", "diary_mcp", *words],
            input=json.dumps(ended).encode(),
            env=settings,
            check=False,
        ).returncode

    assert [end("off", "off"), end("on", "on")] == [0, 0]

    settings = environment(database_url=database_url)
    words = ("show", "session/s-9", "--agent")
    deadline = time.monotonic() + 60
    while run_command(*words, "on", settings=settings).status != 0:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert run_command(*words, "off", settings=settings).status == 1


def test_a_hook_ends_by_itself_whatever_does_not_answer(tmp_path: Path) -> None:
    never, never_written = os.pipe()
    (tmp_path / "given").write_text('{"session_id": "s"}', "utf-8")

    def start(event: str, stdin: int, **more: str) -> subprocess.Popen[bytes]:
        with (tmp_path / f"{event}.out").open("wb") as out:
            return subprocess.Popen(
                [sys.executable, "-m", "diary_mcp", "hook", "codex", event],
                env=environment(data_dir=tmp_path / "data") | more,
                stdin=stdin,
                stdout=out,
                stderr=subprocess.STDOUT,
            )

    with socket.create_server(("127.0.0.1", 0)) as silent, (tmp_path / "given").open() as given:
        address = f"postgresql://nobody@127.0.0.1:{silent.getsockname()[1]}/x"
        hooks = [
            start("Stop", never),
            start("SessionEnd", never),
            start("SessionStart", given.fileno(), DIARY_MCP_DATABASE_URL=address),
        ]
        statuses = [hook.wait(60) for hook in hooks]
    os.close(never)
    os.close(never_written)

    assert statuses == [0, 0, 0]
    told = [path.read_text("utf-8") for path in sorted(tmp_path.glob("*.out"))]
    assert all(each.count("\n") == 1 and "took too long" in each for each in told)
    assert len(told) == 3


def test_an_installation_that_is_broken_breaks_no_client(tmp_path: Path) -> None:
    (tmp_path / "click.py").write_text("raise OSError")
    words = [sys.executable, "-m", "diary_mcp", "hook", "codex", "Stop"]
    settings = environment(data_dir=tmp_path / "data") | {"PYTHONPATH": str(tmp_path)}

    done = subprocess.run(words, env=settings, input=b"{}", capture_output=True, check=False)

    assert (done.returncode, done.stdout) == (0, b"")
    assert done.stderr == b"diary-mcp: this hook failed: OSError.\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a disk that is full")
def test_a_full_disk_and_a_home_that_cannot_be_written_break_nothing() -> None:
    settings = environment() | {"DIARY_MCP_DATA_DIR": "/dev/null/home"}
    started = json.dumps({"session_id": "s"}).encode()

    def status(event: str, given: bytes) -> int:
        words = [sys.executable, "-m", "diary_mcp", "hook", "claude-code", event]
        with Path("/dev/full").open("wb") as full:
            return subprocess.run(
                words, input=given, env=settings, stdout=full, stderr=full, check=False
            ).returncode

    assert [status("SessionStart", started), status("Stop", b"\xff")] == [0, 0]
