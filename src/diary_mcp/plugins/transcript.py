"""What a session did, as the client's transcript of it tells: JSON Lines, in a shape of its own.

The shape is the client's and may change with any of its versions: what is not understood counts
as nothing.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from pydantic import JsonValue, TypeAdapter, ValidationError

_RECORD = TypeAdapter(dict[str, JsonValue])
_MAX_BYTES = 64_000_000
_MAX_LINE_BYTES = 4_000_000
_FEW_TURNS = 3
_WORKING_TOOLS = re.compile(
    r"Edit|Write|MultiEdit|NotebookEdit|Bash|exec_command|shell|apply_patch"
)
_EDITING_TOOLS: Mapping[str, str] = MappingProxyType(
    {
        "Edit": "file_path",
        "Write": "file_path",
        "MultiEdit": "file_path",
        "NotebookEdit": "notebook_path",
    }
)
_WRITING_TOOLS = re.compile(r"(?:.*__)?diary_(?:create|update)")
_WRITING_COMMAND = re.compile(r"\bdiary-mcp (?:write|edit|import)\b")


@dataclass
class SessionWork:
    """What counts for the question whether a session should have written something."""

    turns: int = 0
    working_calls: int = 0
    writing_calls: set[str] = field(default_factory=set[str])
    failed_calls: set[str] = field(default_factory=set[str])
    edits: dict[str, str] = field(default_factory=dict[str, str])
    """The file that each call was to change."""
    began: str | None = None
    """When, as the first record says."""

    @property
    def changed_files(self) -> Sequence[str]:
        """Each once, in the order in which they were changed first."""
        changed = [path for call, path in self.edits.items() if call not in self.failed_calls]
        return list(dict.fromkeys(changed))

    @property
    def is_worth_remembering(self) -> bool:
        return self.working_calls > 0 or self.turns > _FEW_TURNS

    @property
    def has_written(self) -> bool:
        return bool(self.writing_calls - self.failed_calls)


def read_transcript(path: Path) -> SessionWork:
    """What the session did until now; of a transcript that cannot be read, nothing."""
    work = SessionWork()
    for record in _list_records(path):
        if work.began is None and isinstance(record.get("timestamp"), str):
            work.began = str(record["timestamp"])
        _count_message(work, _as_object(record.get("message")))
        _count_item(work, _as_object(record.get("payload")))
    return work


def _count_message(work: SessionWork, message: dict[str, JsonValue]) -> None:
    """Claude Code's: a message of blocks, calls and answers among them."""
    content = message.get("content")
    blocks = list(map(_as_object, content)) if isinstance(content, list) else []
    answers = [each for each in blocks if each.get("type") == "tool_result"]
    if message.get("role") == "user" and not answers:
        work.turns += 1
    work.failed_calls |= {
        str(each.get("tool_use_id")) for each in answers if each.get("is_error") is True
    }
    for block in blocks:
        if block.get("type") == "tool_use":
            _count_call(work, block.get("name"), block.get("id"), block.get("input"))


def _count_item(work: SessionWork, item: dict[str, JsonValue]) -> None:
    """Codex's: turns, calls and answers are records of their own."""
    match item.get("type"):
        case "task_started":
            work.turns += 1
        case "function_call" | "custom_tool_call":
            given = item.get("arguments") or item.get("input")
            _count_call(work, item.get("name"), item.get("call_id"), given)
        case "item_completed":
            _count_done(work, _as_object(item.get("item")))
        case _:
            pass


def _count_done(work: SessionWork, done: dict[str, JsonValue]) -> None:
    """What became of a call; a patch names the files that it has changed, by their paths."""
    call = str(done.get("id"))
    if done.get("status") == "failed":
        work.failed_calls.add(call)
    elif done.get("type") == "FileChange":
        work.edits |= {f"{call} {path}": path for path in _as_object(done.get("changes"))}


def _count_call(work: SessionWork, tool: JsonValue, number: JsonValue, given: JsonValue) -> None:
    name = str(tool)
    if _WRITING_TOOLS.fullmatch(name) or _WRITING_COMMAND.search(str(given)):
        work.writing_calls.add(str(number))
    elif _WORKING_TOOLS.fullmatch(name):
        work.working_calls += 1
        path = _as_object(given).get(_EDITING_TOOLS.get(name, ""))
        if isinstance(path, str):
            work.edits[str(number)] = path


def _list_records(path: Path) -> Iterator[dict[str, JsonValue]]:
    # A pipe would never end.
    if not path.is_file():
        return
    with path.open("rb") as file:
        while file.tell() < _MAX_BYTES and (line := file.readline(_MAX_LINE_BYTES)):
            try:
                record = _RECORD.validate_json(line)
            except ValidationError:
                continue
            if not (record.get("isMeta") or record.get("isSidechain")):
                yield record


def _as_object(value: JsonValue) -> dict[str, JsonValue]:
    return value if isinstance(value, dict) else {}
