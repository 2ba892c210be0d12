"""What each tool returns, as a model reads it.

A model pays for every character: what is null, empty or at its default is left out, and the
output schemas say what the absence of a field means (docs/tools.md, "Entries").
"""

from collections.abc import Sequence
from datetime import datetime
from importlib.metadata import version
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, Field, JsonValue

from diary_mcp.domain.diaries import DiaryName, DiaryRole, DiaryShare, DiarySummary
from diary_mcp.domain.entry import (
    CreatedEntry,
    Entry,
    EntryFields,
    EntrySummary,
    SearchHit,
    Share,
    Sharing,
    SimilarEntry,
    untrusted,
)
from diary_mcp.domain.errors import InvalidArgumentError
from diary_mcp.domain.fields import (
    AgentName,
    EntryId,
    EntryType,
    Grantee,
    GroupName,
    Model,
    Time,
    counted,
)
from diary_mcp.domain.reflection import (
    OTHERS_DIARIES,
    OTHERS_TAGS,
    ReceivedDiary,
    ReceivedEntry,
)
from diary_mcp.domain.version import EntryVersion
from diary_mcp.server.caller import Caller
from diary_mcp.server.confinement import place_of
from diary_mcp.service.diary import Diary

DEFAULT_IMPORTANCE = 0.5
# Enough to choose what to read in full.
_MAX_LISTED_CHARACTERS = 100
_MAX_FOUND_CHARACTERS = 150
_SIMILAR = "You wrote nearly the same before: read it, and correct one instead of keeping both."
MAX_PART_CHARACTERS = 20_000
"""Clients cut what is much longer, and say less about it than `next_from` does."""


class Result(Model, frozen=True):
    """Base of every result that is no digest and no report.

    What a result has several of is a list or a tuple: pydantic goes through any other sequence
    in Python, one item after the other.
    """


class ShownEntry(Result, frozen=True):
    """What every entry shows, in the order in which it is shown."""

    id: EntryId
    key: str | None = None
    untrusted: str | None = None
    diary: str | None = None
    owner: AgentName | None = None
    role: Literal["viewer"] | None = None
    author: str | None = None
    session: str | None = None
    type: EntryType
    title: str | None = None
    tags: tuple[str, ...] | None = None
    importance: float | None = None
    supersedes: tuple[EntryId, ...] | None = None
    superseded_by: EntryId | None = None
    version: int | None = None
    date: Time
    created_at: Time | None = None
    updated_at: Time | None = None
    sharing: Literal["pending"] | None = None
    signature: Literal["signed", "pending", "none"] | None = None


class EntryResult(ShownEntry, frozen=True):
    """One entry, or the part of a long one that was asked for."""

    content: str
    next_from: int | None = None
    shared_by: AgentName | None = None
    expires_at: Time | None = None
    note: str | None = None


class ListedEntry(ShownEntry, frozen=True):
    snippet: str


class FoundEntry(ListedEntry, frozen=True):
    score: float
    matched: tuple[str, ...]


class CreatedResult(Result, frozen=True):
    """What the author of a new entry does not know yet."""

    id: EntryId
    key: str | None
    diary: str | None
    version: int
    date: Time
    sharing: Literal["pending"] | None
    signature: Literal["signed", "pending", "none"]
    similar: tuple[SimilarEntry, ...] | None
    notice: str | None


class UpdatedResult(Result, frozen=True):
    id: EntryId
    version: int
    signature: Literal["signed", "pending", "none"]
    sharing: Literal["pending"] | None


class EntriesResult(Result, frozen=True):
    entries: list[ListedEntry]
    next_cursor: str | None
    notice: str | None


class SearchResult(Result, frozen=True):
    hits: list[FoundEntry]
    next_cursor: str | None
    notice: str | None


class DeletedResult(Result, frozen=True):
    entry_id: EntryId
    deleted: Literal[True] = True


class ShareResult(Result, frozen=True):
    """A share of what is the caller's; `sharing` is left out once the grant has settled."""

    entry_id: EntryId | None = None
    untrusted: str | None = None
    diary: str | None = None
    grantee: Grantee = Field(serialization_alias="with")
    role: Literal["writer"] | None = None
    created_at: Time
    expires_at: Time | None
    note: str | None
    sharing: Literal["pending"] | None


class RevokedResult(Result, frozen=True):
    entry_id: EntryId | None = None
    diary: str | None = None
    grantee: Grantee = Field(serialization_alias="with")
    revoked: Literal[True] = True


class SharesResult(Result, frozen=True):
    shares: list[ShareResult]
    next_cursor: str | None


class TagResult(Result, frozen=True):
    tag: str
    count: int


class TagsResult(Result, frozen=True):
    untrusted: str | None
    tags: list[TagResult]
    notice: str | None


class DiaryResult(Result, frozen=True):
    diary: str
    role: DiaryRole
    entries: int
    latest: Time | None
    current: Literal[True] | None


class DiariesResult(Result, frozen=True):
    untrusted: str | None
    diaries: list[DiaryResult]


class Counts(Result, frozen=True):
    entries: int
    shared: int


