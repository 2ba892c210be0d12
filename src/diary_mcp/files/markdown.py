"""One entry as a Markdown file with front matter.

Reading and writing share one reading of the front matter. An export starts from the front matter
that was imported, reads it as an import would, and sets only those keys whose value does not say
what the entry says now. An unchanged file therefore comes back to the byte, and what is exported
is always read back as the same entry.
"""

from collections.abc import Mapping
from datetime import datetime

from diary_mcp.domain.diaries import MAIN
from diary_mcp.domain.errors import InvalidArgumentError
from diary_mcp.domain.fields import EntryId, format_time, is_blank
from diary_mcp.domain.version import EntryRecord
from diary_mcp.files.drafts import decode_text, read_draft, source_hash
from diary_mcp.files.extra_fields import is_json, read_kept, with_kept
from diary_mcp.files.front_matter import (
    FrontMatter,
    Writable,
    read_front_matter,
    split_front_matter,
)
from diary_mcp.files.markdown_fields import Said, read_said, write_tags
from diary_mcp.files.names import SUFFIX, file_name
from diary_mcp.service.archive.importer import ImportedEntry
from diary_mcp.service.archive.supersession import known_as, names_superseded
from diary_mcp.service.chain.statements import canonical, read_proof
from diary_mcp.service.ports.entries import EntryReference

_ENTRY_KEYS = frozenset(
    {"date", "author", "session", "type", "title", "importance", "tags", "supersedes", "diary"}
)
_UNSIGNED = "none"


def read_markdown(
    raw: bytes, *, name: str, modified_at: datetime, in_place_of_nothing: str = ""
) -> ImportedEntry:
    """The entry that a file holds.

    Args:
        raw: the file's bytes.
        name: the file's name without `.md`.
        modified_at: the entry's date where neither front matter nor name have one.
        in_place_of_nothing: the content where the file has none.

    Raises:
        InvalidArgumentError: the file cannot be imported; the message says why.
    """
    head, content = split_front_matter(decode_text(raw))
    front_matter = read_front_matter(head)
    if is_blank(content):
        content = in_place_of_nothing or content
    said = read_said(front_matter, content, name)
    if not content:
        raise InvalidArgumentError("holds no content; write some, or delete the file.")
    draft = read_draft(
        {
            "content": content,
            "title": said.title,
            "type": said.type,
            "tags": list(said.tags),
            "importance": said.importance,
            "supersedes": list(said.claims),
            "date": said.date or modified_at,
            "author": said.author,
            "session": said.session,
            "key": said.key,
            "diary": said.diary,
        }
    )
    return ImportedEntry(
        draft=draft,
        source_hash=source_hash(raw),
        entry_id=said.id if said.key is None else None,
        name=name,
        front_matter=head,
        unknown_keys=_unknown_keys(front_matter, said),
        origin=_read_origin(front_matter),
    )


def render_markdown(
    entry: EntryRecord, *, name: str, names: Mapping[EntryId, str] | None = None
) -> bytes:
    """The file that an export writes.

    Args:
        entry: what to write.
        name: the file's name without `.md`.
        names: likewise, of the other entries' files; without it, as they are likely to be.
    """
    front_matter = _initial(entry)
    said = read_said(front_matter, entry.content, name)
    for key, value in _corrections(said, entry, _names_of_superseded(entry, names or {})).items():
        front_matter = front_matter.with_value(key, value, keeps_old=key in said.unforeseen)
    front_matter = _with_signature(front_matter, entry)
    return (front_matter.text_before(entry.content) + entry.content).encode()


def _read_origin(front_matter: FrontMatter) -> str | None:
    """What the file says of its signature, where that can be checked."""
    field = front_matter.find("signature")
    value = None if field is None else field.value
    proof = read_proof(value) if isinstance(value, str) else None
    return None if proof is None else canonical(proof).decode()


def _unknown_keys(front_matter: FrontMatter, said: Said) -> frozenset[str]:
    """The lines of keys that say more than the entry's fields do."""
    said_elsewhere = {("signature", _UNSIGNED), ("key", said.key), ("id", str(said.id))}
    known = _ENTRY_KEYS if _read_origin(front_matter) is None else _ENTRY_KEYS | {"signature"}
    return frozenset(
        field.text.strip()
        for field in front_matter.fields
        if field.name in said.unforeseen
        or (field.name not in known and (field.name, field.value) not in said_elsewhere)
    )


def _initial(entry: EntryRecord) -> FrontMatter:
    """The front matter that was imported; where none was, one with every key."""
    if entry.front_matter is not None and not is_json(entry.front_matter):
        return read_front_matter(entry.front_matter)
    head = (
        FrontMatter()
        .with_value("date", format_time(entry.date))
        .with_value("author", entry.author)
        .with_value("session", entry.session)
        .with_value("type", entry.type)
        .with_value("importance", entry.importance)
        .with_value("tags", write_tags(entry.tags))
        .with_value("supersedes", None)
        .with_value("signature", entry.proof or _UNSIGNED)
    )
    return with_kept(head, read_kept(entry))


def _with_signature(front_matter: FrontMatter, entry: EntryRecord) -> FrontMatter:
    """The front matter with the signature of what the entry says now.

    What was imported and not changed since keeps its own line: the file comes back to the byte,
    and a signature in it is the one of whoever wrote it. One that was made for what the file said
    before somebody corrected it is not kept.
    """
    told = _read_origin(front_matter)
    if entry.imported_version == entry.version and told in {None, entry.origin}:
        return front_matter
    if entry.proof is not None:
        field = front_matter.find("signature")
        is_there = field is not None and field.value == entry.proof
        return front_matter if is_there else front_matter.with_value("signature", entry.proof)
    if told is None:
        return front_matter
    return front_matter.with_value("signature", _UNSIGNED)


def _corrections(
    said: Said, entry: EntryRecord, names: Mapping[EntryId, str]
) -> dict[str, Writable]:
    """The keys that do not say what the entry says, with what they must say."""
    superseded = tuple(known[0] + SUFFIX for known in known_as(entry, names))
    is_named = names_superseded(said.claims, entry, names)
    keys: tuple[tuple[str, bool, Writable], ...] = (
        ("date", said.date == entry.date, format_time(entry.date)),
        ("author", (said.author or entry.owner) == entry.author, entry.author),
        ("session", said.session == entry.session, entry.session),
        ("type", said.type == entry.type, entry.type),
        ("importance", said.importance == entry.importance, entry.importance),
        ("tags", said.tags == tuple(entry.tags), write_tags(entry.tags)),
        ("supersedes", is_named, superseded if len(superseded) > 1 else (*superseded, None)[0]),
        ("title", said.title == entry.title, entry.title),
        ("key", entry.key in {None, said.key}, entry.key),
        ("id", entry.key is not None or said.id == entry.id, str(entry.id)),
        ("diary", _is_placed(said, entry), entry.diary_name or MAIN),
    )
    return {key: value for key, agrees, value in keys if not agrees}


def _is_placed(said: Said, entry: EntryRecord) -> bool:
    """Whether the file names the entry's diary, or one that its importer could not write to."""
    named = said.diary or ""
    if entry.diary_name is None and entry.imported_version == entry.version and "/" in named:
        return True
    return named.removeprefix(f"{entry.owner}/") == (entry.diary_name or "")


def _names_of_superseded(entry: EntryRecord, names: Mapping[EntryId, str]) -> Mapping[EntryId, str]:
    """Those of the superseded entries' files, a likely one where it is not known."""
    return {
        older: names.get(older) or file_name(EntryReference(older, key))
        for older, key in zip(entry.supersedes, entry.superseded_keys, strict=True)
    }
