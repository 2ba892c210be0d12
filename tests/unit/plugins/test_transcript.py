"""What a session did, read from its transcript as Claude Code writes it, and as it does not."""

import json
import os
from pathlib import Path

import pytest

from diary_mcp.plugins.transcript import read_transcript


def said(role: str, *content: object, **more: object) -> dict[str, object]:
    return {"type": role, "message": {"role": role, "content": list(content)}, **more}


def call(name: str, number: str = "1", **given: object) -> dict[str, object]:
    return said("assistant", {"type": "tool_use", "id": number, "name": name, "input": given})


def answer(number: str = "1", *, is_error: bool = False) -> dict[str, object]:
    result = {"type": "tool_result", "tool_use_id": number, "content": "", "is_error": is_error}
    return said("user", result)


ASKED = {"type": "user", "message": {"role": "user", "content": "go"}}
DIARY = "mcp__plugin_diary_diary__diary_create"


@pytest.mark.parametrize(
    ("records", "is_worth", "has_written"),
    [
        ([ASKED, said("assistant", {"type": "text", "text": "hi"})], False, False),
        ([ASKED, call("Read"), answer()], False, False),
        ([ASKED, call("Edit"), answer()], True, False),
        ([ASKED, call("Bash", command="ls"), answer()], True, False),
        ([ASKED] * 4, True, False),
        ([ASKED, *[answer()] * 9], False, False),
        ([ASKED, call("Write"), call(DIARY, "2"), answer("2")], True, True),
        ([ASKED, call("Write"), call("mcp__diary__diary_update", "2")], True, True),
        ([ASKED, call("Write"), call(DIARY, "2"), answer("2", is_error=True)], True, False),
        ([ASKED, call("Edit"), call("Bash", "2", command="diary-mcp write x")], True, True),
        ([ASKED, {**call("Edit"), "isSidechain": True}], False, False),
    ],
    ids=[
        "talk",
        "reading",
        "a changed file",
        "a command",
        "many turns",
        "answers are no turns",
        "written",
        "updated",
        "refused",
        "written by command",
        "another conversation",
    ],
)
def test_work_and_writing_are_told_apart(
    tmp_path: Path,
    records: list[dict[str, object]],
    is_worth: bool,
    has_written: bool,
) -> None:
    path = tmp_path / "session.jsonl"
    path.write_text("\n".join(map(json.dumps, records)), "utf-8")

    work = read_transcript(path)

    assert (work.is_worth_remembering, work.has_written) == (is_worth, has_written)


def item(**payload: object) -> dict[str, object]:
    return {"type": "response_item", "payload": payload}


@pytest.mark.parametrize(
    ("calls", "has_written"),
    [
        ([item(type="function_call", name="exec_command", call_id="1")], False),
        ([item(type="function_call", name="diary_create", call_id="1")], True),
        (
            [
                item(type="function_call", name="diary_create", call_id="1"),
                item(type="item_completed", item={"id": "1", "status": "failed"}),
            ],
            False,
        ),
    ],
    ids=["a command", "written", "refused"],
)
def test_a_transcript_of_codex_is_read_too(
    tmp_path: Path,
    calls: list[dict[str, object]],
    has_written: bool,
) -> None:
    path = tmp_path / "rollout.jsonl"
    patch = item(type="custom_tool_call", name="apply_patch", call_id="0", input="*** Begin")
    path.write_text("\n".join(map(json.dumps, [patch, *calls])), "utf-8")

    work = read_transcript(path)

    assert (work.is_worth_remembering, work.has_written) == (True, has_written)


def test_the_files_that_codex_has_patched_are_named_as_it_says_them(tmp_path: Path) -> None:
    def patched(call: str, status: str, *paths: str) -> dict[str, object]:
        changes = {path: {"type": "add", "content": "x"} for path in paths}
        done = {"type": "FileChange", "id": call, "changes": changes, "status": status}
        return item(type="item_completed", item=done)

    records = [
        patched("1", "completed", "/p/a.py", "/p/b.py"),
        patched("2", "failed", "/p/never.py"),
        patched("3", "completed", "/p/b.py"),
        item(type="item_completed", item={"type": "FileChange", "id": "4", "changes": ["odd"]}),
    ]
    path = tmp_path / "rollout.jsonl"
    path.write_text("\n".join(map(json.dumps, records)), "utf-8")

    assert read_transcript(path).changed_files == ["/p/a.py", "/p/b.py"]


def test_what_is_not_understood_counts_as_nothing(tmp_path: Path) -> None:
    path = tmp_path / "session.jsonl"
    path.write_bytes(
        b'\xff\x00\n[1]\n{"message": 7}\n{"message": {"content": {"type": "tool_use"}}}\n'
        b'{"message": {"role": "assistant", "content": ["x", null, {"type": "tool_use"}]}}\n'
        + b"[" * 100_000
        + b"\n"
        + json.dumps(call("Edit")).encode()
    )
    os.mkfifo(tmp_path / "pipe")

    assert read_transcript(path).working_calls == 1
    assert not read_transcript(tmp_path / "missing").is_worth_remembering
    assert not read_transcript(tmp_path / "pipe").is_worth_remembering