class Backends(Result, frozen=True):
    database: str
    permissions: str


class Signing(Result, frozen=True):
    sequence: int
    head: str | None
    keys: list[str]
    key: str | None
    problem: str | None


class SignatureRequestResult(Result, frozen=True):
    request_id: UUID
    statement: str
    salt: str | None
    expires_at: Time
    command: str


class SignedResult(Result, frozen=True):
    entry_id: EntryId | None
    sequence: int
    link: str


class WhoamiResult(Result, frozen=True):
    agent: AgentName
    groups: list[GroupName] | None
    counts: Counts
    version: str
    backends: Backends
    signing: Signing


def as_json(result: BaseModel) -> dict[str, JsonValue]:
    """What a client gets of a result, as structured content and as text."""
    return result.model_dump(mode="json", by_alias=True, exclude_none=True)


def show_created(entry: CreatedEntry, diary: str | None = None, *, may_read: bool) -> CreatedResult:
    """A new entry, and what was written before and is nearly the same, if it may be read."""
    similar = entry.similar if may_read else ()
    return CreatedResult(
        id=entry.id,
        key=entry.key,
        diary=diary,
        version=entry.version,
        date=entry.date,
        sharing=_pending(entry.sharing),
        signature=entry.signature.state,
        similar=similar or None,
        notice=_SIMILAR if similar else None,
    )


def show_received(
    received: tuple[EntrySummary, Share] | DiaryShare,
) -> ReceivedEntry | ReceivedDiary:
    """What came by a share, in a digest."""
    if isinstance(received, DiaryShare):
        return ReceivedDiary(
            untrusted=untrusted(received.owner, received.granted_by),
            diary=f"{received.owner}/{received.name}",
            shared_by=received.granted_by,
            role=received.role,
            date=received.created_at.replace(microsecond=0),
            note=_note(received),
        )
    entry, share = received
    heading = " ".join((entry.title or entry.snippet).split())
    return ReceivedEntry(
        id=entry.id,
        untrusted=untrusted(entry.owner),
        shared_by=share.granted_by,
        type=entry.type,
        date=entry.date.replace(microsecond=0),
        title=_cut(heading, _MAX_LISTED_CHARACTERS),
        note=_note(share),
    )


def _note(share: Share | DiaryShare) -> str | None:
    return share.note and _cut(" ".join(share.note.split()), _MAX_FOUND_CHARACTERS)


def show_updated(entry: Entry) -> UpdatedResult:
    return UpdatedResult(
        id=entry.id,
        version=entry.version,
        signature=entry.signature.state,
        sharing=_pending(entry.sharing),
    )


def show_entry(
    entry: Entry, start: int = 0, share: Share | None = None, diary: str | None = None
) -> EntryResult:
    """An entry from the character `start` on; `share` is the one that lets the caller read it.

    `diary` is the name of the one that it is in, where that is to be shown.

    Raises:
        InvalidArgumentError: there is no such character.
    """
    content, next_from = _part(entry.content, start)
    shown = _shown(
        entry,
        diary,
        version=entry.version,
        created_at=None if entry.created_at == entry.date else entry.created_at,
        updated_at=None if entry.updated_at == entry.created_at else entry.updated_at,
        signature=entry.signature.state,
    )
    return _result(shown, content, next_from, share)


def show_listed(entry: EntrySummary, diary: str | None = None) -> ListedEntry:
    """An entry in a list."""
    return ListedEntry.of_checked(_listed(entry, diary, _MAX_LISTED_CHARACTERS))


def show_found(hit: SearchHit, diary: str | None = None) -> FoundEntry:
    """An entry that a search found."""
    found = _listed(hit, diary, _MAX_FOUND_CHARACTERS)
    found["score"] = round(hit.score, 4)
    found["matched"] = hit.matched
    return FoundEntry.of_checked(found)


def show_share(share: Share) -> ShareResult:
    return ShareResult(
        entry_id=share.entry_id,
        grantee=share.grantee,
        created_at=share.created_at,
        expires_at=share.expires_at,
        note=share.note,
        sharing=_pending(share.sharing),
    )


def show_diary_share(share: DiaryShare, caller: AgentName) -> ShareResult:
    """A role on a diary; before the diary was handed over another agent gave it, with a note."""
    is_others = share.note is not None and share.granted_by != caller
    return ShareResult(
        untrusted=untrusted(share.granted_by) if is_others else None,
        diary=share.full_name.seen_by(caller),
        grantee=share.grantee,
        role="writer" if share.role == "writer" else None,
        created_at=share.created_at,
        expires_at=share.expires_at,
        note=share.note,
        sharing=_pending(share.sharing),
    )


def show_diaries(
    diaries: Sequence[DiarySummary], caller: AgentName, current: DiaryName | None
) -> DiariesResult:
    """Diaries; those of others were named by them, and so may be what was handed over."""
    are_others = any(caller != each.owner or caller != each.named_by for each in diaries)
    return DiariesResult(
        untrusted=OTHERS_DIARIES if are_others else None,
        diaries=[show_diary(each, caller, current) for each in diaries],
    )


