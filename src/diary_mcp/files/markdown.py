"""One entry as a Markdown file with front matter.

Reading and writing share one reading of the front matter. An export starts from the front matter
that was imported, reads it as an import would, and sets only those keys whose value does not say
what the entry says now. An unchanged file therefore comes back to the byte, and what is exported
is always read back as the same entry.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from diary_mcp.domain.errors import InvalidArgumentError
from diary_mcp.domain.fields import ENTRY_TYPES, EntryType, format_time, parse_time
from diary_mcp.domain.version import EntryRecord
from diary_mcp.files.drafts import decode_text, read_draft, source_hash
from diary_mcp.files.front_matter import (
    Field,
    FrontMatter,
    Nested,
    Writable,
    read_front_matter,
    split_front_matter,
)
from diary_mcp.files.headings import find_title
from diary_mcp.files.names import SUFFIX, file_name, find_claim, find_entry_id, stands_for
from diary_mcp.service.archive.importer import ImportedEntry
from diary_mcp.service.archive.supersession import base_name
from diary_mcp.service.chain.statements import canonical, read_proof
from diary_mcp.service.ports.entries import EntryReference

_DATE_IN_NAME = re.compile(r"\d{4}-\d{2}-\d{2}(?!\d)")
_DEFAULT_IMPORTANCE = 0.5
_ENTRY_KEYS = frozenset(
    {"date", "author", "session", "type", "title", "importance", "tags", "supersedes"}
)
_TYPES: Mapping[str, EntryType] = {entry_type: entry_type for entry_type in ENTRY_TYPES}
_UNSIGNED = "none"


def read_markdown(raw: bytes, *, name: str, modified_at: datetime) -> ImportedEntry:
    """The entry that a file holds.

    Args:
        raw: the file's bytes.
        name: the file's name without `.md`.
        modified_at: the entry's date where neither front matter nor name have one.

    Raises:
        InvalidArgumentError: the file cannot be imported; the message says why.
    """
    head, content = split_front_matter(decode_text(raw))
    front_matter = read_front_matter(head)
    said = _read(front_matter, content, name)
    if not content:
        raise InvalidArgumentError("holds no content; write some, or delete the file.")
    draft = read_draft(
        {
            "content": content,
            "title": said.title,
            "type": said.type,
            "tags": list(said.tags),
            "importance": said.importance,
            "supersedes": said.claim,
            "date": said.date or modified_at,
            "author": said.author,
            "session": said.session,
            "key": said.key,
        }
    )
    return ImportedEntry(
        draft=draft,
        source_hash=source_hash(raw),
        entry_id=find_entry_id(name) if said.key is None else None,
        name=name,
        front_matter=head,
        unknown_keys=_unknown_keys(front_matter, said.key),
        origin=_read_origin(front_matter),
    )


def render_markdown(entry: EntryRecord, *, name: str, superseded_name: str | None = None) -> bytes:
    """The file that an export writes.

    Args:
        entry: what to write.
        name: the file's name without `.md`.
        superseded_name: likewise, of the file of the entry that this one supersedes.
    """
    name_of_superseded = superseded_name or _likely_name_of_superseded(entry)
    front_matter = _initial(entry)
    said = _read(front_matter, entry.content, name)
    for key, value in _corrections(said, entry, name_of_superseded).items():
        front_matter = front_matter.with_value(key, value)
    front_matter = _with_signature(front_matter, entry)
    return (front_matter.text_before(entry.content) + entry.content).encode()


def is_own_export(entry: ImportedEntry, stored: EntryRecord) -> bool:
    """Whether a Markdown file is, to the byte, what an export of the stored entry gives now."""
    if entry.name is None:
        return False
    return source_hash(render_markdown(stored, name=entry.name)) == entry.source_hash


@dataclass(frozen=True)
class _Said:
    """What a file says of its entry."""

    date: datetime | None
    author: str | None
    session: str | None
    type: EntryType
    title: str | None
    importance: float
    tags: tuple[str, ...]
    claim: str | None
    key: str | None


def _read(front_matter: FrontMatter, content: str, name: str) -> _Said:
    title = front_matter.find("title")
    return _Said(
        date=_read_date(front_matter, name),
        author=_read_text(front_matter, "author"),
        session=_read_text(front_matter, "session"),
        type=_read_type(front_matter),
        title=find_title(content) if title is None else _scalar(title),
        importance=_read_importance(front_matter),
        tags=_read_tags(front_matter),
        claim=_read_claim(front_matter),
        key=_read_key(front_matter, name),
    )


def _read_text(front_matter: FrontMatter, name: str) -> str | None:
    """A key's text; `None` where the key is not there, or empty."""
    field = front_matter.find(name)
    return (_scalar(field) or None) if field is not None else None


def _scalar(field: Field) -> str | None:
    if isinstance(field.value, Nested | tuple):
        raise InvalidArgumentError(f"`{field.name}` must be one value, not a list or a mapping.")
    return field.value


def _read_date(front_matter: FrontMatter, name: str) -> datetime | None:
    text = _read_text(front_matter, "date")
    if text is not None:
        try:
            return parse_time(text.strip())
        except ValueError as error:
            raise InvalidArgumentError(f"`date` {error}, not {text!r}.") from error
    found = _DATE_IN_NAME.match(name)
    try:
        return None if found is None else datetime.fromisoformat(found[0]).replace(tzinfo=UTC)
    except ValueError:
        return None


