"""Entries as JSON Lines: one object a line, with the entry's field names."""

import json
import re
from collections.abc import Mapping

from diary_mcp.domain.chain import Proof
from diary_mcp.domain.entry import EntryDraft, EntryFields
from diary_mcp.domain.errors import InvalidArgumentError
from diary_mcp.domain.fields import format_time
from diary_mcp.domain.version import EntryRecord
from diary_mcp.files.drafts import decode_text, read_draft, source_hash
from diary_mcp.files.extra_fields import as_field, read_kept, write_kept
from diary_mcp.files.front_matter import FrontMatter
from diary_mcp.files.markdown_fields import diary_name, read_said
from diary_mcp.files.names import find_entry_id
from diary_mcp.service.archive.importer import ImportedEntry
from diary_mcp.service.archive.supersession import known_as
from diary_mcp.service.chain.statements import JsonObject, canonical, model_of, parse_json

_DRAFT_FIELDS = tuple(name for name in EntryDraft.model_fields if name != "diary")
# What the diary decides itself is allowed in a line, because an export writes it; it is not
# believed.
_DECIDED = frozenset(EntryFields.model_fields) - {*_DRAFT_FIELDS}
_KEPT = "front_matter"
"""In an export: what was said of a field, and no entry can have."""
_OWN_NAMES = _DECIDED | {*_DRAFT_FIELDS, _KEPT}
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


def read_line(raw: bytes) -> ImportedEntry:
    """The entry that one line holds. A value that no entry can have is kept, and counts as missing.

    Raises:
        InvalidArgumentError: the line cannot be imported; the message says why.
    """
    values = _read_object(decode_text(raw))
    given = {
        name: value
        for name in _DRAFT_FIELDS
        if name in values and ((value := values[name]) is not None or name == "content")
    }
    draft, odd = _read_draft(given)
    try:
        diary = diary_name(values.get("diary"))
    except ValueError:
        diary = None
        odd = {**odd, "diary": values["diary"]}
    if diary is not None and "/" in diary:
        # Whether the importer may write there is not known yet.
        odd = {**odd, "diary": diary}
    entry_id = values.get("id")
    told = {name: value for name, value in values.items() if name not in _DRAFT_FIELDS}
    return ImportedEntry(
        draft=draft.model_copy(update={"diary": diary}),
        source_hash=source_hash(raw.strip()),
        entry_id=find_entry_id(entry_id) if isinstance(entry_id, str) else None,
        front_matter=write_kept({**_kept(told), **odd}),
        origin=_read_origin(values.get("signature")),
        told=told,
    )


def _read_draft(given: Mapping[str, object]) -> tuple[EntryDraft, Mapping[str, object]]:
    """The draft, and what no entry can have; that is read as it would be in front matter."""
    try:
        return read_draft(given), {}
    except InvalidArgumentError:
        # Without content there is nothing to keep.
        content = read_draft(
            {"content": given.get("content")} if "content" in given else {}
        ).content
    odd = {name: value for name, value in given.items() if not _is_right(name, value)}
    fields = tuple(as_field(name, value) for name, value in odd.items())
    said = read_said(FrontMatter(fields=fields), content, "")
    understood = {
        "title": said.title if "title" in odd else None,
        "type": said.type,
        "tags": list(said.tags),
        "importance": said.importance,
        "supersedes": list(said.claims),
        "date": said.date,
        "author": said.author,
        "session": said.session,
    }
    right = {name: value for name, value in given.items() if name not in odd}
    read = {name: value for name, value in understood.items() if name in odd}
    return read_draft({**right, **read}), odd


def _is_right(name: str, value: object) -> bool:
    try:
        read_draft({"content": "-", name: value})
    except InvalidArgumentError:
        return False
    return True


def _kept(told: Mapping[str, object]) -> dict[str, object]:
    """What is no field of an entry, and of a line that no diary has written, all that it says."""
    kept: dict[str, object] = {}
    is_export = "content_hash" in told and isinstance(told.get("signature"), JsonObject)
    for name, value in told.items():
        if name == _KEPT and isinstance(value, JsonObject) and value.keys() <= _OWN_NAMES:
            kept.update(value)
        elif name not in _DECIDED or not (is_export or _is_decided(name, value)):
            kept[name] = value
    return kept


def _is_decided(name: str, value: object) -> bool:
    if value is None or name == "diary":
        return True
    return name == "id" and isinstance(value, str) and find_entry_id(value) is not None


def render_line(entry: EntryRecord) -> bytes:
    """The line that an export writes; `supersedes` are keys where the other entries have one."""
    superseded = [known[0] for known in known_as(entry, {})]
    values = {
        "id": str(entry.id),
        "key": entry.key,
        "owner": entry.owner,
        "author": entry.author,
        "session": entry.session,
        "type": entry.type,
        "title": entry.title,
        "content": entry.content,
        "tags": list(entry.tags),
        "importance": entry.importance,
        "supersedes": superseded if len(superseded) > 1 else next(iter(superseded), None),
        "version": entry.version,
        "date": format_time(entry.date),
        "created_at": format_time(entry.created_at),
        "updated_at": format_time(entry.updated_at),
        "content_hash": entry.content_hash,
        "signature": _signature(entry),
    }
    if entry.diary_name is not None:
        values["diary"] = entry.diary_name
    kept = read_kept(entry)
    values |= {name: value for name, value in kept.items() if name not in _OWN_NAMES}
    if odd := {name: value for name, value in kept.items() if name in _OWN_NAMES}:
        values[_KEPT] = odd
    text = json.dumps(values, ensure_ascii=False)
    return _LONE_SURROGATE.sub(lambda found: f"\\u{ord(found[0]):04x}", text).encode() + b"\n"


def _signature(entry: EntryRecord) -> dict[str, object]:
    unsigned = "pending" if entry.wants_signature else "none"
    signature: dict[str, object] = {"state": unsigned if entry.own_proof is None else "signed"}
    if entry.proof is not None:
        signature["proof"] = json.loads(entry.proof)
    if entry.own_proof is not None and entry.own_proof != entry.proof:
        # What the line says beside the entry, such as its owner, is this diary's word.
        signature["import"] = json.loads(entry.own_proof)
    return signature


def _read_origin(signature: object) -> str | None:
    """What the line says of its signature, where that can be checked."""
    proof = model_of(Proof, signature.get("proof")) if isinstance(signature, JsonObject) else None
    return None if proof is None else canonical(proof).decode()


def _read_object(text: str) -> Mapping[str, object]:
    try:
        value = parse_json(text)
    except ValueError as error:
        raise InvalidArgumentError(f"is not JSON that can be read: {error}.") from error
    if not isinstance(value, JsonObject):
        raise InvalidArgumentError("is not a JSON object; write one entry a line, in { }.")
    return value
