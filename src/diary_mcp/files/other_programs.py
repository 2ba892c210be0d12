"""What other programs write: Claude Code's memory, Obsidian's vaults, basic-memory's notes.

Their Markdown is read as any other; here is what is known beyond that. What a machine wrote has an
importance of `MACHINE_IMPORTANCE`, with which `diary://context` never names it.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import lru_cache
from pathlib import Path

from diary_mcp.domain.errors import InvalidArgumentError
from diary_mcp.domain.fields import ENTRY_TYPES, MAX_TAGS, parse_time
from diary_mcp.files.drafts import decode_text, read_draft, source_hash
from diary_mcp.files.extra_fields import MAX_KEPT_CHARACTERS, write_kept
from diary_mcp.files.front_matter import FrontMatter, Nested, read_front_matter
from diary_mcp.service.archive.importer import ImportedEntry
from diary_mcp.service.chain.statements import JsonObject, parse_json

MACHINE_IMPORTANCE = 0.1

_VAULT = ".obsidian"
_TEMPLATE_FOLDERS = frozenset({"templates", "_templates"})
_MEMORY = ("projects", "memory")
_MEMORY_INDEX = "MEMORY.md"
_TRANSCRIPT_NAMES = frozenset({"sessionId", "leafUuid", "messageId"})
_MAX_TITLE = 200
_MAX_TAG = 64
_MAX_LABEL = 255
# A tag is no number, and does not stand in code, a heading's mark, a link or an address.
_CODE = re.compile(
    r"^ {0,3}(```+|~~~+).*?(?:^ {0,3}\1|\Z)|(?<!`)(`{1,9})(?!`)[^\n]*?\2",
    re.MULTILINE | re.DOTALL,
)
_INLINE_TAG = re.compile(r"(?<![^\s(])#(?=[\w/-]*[^\W\d])([\w/-]+)")


def find_vault(folder: Path) -> Path | None:
    """The Obsidian vault that the folder is, or is in."""
    return next((each for each in (folder, *folder.parents) if _is_vault(each)), None)


@lru_cache(maxsize=64)
def template_folders(vault: Path) -> frozenset[str]:
    """Where the vault has its templates, which are no notes: paths within it."""
    named = [
        _setting(vault / _VAULT / "templates.json", "folder"),
        _setting(vault / _VAULT / "plugins/templater-obsidian/data.json", "templates_folder"),
    ]
    return frozenset(name.strip("/") for name in named if name and name.strip("/"))


def holds_templates(folder: Path, vault: Path) -> bool:
    """Whether the folder is where the vault has its templates."""
    within = folder.relative_to(vault).as_posix()
    return folder.name.lower() in _TEMPLATE_FOLDERS or within in template_folders(vault)


def is_transcript(line: bytes) -> bool:
    """Whether a line of JSON is of the transcript that Claude Code keeps of a session."""
    try:
        value = parse_json(line.decode())
    except ValueError:
        return False
    if not isinstance(value, JsonObject) or value.get("type") in {None, *ENTRY_TYPES}:
        return False
    says_more = "content" not in value or "operation" in value
    return says_more and not _TRANSCRIPT_NAMES.isdisjoint(value)


def adapt(entry: ImportedEntry, path: Path, *, is_in_vault: bool) -> ImportedEntry:
    """The entry of a Markdown file, with what its program says in ways of its own."""
    head = read_front_matter(entry.front_matter or "")
    changes: dict[str, object] = {}
    if head.find("importance") is not None:
        # It comes from an export, which says everything.
        pass
    elif _is_memory(path, head) or _is_index_of_memory(path, entry):
        changes = _read_memory(entry, head)
    elif _is_basic_memory(head):
        changes = {"importance": MACHINE_IMPORTANCE} | _dated(head, path) | _tagged(entry)
    elif is_in_vault:
        changes = _dated(head, path) | _tagged(entry)
    return replace(entry, draft=entry.draft.model_copy(update=changes)) if changes else entry


def machine_entry(
    *,
    key: str,
    title: str | None,
    content: str,
    tags: Sequence[str],
    date: datetime,
    kept: Mapping[str, object],
    author: str | None = None,
    session: str | None = None,
) -> ImportedEntry:
    """An entry made of what a program keeps in JSON; known again by all but its date.

    Raises:
        InvalidArgumentError: it cannot be an entry.
    """
    values = {
        "key": key,
        "title": title and _cut(_storable(title.strip()), _MAX_TITLE),
        "content": _storable(content),
        "tags": _usable_tags(tags),
        "author": author and _storable(author)[:_MAX_LABEL],
        "session": session and _storable(session)[:_MAX_LABEL],
        "importance": MACHINE_IMPORTANCE,
    }
    front_matter = write_kept(_within_limit(kept))
    identity = repr((sorted(values.items()), front_matter)).encode()
    return ImportedEntry(
        draft=read_draft({**values, "date": date}),
        source_hash=source_hash(identity),
        front_matter=front_matter,
    )


def _is_vault(folder: Path) -> bool:
    try:
        return (folder / _VAULT).is_dir()
    except OSError:
        return False


def _setting(path: Path, name: str) -> str | None:
    try:
        values = parse_json(decode_text(path.read_bytes()))
    except (OSError, ValueError, InvalidArgumentError):
        return None
    value = values.get(name) if isinstance(values, JsonObject) else None
    return value if isinstance(value, str) else None


def _is_memory(path: Path, head: FrontMatter) -> bool:
    """Whether it is in a memory folder of Claude Code, `projects/*/memory`, or in a copy of one."""
    *_, projects, _, memory = ("", "", "", *path.resolve().parent.parts)
    is_copy = (path.parent / _MEMORY_INDEX).is_file() and head.find("description") is not None
    return (projects, memory) == _MEMORY or is_copy


def _is_index_of_memory(path: Path, entry: ImportedEntry) -> bool:
    """Claude Code writes it without front matter; an export has some in every file."""
    return path.name == _MEMORY_INDEX and not entry.front_matter


def _read_memory(entry: ImportedEntry, head: FrontMatter) -> dict[str, object]:
    said = _below(head, "metadata")
    changes: dict[str, object] = {"importance": MACHINE_IMPORTANCE}
    title = _text(head, "description") or _text(head, "name")
    if entry.draft.title is None and title:
        changes["title"] = _cut(title, _MAX_TITLE)
    if kind := said.get("type") or _text(head, "type"):
        changes["tags"] = _usable_tags([*entry.draft.tags, kind])
    session = said.get("originSessionId") or _text(head, "originSessionId")
    if entry.draft.session is None and session:
        changes["session"] = session[:_MAX_LABEL]
    return changes


def _is_basic_memory(head: FrontMatter) -> bool:
    """Whether it has a permalink as basic-memory writes it; Jekyll's begin with a slash."""
    permalink = _text(head, "permalink") or "/"
    return head.find("title") is not None and not permalink.startswith(("/", "http"))


