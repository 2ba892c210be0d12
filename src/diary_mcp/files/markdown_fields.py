"""What a Markdown file says of its entry: its front matter, its name, its first heading.

Files of other programs use the same words in ways of their own. A value that no entry can have
counts as missing; it stays in the front matter, and comes back with it.
"""

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from diary_mcp.domain.diaries import MAIN
from diary_mcp.domain.errors import InvalidArgumentError
from diary_mcp.domain.fields import (
    ENTRY_TYPES,
    MAX_SUPERSEDED,
    MAX_TAGS,
    NAME_PATTERN,
    EntryId,
    EntryType,
    parse_time,
)
from diary_mcp.files.front_matter import Field, FrontMatter, Nested, Value, read_front_matter
from diary_mcp.files.headings import find_title
from diary_mcp.files.names import (
    find_claim,
    find_entry_id,
    find_links,
    is_storable,
    read_name,
    stands_for,
)

_DATE_IN_NAME = re.compile(r"(\d{4})[-_](\d{2})[-_](\d{2})(?!\d)")
_DEFAULT_IMPORTANCE = 0.5
_MAX_LABEL_CHARACTERS = 255
_MAX_TITLE_CHARACTERS = 200
_MAX_TAG_CHARACTERS = 64
_TYPES: Mapping[str, EntryType] = {entry_type: entry_type for entry_type in ENTRY_TYPES}
_HASH_WORDS = re.compile(r"(?:#[^\s,#]+\s*)+")
# Without quotes; anything else behind `#` is a comment.
_HASH_LINE = re.compile(r"(?:#[^\s,#]+[\s,]*)+(?:,\s*[^\s,#]+\s*)*")
_HASH_ITEM = re.compile(r"^[ \t]*-[ \t]+#([^\s#]+)[ \t]*\r?$", re.MULTILINE)

_DIARY = re.compile(f"(?:{NAME_PATTERN}/)?{NAME_PATTERN}")

_T = TypeVar("_T")


@dataclass(frozen=True)
class Said:
    """What a file says of its entry."""

    date: datetime | None
    author: str | None
    session: str | None
    type: EntryType
    title: str | None
    importance: float
    tags: tuple[str, ...]
    claims: tuple[str, ...]
    """What it supersedes, by name."""
    key: str | None
    id: EntryId | None
    """Of an entry without a key, whose file has a name that people can read."""
    diary: str | None
    """Where that is not `main`: NAME, or OWNER/NAME."""
    unforeseen: frozenset[str]
    """Keys with a value that no entry can have."""


def read_said(front_matter: FrontMatter, content: str, name: str) -> Said:
    """What the file of this name says; nothing in it is a reason to refuse the file."""
    fields = _Fields(front_matter)
    heading = find_title(content)
    is_titled = front_matter.find("title") is not None
    return Said(
        date=fields.read("date", _date, None) or _date_of(name),
        author=fields.read("author", _label, None),
        session=fields.read("session", _label, None),
        type=_TYPES.get(fields.read("type", _word, ""), "note"),
        title=fields.read("title", _title, heading) if is_titled else heading,
        importance=fields.read("importance", _importance, _DEFAULT_IMPORTANCE),
        tags=_tags(fields),
        claims=_claims(fields),
        key=_key(front_matter, name),
        id=_id(front_matter) or find_entry_id(name),
        diary=fields.read("diary", diary_name, None),
        unforeseen=frozenset(fields.unforeseen),
    )


class _Fields:
    def __init__(self, front_matter: FrontMatter) -> None:
        self.front_matter = front_matter
        self.unforeseen: set[str] = set()

    def read(self, name: str, read: Callable[[Value], _T], default: _T) -> _T:
        """The key's value as `read` understands it, which raises ValueError where it does not."""
        field = self.front_matter.find(name)
        if field is None:
            return default
        try:
            return read(field.value)
        except ValueError:
            self.unforeseen.add(name)
            return default


def _text(value: Value) -> str | None:
    if isinstance(value, Nested | tuple) or not is_storable(value or ""):
        raise ValueError
    return value


def _label(value: Value) -> str | None:
    text = _text(value) or None
    if text is not None and len(text) > _MAX_LABEL_CHARACTERS:
        raise ValueError
    return text


def _title(value: Value) -> str | None:
    text = _text(value)
    if text is not None and len(text) > _MAX_TITLE_CHARACTERS:
        raise ValueError
    return text


