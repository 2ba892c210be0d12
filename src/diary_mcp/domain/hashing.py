"""The content hash: one value that changes when anything that makes an entry changes."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import rfc8785

from diary_mcp.domain.entry import EntryDraft
from diary_mcp.domain.fields import AgentName, EntryId, EntryType, format_time


class HashedFields(Protocol):
    """What makes a version's content hash, besides the id and the owner of its entry."""

    @property
    def author(self) -> str: ...
    @property
    def session(self) -> str | None: ...
    @property
    def type(self) -> EntryType: ...
    @property
    def title(self) -> str | None: ...
    @property
    def content(self) -> str: ...
    @property
    def tags(self) -> Sequence[str]: ...
    @property
    def importance(self) -> float: ...
    @property
    def date(self) -> datetime: ...
    @property
    def version(self) -> int: ...


@dataclass(frozen=True)
class WrittenFields:
    """Hashed fields by themselves."""

    author: str
    session: str | None
    type: EntryType
    title: str | None
    content: str
    tags: Sequence[str]
    importance: float
    date: datetime
    version: int


def fill_in(draft: EntryDraft, owner: AgentName, date: datetime, version: int) -> WrittenFields:
    """What a draft of the owner's says as this version; `date` is for one that names none."""
    return WrittenFields(
        author=draft.author or owner,
        session=draft.session,
        type=draft.type,
        title=draft.title,
        content=draft.content,
        tags=draft.tags,
        importance=draft.importance,
        date=draft.date or date,
        version=version,
    )


def hashed_members(fields: HashedFields) -> dict[str, str | float | list[str] | None]:
    """The fields as members of the canonical form; two that are equal say the same."""
    return {
        "author": fields.author,
        "content": fields.content,
        "date": format_time(fields.date),
        "importance": fields.importance,
        "session": fields.session,
        "tags": list(fields.tags),
        "title": fields.title,
        "type": fields.type,
        "version": fields.version,
    }


def content_hash(entry_id: EntryId, owner: AgentName, fields: HashedFields) -> str:
    """`sha256:` and the hex digest of the entry's canonical form.

    Source: RFC 8785 (JSON Canonicalization Scheme) over `id`, `owner` and the hashed members, in
    UTF-8; times are RFC 3339 in UTC. docs/tools.md gives an example to check against.
    """
    canonical = rfc8785.dumps({"id": str(entry_id), "owner": owner, **hashed_members(fields)})
    return "sha256:" + hashlib.sha256(canonical).hexdigest()


def arguments_hash(arguments: dict[str, object]) -> str:
    """Tells two calls with the same idempotency key apart; `arguments` are JSON values."""
    return hashlib.sha256(rfc8785.dumps(arguments)).hexdigest()  # pyright: ignore[reportArgumentType]