def show_diary(diary: DiarySummary, caller: AgentName, current: DiaryName | None) -> DiaryResult:
    return DiaryResult(
        diary=diary.full_name.seen_by(caller),
        role=diary.role,
        entries=diary.entries,
        latest=diary.latest,
        current=True if diary.full_name == current else None,
    )


async def tags_of(
    diary: Diary, caller: Caller, prefix: str, limit: int, asked: str | None = None
) -> TagsResult:
    """The agent's own tags, or those of a diary, the most used first."""
    counts, notice = await diary.listing.list_tags(
        caller.agent, prefix, limit, diary=asked, current=caller.diary
    )
    return TagsResult(
        untrusted=OTHERS_TAGS if any(each["is_others"] for each in counts) else None,
        tags=[TagResult(tag=each["tag"], count=each["count"]) for each in counts],
        notice=notice,
    )


async def whoami_of(diary: Diary, caller: Caller) -> WhoamiResult:
    """Who the agent is, and what the server runs on."""
    known = await diary.listing.whoami(caller.agent, place_of(caller))
    chain = await diary.signing.describe(caller.agent)
    return WhoamiResult(
        agent=known.agent,
        groups=known.groups,
        counts=Counts(**known.counts),
        version=version("diary-mcp"),
        backends=Backends(database=diary.backends.database, permissions=diary.backends.permissions),
        signing=Signing(
            sequence=chain.sequence,
            head=chain.hash,
            keys=list(chain.keys),
            key=chain.key,
            problem=chain.problem,
        ),
    )


def show_version(
    entry: Entry, past: EntryVersion, start: int = 0, diary: str | None = None
) -> EntryResult:
    """An entry as it was at an earlier version, from the character `start` on.

    Raises:
        InvalidArgumentError: there is no such character.
    """
    content, next_from = _part(past.content, start)
    then = entry.model_copy(
        update={
            "type": past.type,
            "title": past.title,
            "tags": past.tags,
            "importance": past.importance,
        }
    )
    shown = _shown(
        then,
        diary,
        version=past.version,
        created_at=None if entry.created_at == entry.date else entry.created_at,
        updated_at=None if past.updated_at == entry.created_at else past.updated_at,
    )
    return _result(shown, content, next_from)


def _result(
    shown: dict[str, object], content: str, next_from: int | None, share: Share | None = None
) -> EntryResult:
    shown["content"] = content
    shown["next_from"] = next_from
    shown["shared_by"] = None if share is None else share.granted_by
    shown["expires_at"] = None if share is None else share.expires_at
    shown["note"] = None if share is None else share.note
    return EntryResult.of_checked(shown)


def _part(content: str, start: int) -> tuple[str, int | None]:
    """The part of a content that begins at a character, and where the next one begins."""
    if start >= len(content):
        raise InvalidArgumentError(
            f"from {start} is beyond the end: the content has "
            f"{counted(len(content), 'character')}, counted from 0. Leave from out to read it "
            "from the beginning."
        )
    end = start + MAX_PART_CHARACTERS
    return content[start:end], end if end < len(content) else None


def _shown(
    entry: EntryFields,
    diary: str | None,
    *,
    version: int | None,
    created_at: datetime | None = None,
    updated_at: datetime | None = None,
    signature: Literal["signed", "pending", "none"] | None = None,
) -> dict[str, object]:
    """The fields of `ShownEntry`, in their order."""
    is_own = entry.role == "owner"
    return {
        "id": entry.id,
        "key": entry.key,
        "untrusted": None if is_own else untrusted(entry.owner),
        "diary": diary,
        "owner": None if is_own else entry.owner,
        "role": None if is_own else "viewer",
        "author": None if entry.author == entry.owner else entry.author,
        "session": entry.session,
        "type": entry.type,
        "title": entry.title or None,
        "tags": entry.tags or None,
        "importance": None if entry.importance == DEFAULT_IMPORTANCE else entry.importance,
        "supersedes": entry.supersedes or None,
        "superseded_by": entry.superseded_by,
        "version": version,
        "date": entry.date,
        "created_at": created_at,
        "updated_at": updated_at,
        "sharing": _pending(entry.sharing),
        "signature": signature,
    }


def _listed(entry: EntrySummary, diary: str | None, most_characters: int) -> dict[str, object]:
    state = entry.signature.state
    shown = _shown(
        entry,
        diary,
        version=None if entry.version == 1 else entry.version,
        signature=None if state == "signed" else state,
    )
    shown["snippet"] = _cut(_without_title(entry.snippet, entry.title), most_characters)
    return shown


def _without_title(snippet: str, title: str | None) -> str:
    """The snippet on one line, without a heading that only repeats the title."""
    first, _, rest = snippet.lstrip().partition("\n")
    repeats = title and first.strip("# \t\r") == title.strip()
    return " ".join((rest if repeats else snippet).split())


def _cut(text: str, most_characters: int) -> str:
    if len(text) <= most_characters:
        return text
    return text[: most_characters - 1].rstrip() + "…"


def _pending(sharing: Sharing) -> Literal["pending"] | None:
    return "pending" if sharing == "pending" else None
