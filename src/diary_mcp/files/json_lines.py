"""Entries as JSON Lines: one object a line, with the entry's field names."""

import json
from collections.abc import Mapping

from diary_mcp.domain.chain import Proof
from diary_mcp.domain.entry import EntryFields
from diary_mcp.domain.errors import InvalidArgumentError
from diary_mcp.domain.fields import format_time
from diary_mcp.domain.version import EntryRecord
from diary_mcp.files.drafts import decode_text, read_draft, source_hash
from diary_mcp.files.names import find_entry_id
from diary_mcp.service.archive.importer import ImportedEntry
from diary_mcp.service.archive.supersession import known_as
from diary_mcp.service.chain.statements import JsonObject, canonical, model_of, parse_json

_ENTRY_FIELDS = frozenset({*EntryFields.model_fields, "content"})
# What the diary decides itself is allowed in a line, because an export writes it; it is not
# believed.
_DRAFT_FIELDS = (
    "content",
    "title",
    "type",
    "tags",
    "importance",
    "supersedes",
    "date",
    "author",
    "session",
    "key",
)
_MAY_BE_NULL = frozenset({"title", "supersedes", "date", "author", "session", "key"})


def read_line(raw: bytes) -> ImportedEntry:
    """The entry that one line holds.

    Raises:
        InvalidArgumentError: the line cannot be imported; the message says why.
    """
    values = _read_object(decode_text(raw))
    unknown = sorted(values.keys() - _ENTRY_FIELDS)
    if unknown:
        raise InvalidArgumentError(
            f"{', '.join(map(repr, unknown[:3]))} is not a field of an entry; the fields are "
            f"{', '.join(sorted(_ENTRY_FIELDS))}."
        )
    given = {
        name: values[name]
        for name in _DRAFT_FIELDS
        if name in values and (values[name] is not None or name not in _MAY_BE_NULL)
    }
    entry_id = values.get("id")
    return ImportedEntry(
        draft=read_draft(given),
        source_hash=source_hash(raw.strip()),
        entry_id=find_entry_id(entry_id) if isinstance(entry_id, str) else None,
        origin=_read_origin(values.get("signature")),
        told={name: value for name, value in values.items() if name not in _DRAFT_FIELDS},
    )


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
    return json.dumps(values, ensure_ascii=False).encode() + b"\n"


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
