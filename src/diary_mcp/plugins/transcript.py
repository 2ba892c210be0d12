"""What a session did, as the client's transcript of it tells: JSON Lines, in a shape of its own.

The shape is the client's and may change with any of its versions: what is not understood counts
as nothing.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import JsonValue, TypeAdapter, ValidationError

_RECORD = TypeAdapter(dict[str, JsonValue])
_MAX_BYTES = 64_000_000
_MAX_LINE_BYTES = 4_000_000
_FEW_TURNS = 3
_WORKING_TOOLS = re.compile(
    r"Edit|Write|MultiEdit|NotebookEdit|Bash|exec_command|shell|apply_patch"
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

    @property
    def is_worth_remembering(self) -> bool:
        return self.working_calls > 0 or self.turns > _FEW_TURNS

    @property
    def has_written(self) -> bool:
        return bool(self.writing_calls - self.failed_calls)


def read_transcript(path: Path) -> SessionWork:
    """What the session did until now; of a transcript that cannot be read, nothing."""
    work = SessionWork()
    for message in _list_messages(path):
        content = message.get("content")
        blocks = content if isinstance(content, list) else []
        answers = [each for each in map(_as_object, blocks) if each.get("type") == "tool_result"]
        if message.get("role") == "user" and not answers:
            work.turns += 1
        work.failed_calls |= {
            str(each.get("tool_use_id")) for each in answers if each.get("is_error") is True
        }
        for block in map(_as_object, blocks):
            if block.get("type") == "tool_use":
                _count_call(work, block)
    return work


def _count_call(work: SessionWork, call: dict[str, JsonValue]) -> None:
    name = str(call.get("name"))
    if _WRITING_TOOLS.fullmatch(name) or _WRITING_COMMAND.search(str(call.get("input"))):
        work.writing_calls.add(str(call.get("id")))
    elif _WORKING_TOOLS.fullmatch(name):
        work.working_calls += 1


def _list_messages(path: Path) -> Iterator[dict[str, JsonValue]]:
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
                yield _as_object(record.get("message"))


def _as_object(value: JsonValue) -> dict[str, JsonValue]:
    return value if isinstance(value, dict) else {}
