"""What ChatGPT and Claude export: `conversations.json`, a list of conversations.

Each becomes an entry, and a long one several. Taken is what the two said to each other, on the
branch that was shown last; what tools answered is not.
"""

import json
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, cast

from diary_mcp.domain.errors import InvalidArgumentError
from diary_mcp.domain.fields import MAX_CONTENT_CHARACTERS, parse_time
from diary_mcp.files.other_programs import machine_entry
from diary_mcp.service.archive.importer import ImportedEntry

Program = Literal["chatgpt", "claude"]

_PIECE = MAX_CONTENT_CHARACTERS - 1_000
_SPEAKERS: Mapping[object, str] = {
    "user": "User", "human": "User", "assistant": "Assistant",
}  # fmt: skip
# What has become a field of the entry or its text, and what changes with every message.
_TAKEN = frozenset(
    {
        "mapping", "chat_messages", "title", "name", "create_time", "created_at", "update_time",
        "updated_at", "current_node", "current_leaf_message_uuid", "account", "id", "uuid",
        "conversation_id",
    }
)  # fmt: skip

_Object = Mapping[str, object]


@dataclass(frozen=True)
class Unreadable:
    """A conversation that no entry can be made of."""

    title: str
    reason: str


@dataclass(frozen=True)
class _Message:
    speaker: str
    text: str


def find_program(beginning: bytes) -> Program | None:
    """Whose export begins so."""
    if not beginning.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"["):
        return None
    if b'"chat_messages"' in beginning:
        return "claude"
    return "chatgpt" if b'"mapping"' in beginning and b'"title"' in beginning else None


def read_conversations(
    text: str, program: Program, modified_at: datetime
) -> Generator[ImportedEntry | Unreadable]:
    """The entries of an export, one conversation after another.

    Raises:
        InvalidArgumentError: it is no JSON; what came before is imported.
    """
    for value in _elements(text):
        conversation = _object(value)
        title = _text(conversation.get("title")) or _text(conversation.get("name"))
        try:
            yield from _read(conversation, title, program, modified_at)
        except InvalidArgumentError as error:
            yield Unreadable(title or "(untitled)", str(error))


def _elements(text: str) -> Generator[object]:
    """What the list holds, each read by itself: an export may have hundreds of megabytes."""
    decoder = json.JSONDecoder()
    at = _skip(text, text.find("[") + 1)
    try:
        while at < len(text) and text[at] != "]":
            value, at = decoder.raw_decode(text, at)
            yield value
            at = _skip(text, at)
    except (ValueError, RecursionError) as error:
        raise InvalidArgumentError(f"is not JSON that can be read: {error}.") from error
    if at >= len(text):
        raise InvalidArgumentError(
            "ends in the middle of its list of conversations; export it again."
        )


def _skip(text: str, at: int) -> int:
    while at < len(text) and text[at] in " \t\r\n,":
        at += 1
    return at


def _read(
    conversation: _Object, title: str | None, program: Program, modified_at: datetime
) -> Generator[ImportedEntry]:
    name = next(
        (
            text
            for key in ("conversation_id", "id", "uuid")
            if (text := _text(conversation.get(key)))
        ),
        None,
    )
    if name is None:
        raise InvalidArgumentError("has no id, so it could not be found again.")
    messages = _chatgpt(conversation) if program == "chatgpt" else _claude(conversation)
    kept = {key: value for key, value in conversation.items() if key not in _TAKEN and value}
    model = _text(conversation.get("default_model_slug")) or _text(conversation.get("model"))
    pieces = list(_pieces([message for message in messages if message.text.strip()]))
    for number, content in enumerate(pieces, start=1):
        is_first = number == 1
        yield machine_entry(
            key=f"{program}/{name}" if is_first else f"{program}/{name}/{number}",
            title=title if is_first or title is None else f"{title[:180]} ({number})",
            content=content,
            tags=[program],
            date=_began(conversation) or modified_at,
            kept=kept if is_first else {},
            author=model or program,
            session=name,
        )


def _pieces(messages: Sequence[_Message]) -> Generator[str]:
    """The text, in pieces that an entry can hold; what is added to a conversation changes the last.

    A message that is too long alone is cut.
    """
    piece = ""
    for message in messages:
        said = f"**{message.speaker}:**\n\n{message.text.strip()}\n"
        while said:
            room = _PIECE - len(piece)
            if piece and len(said) > room:
                yield piece
                piece = ""
                continue
            piece += f"\n{said[:room]}" if piece else said[:room]
            said = said[room:]
    if piece:
        yield piece


def _chatgpt(conversation: _Object) -> Generator[_Message]:
    """Along the branch that was shown last, from its end to its beginning, and turned round."""
    nodes = _object(conversation.get("mapping"))
    at = _text(conversation.get("current_node")) or _newest_leaf(nodes)
    branch: list[_Object] = []
    seen: set[str] = set()
    while at is not None and at not in seen:
        seen.add(at)
        node = _object(nodes.get(at))
        branch.append(_object(node.get("message")))
        at = _text(node.get("parent"))
    for message in reversed(branch):
        speaker = _SPEAKERS.get(_object(message.get("author")).get("role"))
        is_hidden = _object(message.get("metadata")).get("is_visually_hidden_from_conversation")
        if speaker is not None and not is_hidden:
            yield _Message(speaker, _chatgpt_text(_object(message.get("content"))))


def _newest_leaf(nodes: _Object) -> str | None:
    leaves = [name for name, node in nodes.items() if not _object(node).get("children")]
    return leaves[-1] if leaves else None


def _chatgpt_text(content: _Object) -> str:
    kind = content.get("content_type")
    if kind == "code":
        return f"```\n{_text(content.get('text')) or ''}\n```"
    if kind not in {"text", "multimodal_text", None}:
        return ""
    return "\n\n".join(filter(None, map(_chatgpt_part, _list(content.get("parts")))))


def _chatgpt_part(part: object) -> str:
    if isinstance(part, str):
        return part
    said = _object(part)
    kind = _text(said.get("content_type")) or "attachment"
    return _text(said.get("text")) or f"[{kind.replace('_', ' ')}]"


def _claude(conversation: _Object) -> Generator[_Message]:
    for value in _list(conversation.get("chat_messages")):
        message = _object(value)
        blocks = [_object(block) for block in _list(message.get("content"))]
        said = [_text(block.get("text")) for block in blocks if block.get("type") == "text"]
        text = "\n\n".join(filter(None, said)) or _text(message.get("text")) or ""
        files = [
            _text(_object(file).get("file_name"))
            for name in ("attachments", "files")
            for file in _list(message.get(name))
        ]
        attached = "".join(f"\n\n[attached: {name}]" for name in dict.fromkeys(files) if name)
        speaker = _SPEAKERS.get(message.get("sender"))
        if speaker is not None:
            yield _Message(speaker, text + attached)


def _began(conversation: _Object) -> datetime | None:
    seconds = conversation.get("create_time")
    try:
        if isinstance(seconds, int | float):
            return datetime.fromtimestamp(seconds, UTC)
        text = _text(conversation.get("created_at")) or _text(seconds)
        return parse_time(text) if text else None
    except (ValueError, OverflowError, OSError):
        return None


def _object(value: object) -> _Object:
    return cast("_Object", value) if isinstance(value, dict) else {}


def _list(value: object) -> Sequence[object]:
    return cast("Sequence[object]", value) if isinstance(value, list) else ()


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