def _word(value: Value) -> str:
    return (_text(value) or "").strip().lower()


def _date(value: Value) -> datetime | None:
    text = _text(value)
    return parse_time(text.strip()) if text else None


def _date_of(name: str) -> datetime | None:
    found = _DATE_IN_NAME.match(name.rpartition("/")[2])
    try:
        return None if found is None else parse_time("-".join(found.groups()))
    except ValueError:
        return None


def _importance(value: Value) -> float:
    text = _text(value)
    importance = float(text) if text else _DEFAULT_IMPORTANCE
    if not (math.isfinite(importance) and 0 <= importance <= 1):
        raise ValueError
    return importance


def _tags(fields: _Fields) -> tuple[str, ...]:
    """The tags, each once; those that an entry cannot have stay in the file."""
    field = fields.front_matter.find("tags")
    if field is None:
        return ()
    if field.value is Nested.NESTED:
        fields.unforeseen.add("tags")
        return ()
    words = dict.fromkeys(tag for word in _words(field) if (tag := word.removeprefix("#")))
    usable = [tag for tag in words if len(tag) <= _MAX_TAG_CHARACTERS and is_storable(tag)]
    if len(words) > len(usable[:MAX_TAGS]):
        fields.unforeseen.add("tags")
    return tuple(usable[:MAX_TAGS])


def write_tags(tags: Iterable[str]) -> tuple[str, ...]:
    """The tags as a list of a file has them: one `#` before a tag is not part of it."""
    return tuple(f"#{tag}" if tag.startswith("#") else tag for tag in tags)


def _words(field: Field) -> list[str]:
    """As people write them: a list, a list in quotes, with commas, or `#one #two`."""
    match field.value:
        case None | ():
            # To YAML, `#` begins a comment.
            below = field.text.partition(":")[2]
            line = below.split("\n", 1)[0].strip()
            return _separated(line) if _HASH_LINE.fullmatch(line) else _HASH_ITEM.findall(below)
        case str(text) if text.strip().startswith("[") and text.strip().endswith("]"):
            return _listed(text)
        case str(text):
            return _separated(text)
        case tuple(words):
            return list(words)
        case Nested():
            return []


def _separated(text: str) -> list[str]:
    """By commas, and where all words of a part begin with `#` by these too."""
    parts = [part.strip() for part in text.split(",")]
    return [
        word.strip()
        for part in parts
        for word in (part.split("#") if _HASH_WORDS.fullmatch(part) else [part])
        if word.strip()
    ]


def _listed(text: str) -> list[str]:
    try:
        field = read_front_matter(f"---\ntags: {text.strip()}\n---\n").find("tags")
    except InvalidArgumentError:
        field = None
    words = field.value if field is not None else None
    return list(words) if isinstance(words, tuple) else [text]


def _claims(fields: _Fields) -> tuple[str, ...]:
    """What it supersedes, each once; names that no entry can have stay in the file."""
    field = fields.front_matter.find("supersedes")
    match None if field is None else field.value:
        case str(text):
            named: Iterable[str] = [text]
        case tuple(texts):
            named = texts
        case Nested() if field is not None:
            # Without quotes, a link in double brackets is a list in a list.
            named = find_links(field.text.replace('"', ""))
        case _:
            named = ()
    found = [find_claim(name) for name in named]
    claims = tuple(dict.fromkeys(claim for claim in found if claim is not None))
    if len(claims) > MAX_SUPERSEDED or (len(found) > 1 and None in found):
        fields.unforeseen.add("supersedes")
    return claims[:MAX_SUPERSEDED]


def _key(front_matter: FrontMatter, name: str) -> str | None:
    field = front_matter.find("key")
    if field is not None and isinstance(field.value, str) and stands_for(name, field.value):
        return field.value
    is_id = find_entry_id(name) is not None or _id(front_matter) is not None
    return None if is_id else read_name(name)


def _id(front_matter: FrontMatter) -> EntryId | None:
    field = front_matter.find("id")
    return find_entry_id(field.value) if field and isinstance(field.value, str) else None


def diary_name(value: object) -> str | None:
    """The diary that a file names; `None` for `main`, where an entry is that names none.

    Raises:
        ValueError: it is no name of a diary.
    """
    if value is None or value in {"", MAIN}:
        return None
    if not isinstance(value, str) or not _DIARY.fullmatch(value):
        raise ValueError
    return value