def _dated(head: FrontMatter, path: Path) -> dict[str, object]:
    """The date on which it was made, where nothing says another one."""
    created = _text(head, "created")
    if created is None or head.find("date") is not None or re.match(r"\d{4}[-_]\d", path.name):
        return {}
    try:
        return {"date": parse_time(created)}
    except ValueError:
        return {}


def _tagged(entry: ImportedEntry) -> dict[str, object]:
    """Its tags, and those that stand in the text."""
    text = _CODE.sub(" ", entry.draft.content)
    tags = _usable_tags([*entry.draft.tags, *(tag.strip("/") for tag in _INLINE_TAG.findall(text))])
    return {} if tags == entry.draft.tags else {"tags": tags}


def _usable_tags(tags: Sequence[str]) -> list[str]:
    usable = [tag for tag in dict.fromkeys(map(_storable, tags)) if 0 < len(tag) <= _MAX_TAG]
    return usable[:MAX_TAGS]


def _text(head: FrontMatter, name: str) -> str | None:
    field = head.find(name)
    return field.value if field is not None and isinstance(field.value, str) else None


def _below(head: FrontMatter, name: str) -> Mapping[str, str]:
    """What is indented below a key, where that is text."""
    field = head.find(name)
    if field is None or field.value is not Nested.NESTED:
        return {}
    lines = (line.partition(":") for line in field.text.splitlines()[1:])
    return {key.strip(): value.strip().strip("\"'") for key, _, value in lines if value.strip()}


def _within_limit(kept: Mapping[str, object]) -> Mapping[str, object]:
    """As much as can be kept, the smallest first."""
    room = MAX_KEPT_CHARACTERS
    within: set[str] = set()
    for name in sorted(kept, key=lambda name: len(repr(kept[name]))):
        room -= len(name) + 2 * len(repr(kept[name]))
        if room > 0:
            within.add(name)
    return {name: value for name, value in kept.items() if name in within}


def _storable(text: str) -> str:
    """The text with a mark in place of what no entry can hold: NUL, and half of a character."""
    return (
        text.replace("\0", "\ufffd").encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    )


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"