def _read_type(front_matter: FrontMatter) -> EntryType:
    """One of the known types; any other word stays in the front matter and means a note."""
    word = (_read_text(front_matter, "type") or "").strip().lower()
    return _TYPES.get(word, "note")


def _read_importance(front_matter: FrontMatter) -> float:
    text = _read_text(front_matter, "importance")
    try:
        return _DEFAULT_IMPORTANCE if text is None else float(text)
    except ValueError as error:
        raise InvalidArgumentError(
            f"`importance` must be a number from 0 to 1, not {text!r}."
        ) from error


def _read_tags(front_matter: FrontMatter) -> tuple[str, ...]:
    """The tags, each once; words on one line may be separated by commas."""
    field = front_matter.find("tags")
    match None if field is None else field.value:
        case None:
            return ()
        case str(words):
            return tuple(dict.fromkeys(tag for word in words.split(",") if (tag := word.strip())))
        case tuple(tags):
            return tuple(dict.fromkeys(tags))
        case Nested():
            raise InvalidArgumentError("`tags` must be a list of words, such as [one, two].")


def _read_claim(front_matter: FrontMatter) -> str | None:
    """What the file says it supersedes. Nothing in it is a reason to reject a file."""
    field = front_matter.find("supersedes")
    match None if field is None else field.value:
        case str(text):
            return find_claim(text)
        case (str(text), *_):
            return find_claim(text)
        case _:
            return None


def _read_key(front_matter: FrontMatter, name: str) -> str | None:
    field = front_matter.find("key")
    if field is not None and isinstance(field.value, str) and stands_for(name, field.value):
        return field.value
    return name if find_entry_id(name) is None else None


def _read_origin(front_matter: FrontMatter) -> str | None:
    """What the file says of its signature, where that can be checked."""
    field = front_matter.find("signature")
    value = None if field is None else field.value
    proof = read_proof(value) if isinstance(value, str) else None
    return None if proof is None else canonical(proof).decode()


def _unknown_keys(front_matter: FrontMatter, key: str | None) -> frozenset[str]:
    """The lines of keys that say more than the entry's fields do."""
    said_elsewhere = {("signature", _UNSIGNED), ("key", key)}
    known = _ENTRY_KEYS if _read_origin(front_matter) is None else _ENTRY_KEYS | {"signature"}
    return frozenset(
        field.text.strip()
        for field in front_matter.fields
        if field.name not in known and (field.name, field.value) not in said_elsewhere
    )


def _initial(entry: EntryRecord) -> FrontMatter:
    """The front matter that was imported; where none was, one with every key."""
    if entry.front_matter is not None:
        return read_front_matter(entry.front_matter)
    return (
        FrontMatter()
        .with_value("date", format_time(entry.date))
        .with_value("author", entry.author)
        .with_value("session", entry.session)
        .with_value("type", entry.type)
        .with_value("importance", entry.importance)
        .with_value("tags", tuple(entry.tags))
        .with_value("supersedes", None)
        .with_value("signature", entry.proof or _UNSIGNED)
    )


def _with_signature(front_matter: FrontMatter, entry: EntryRecord) -> FrontMatter:
    """The front matter with the signature of what the entry says now.

    What was imported and not changed since keeps its own line: the file comes back to the byte,
    and a signature in it is the one of whoever wrote it.
    """
    if entry.imported_version == entry.version:
        return front_matter
    if entry.proof is not None:
        field = front_matter.find("signature")
        is_there = field is not None and field.value == entry.proof
        return front_matter if is_there else front_matter.with_value("signature", entry.proof)
    if _read_origin(front_matter) is None:
        return front_matter
    return front_matter.with_value("signature", _UNSIGNED)


def _corrections(
    said: _Said, entry: EntryRecord, superseded_name: str | None
) -> dict[str, Writable]:
    """The keys that do not say what the entry says, with what they must say."""
    superseded = superseded_name and superseded_name + SUFFIX
    keys: tuple[tuple[str, bool, Writable], ...] = (
        ("date", said.date == entry.date, format_time(entry.date)),
        ("author", (said.author or entry.owner) == entry.author, entry.author),
        ("session", said.session == entry.session, entry.session),
        ("type", said.type == entry.type, entry.type),
        ("importance", said.importance == entry.importance, entry.importance),
        ("tags", said.tags == tuple(entry.tags), tuple(entry.tags)),
        ("supersedes", _names_superseded(said.claim, entry, superseded_name), superseded),
        ("title", said.title == entry.title, entry.title),
        ("key", entry.key in {None, said.key}, entry.key),
    )
    return {key: value for key, agrees, value in keys if not agrees}


def _names_superseded(claim: str | None, entry: EntryRecord, superseded_name: str | None) -> bool:
    if entry.supersedes is None or claim is None:
        return claim == _claim(entry) and entry.supersedes is None
    names = {superseded_name, entry.superseded_key} - {None}
    return not names.isdisjoint({claim, base_name(claim)})


def _claim(entry: EntryRecord) -> str | None:
    """What an entry that supersedes nothing here says that it supersedes."""
    return entry.source_key or entry.signed_claim


def _likely_name_of_superseded(entry: EntryRecord) -> str | None:
    """The name of the superseded entry's file, as long as it clashes with no other."""
    if entry.supersedes is None:
        return _claim(entry)
    return file_name(EntryReference(entry.supersedes, entry.superseded_key))
