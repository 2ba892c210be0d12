"""One version of an entry: what it says, and the content hash, which changes when any of that does.

A draft becomes a version once, in `write_version`; an entry's record, which the store keeps,
inherits from it.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import rfc8785
from uuid_utils.compat import uuid7

from diary_mcp.domain.entry import Entry, EntryDraft
from diary_mcp.domain.fields import AgentName, DiaryId, EntryId, EntryType, Model, Time, format_time


@dataclass(frozen=True, kw_only=True)
class SearchText:
    """What search sees of one version."""

    id: EntryId
    owner: AgentName
    author: str
    title: str | None
    content: str
    tags: Sequence[str]
    version: int


@dataclass(frozen=True, kw_only=True)
class Version(SearchText):
    """Everything that one version of an entry says."""

    session: str | None
    type: EntryType
    importance: float
    date: datetime
    updated_at: datetime
    """When it was written; not hashed."""
    content_hash: str


@dataclass(frozen=True, kw_only=True)
class EntryRecord(Version):
    """An entry at its present version, whole, as its row has it."""

    key: str | None
    supersedes: Sequence[EntryId] = ()
    superseded_keys: Sequence[str | None] = ()
    """The keys of these, in the same order."""
    created_at: datetime
    source_keys: Sequence[str] = ()
    """The names of what an imported file says it supersedes, whether that is linked or not."""
    source_hash: str | None = None
    front_matter: str | None = None
    """Everything that stood before the content in the imported file, or what a line of JSON said
    beside the entry, as an object; `None`: nothing was imported, or nothing said."""
    wants_signature: bool = False
    imported_version: int | None = None
    """The version that an import made last."""
    source_path: str | None = None
    """Where the file of that version was."""
    origin: str | None = None
    """What the file that the present version was imported from said of its own signature."""
    proof: str | None = None
    """What an export says of the signature; only where it was asked for."""
    own_proof: str | None = None
    """Likewise, by the diary's own chain, also of an import that brought a proof along."""
    signed_claims: Sequence[str] = ()
    """The ids of what it was signed to supersede, some of which may be deleted by now."""
    diary_name: str | None = None
    """The name of this diary as its owner says it, where that is not `main`, for an export."""
    diary_id: DiaryId | None = None
    """`None`: the owner's `main`. Not hashed: where an entry is kept is nothing that it says."""


def write_version(
    draft: EntryDraft,
    *,
    entry_id: EntryId,
    owner: AgentName,
    number: int = 1,
    date: datetime,
    now: datetime | None = None,
) -> Version:
    """What a draft of the owner's says as this version.

    `date` is for a draft that names none, and the time of the change where `now` is not given.
    """
    version = Version(
        id=entry_id,
        owner=owner,
        author=draft.author or owner,
        session=draft.session,
        type=draft.type,
        title=draft.title,
        content=draft.content,
        tags=draft.tags,
        importance=draft.importance,
        date=draft.date or date,
        version=number,
        updated_at=now or date,
        content_hash="",
    )
    return replace(version, content_hash=content_hash(version))


def new_record(
    draft: EntryDraft, owner: AgentName, now: datetime, *, entry_id: EntryId | None = None
) -> EntryRecord:
    """The first version of what the draft says, under a new id; what it supersedes is open."""
    version = write_version(draft, entry_id=entry_id or EntryId(uuid7()), owner=owner, date=now)
    return EntryRecord(**vars(version), key=draft.key, created_at=now)


def text_of(entry: Entry) -> SearchText:
    """An entry as search sees it."""
    return SearchText(
        id=entry.id,
        owner=entry.owner,
        author=entry.author,
        title=entry.title,
        content=entry.content,
        tags=entry.tags,
        version=entry.version,
    )


def content_hash(version: Version | Entry) -> str:
    """`sha256:` and the hex digest of the version's canonical form.

    Source: RFC 8785 (JSON Canonicalization Scheme) over these members, in UTF-8; times are
    RFC 3339 in UTC. docs/tools.md gives an example to check against.
    """
    canonical = rfc8785.dumps(
        {
            "author": version.author,
            "content": version.content,
            "date": format_time(version.date),
            "id": str(version.id),
            "importance": version.importance,
            "owner": version.owner,
            "session": version.session,
            "tags": list(version.tags),
            "title": version.title,
            "type": version.type,
            "version": version.version,
        }
    )
    return "sha256:" + hashlib.sha256(canonical).hexdigest()


class VersionSummary(Model, frozen=True, from_attributes=True):
    """A version as its owner sees it in a list: all of it but the content."""

    version: int
    updated_at: Time
    type: EntryType
    title: str | None
    tags: tuple[str, ...]
    importance: float
    content_hash: str


class EntryVersion(VersionSummary, frozen=True):
    """A version as its owner sees it."""

    content: str
