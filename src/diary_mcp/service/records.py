"""Rows and positions that the service and the store exchange."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypedDict

from diary_mcp.domain.entry import EntryDraft
from diary_mcp.domain.fields import AgentName, EntryId, EntryType, Grantee
from diary_mcp.service.hashing import content_hash, fill_in


@dataclass(frozen=True)
class Readership:
    """The caller, and every name under which something may have been shared with it."""

    caller: AgentName
    grantees: tuple[Grantee, ...]


def owner_readership(caller: AgentName) -> Readership:
    """What the rows alone tell: the caller by its own name, no groups."""
    return Readership(caller, (Grantee(caller),))


@dataclass(frozen=True)
class EntryRecord:
    """A new entry, complete; `generation` starts at 1."""

    id: EntryId
    key: str | None
    owner: AgentName
    author: str
    session: str | None
    type: EntryType
    title: str | None
    content: str
    tags: Sequence[str]
    importance: float
    supersedes: EntryId | None
    date: datetime
    created_at: datetime
    content_hash: str
    source_key: str | None = None
    """The key that an imported file says it supersedes, linked as soon as that entry is there."""
    source_hash: str | None = None
    front_matter: str | None = None
    origin: str | None = None
    """What an imported file said of its own signature."""


def new_record(
    draft: EntryDraft,
    *,
    entry_id: EntryId,
    owner: AgentName,
    supersedes: EntryId | None,
    now: datetime,
) -> EntryRecord:
    """The first version of what the draft says, written now."""
    written = fill_in(draft, owner, now, 1)
    return EntryRecord(
        id=entry_id,
        key=draft.key,
        owner=owner,
        author=written.author,
        session=written.session,
        type=written.type,
        title=written.title,
        content=written.content,
        tags=written.tags,
        importance=written.importance,
        supersedes=supersedes,
        date=written.date,
        created_at=now,
        content_hash=content_hash(entry_id, owner, written),
    )


@dataclass(frozen=True)
class EntryRevision:
    """The next version of an entry."""

    type: EntryType
    title: str | None
    content: str
    tags: Sequence[str]
    importance: float
    version: int
    updated_at: datetime
    content_hash: str


@dataclass(frozen=True)
class EntryPosition:
    """Where a list goes on: after this entry."""

    date: datetime
    id: EntryId


@dataclass(frozen=True)
class SearchPosition:
    """Where a search goes on: with what was there by then and was not shown yet."""

    created_by: datetime
    seen: frozenset[bytes]
    """A mark of each entry that was shown."""
    score: float
    """The last one's."""


@dataclass(frozen=True)
class SharePosition:
    """Where a list of shares goes on: after this one."""

    created_at: datetime
    entry_id: EntryId
    grantee: Grantee


@dataclass(frozen=True)
class RememberedRequest:
    """A create call that was answered: the hash of its arguments, and the entry it made."""

    arguments_hash: str
    entry_id: EntryId


class TagCount(TypedDict):
    tag: str
    count: int


class EntryCounts(TypedDict):
    """How many entries an agent owns, and how many of them it shares at present."""

    entries: int
    shared: int
