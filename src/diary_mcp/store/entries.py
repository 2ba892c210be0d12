"""Entries in PostgreSQL: as they are, as they were, by what they begin with, and by words.

Changes are announced through LISTEN and NOTIFY.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from functools import cache
from typing import Final, LiteralString, cast
from unicodedata import normalize
from uuid import UUID

from psycopg import Notify, errors
from psycopg.rows import args_row, class_row, scalar_row
from psycopg.types.json import Json

from diary_mcp.domain.diaries import MAIN
from diary_mcp.domain.entry import MAX_SNIPPET_CHARACTERS, Entry, EntryFilters, EntrySummary
from diary_mcp.domain.errors import ConflictError
from diary_mcp.domain.fields import AgentName, DiaryId, EntryId, Grantee, as_entry_id
from diary_mcp.domain.version import EntryRecord, EntryVersion, SearchText, VersionSummary
from diary_mcp.service.ports.entries import (
    Announcement,
    EntryCounts,
    EntryPosition,
    EntryReference,
    Place,
    Reach,
    Readership,
    TagCount,
)
from diary_mcp.service.ports.search import Candidates, SharedWords
from diary_mcp.store.database import Connection, connect, fetch_count, fetch_flag
from diary_mcp.store.failures import translate_errors
from diary_mcp.store.packed_arrays import Texts
from diary_mcp.store.sql import load_queries

_SQL = load_queries("entry")
_HISTORY_SQL = load_queries("history")
_SUGGESTION_SQL = load_queries("suggestion")
_SIMILAR_SQL = load_queries("similar")
_ANNOUNCEMENT_SQL = load_queries("announcement")
_IN_PLACE: Final = "diary.lies_in(entry.diary_id, entry.owner, %(diary)s, %(main_of)s)"
_IN_REACH: Final = """(
    entry.owner = %(owner)s
    or entry.diary_id = any(%(diaries)s::uuid [])
    or entry.id = any(%(entries)s::uuid [])
    or (entry.diary_id is null and entry.owner = any(%(mains)s::text []))
)"""
_EVERYTHING: Final = EntryFilters(scope="all")
_FORMS: Final = ("NFC", "NFD")
_READERS: Final = "diary_reader"
_QUIET_S = 20


class PostgresEntries:
    """`EntryReader` and `EntryWriter` on one connection."""

    def __init__(self, connection: Connection, *, wants_signature: bool = False) -> None:
        self._connection = connection
        self._wants_signature = wants_signature

    async def find(self, reader: Readership, reference: str) -> Entry | None:
        cursor = self._connection.cursor(row_factory=class_row(Entry))
        await cursor.execute(
            _SQL["find_entry"],
            {
                **reader_parameters(reader),
                "id": as_entry_id(reference),
                # Releases before kept letters as they came.
                "keys": [reference, *(normalize(form, reference) for form in _FORMS)],
            },
        )
        return await cursor.fetchone()

    async def was_owned_by(self, agent: AgentName, entry_id: EntryId) -> bool:
        return await fetch_flag(
            self._connection, _SQL["was_owned_by"], {"owner": agent, "id": entry_id}
        )

    async def list_page(
        self, reader: Readership, filters: EntryFilters, after: EntryPosition | None, limit: int
    ) -> list[EntrySummary]:
        cursor = self._connection.cursor(row_factory=class_row(EntrySummary))
        await cursor.execute(
            _list_statement(reader, filters, after),
            {
                **reader_parameters(reader),
                **filter_parameters(filters),
                **_after(after),
                "limit": limit,
                "snippet": MAX_SNIPPET_CHARACTERS,
            },
        )
        return await cursor.fetchall()

    async def list_tags(
        self, owner: AgentName, where: Place | Reach | None, prefix: str, limit: int
    ) -> list[TagCount]:
        cursor = self._connection.cursor(row_factory=class_row(TagCount))
        asked = {"owner": owner, "prefix": prefix, "limit": limit, **within_parameters(where)}
        await cursor.execute(within(_SQL["list_tags"], where), asked)
        return await cursor.fetchall()

    async def count(self, owner: AgentName, place: Place | None = None) -> EntryCounts:
        cursor = self._connection.cursor(row_factory=class_row(EntryCounts))
        await cursor.execute(_SQL["count_entries"], {"caller": owner, **place_parameters(place)})
        counts = await cursor.fetchone()
        return counts or EntryCounts(entries=0, shared=0)

    async def insert(self, record: EntryRecord) -> EntryId | None:
        try:
            inserted = await self._connection.execute(
                _SQL["insert_entry"],
                {**columns(record), "wants_signature": self._wants_signature},
            )
            if record.key is not None:
                # It may be refused; all others need not be waited for.
                await inserted.fetchone()
        except errors.UniqueViolation as error:
            raise _conflict(error, record) from error
        if record.supersedes:
            await self.supersede(record.id, record.supersedes)
        if record.key is None:
            return None
        cursor = self._connection.cursor(row_factory=args_row(EntryId))
        await cursor.execute(
            _SQL["link_waiting_source"],
            {"id": record.id, "owner": record.owner, "key": record.key},
        )
        return await cursor.fetchone()

    async def update(self, previous: Entry, revised: Entry) -> bool:
        is_updated = await fetch_flag(
            self._connection,
            _SQL["update_entry"],
            {
                **columns(revised),
                "previous_version": previous.version,
                "wants_signature": self._wants_signature,
            },
        )
        if not is_updated:
            return False
        await self._connection.execute(
            _SQL["keep_version"],
            columns(previous),
        )
        return True

    async def supersede(self, newer: EntryId, older: Sequence[EntryId]) -> None:
        cursor = self._connection.cursor(row_factory=args_row(EntryId))
        await cursor.execute(_SQL["supersede"], {"newer": newer, "older": list(older)})
        refused = set(older) - set(await cursor.fetchall())
        if refused:
            raise ConflictError(
                f"Entry {min(refused)} is already superseded, or comes after the one that is to "
                "supersede it; read it with diary_get and supersede the entry that its "
                "`superseded_by` names."
            )

    async def would_leave_superseded(self, entry_id: EntryId, diary_id: DiaryId | None) -> bool:
        parameters = {"id": entry_id, "diary_id": diary_id}
        return await fetch_flag(self._connection, _SQL["would_leave_superseded"], parameters)

    async def move(self, entry_id: EntryId, diary_id: DiaryId | None) -> None:
        await self._connection.execute(_SQL["move_entry"], {"id": entry_id, "diary_id": diary_id})
        await self._connection.execute(_SQL["part_entries"], {"id": entry_id})

    async def delete(self, entry_id: EntryId) -> None:
        await self._connection.execute(_SQL["delete_entry"], {"id": entry_id})
        await self._connection.execute(_SQL["bury_entry"], {"id": entry_id})

    async def raise_generation(self, entry_id: EntryId, owner: AgentName) -> int | None:
        return await fetch_count(
            self._connection, _SQL["raise_generation"], {"id": entry_id, "owner": owner}
        )


class PostgresHistory:
    """`HistoryReader` on one connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def list_versions(self, entry_id: EntryId, limit: int) -> list[VersionSummary]:
        cursor = self._connection.cursor(row_factory=class_row(VersionSummary))
        await cursor.execute(_HISTORY_SQL["list_versions"], {"entry_id": entry_id, "limit": limit})
        return await cursor.fetchall()

    async def find_version(self, entry_id: EntryId, version: int) -> EntryVersion | None:
        cursor = self._connection.cursor(row_factory=class_row(EntryVersion))
        await cursor.execute(
            _HISTORY_SQL["find_version"], {"entry_id": entry_id, "version": version}
        )
        return await cursor.fetchone()


class PostgresSuggestions:
    """`SuggestionReader` on one connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def suggest_entries(
        self, owner: AgentName, place: Place | None, prefix: str, limit: int
    ) -> list[EntryReference]:
        cursor = self._connection.cursor(row_factory=class_row(EntryReference))
        asked = {"owner": owner, "prefix": prefix, "limit": limit, **place_parameters(place)}
        await cursor.execute(_SUGGESTION_SQL["suggest_entries"], asked)
        return await cursor.fetchall()

    async def suggest_sessions(
        self, owner: AgentName, place: Place | None, prefix: str, limit: int
    ) -> list[str]:
        cursor = self._connection.cursor(row_factory=scalar_row)
        asked = {"owner": owner, "prefix": prefix, "limit": limit, **place_parameters(place)}
        await cursor.execute(_SUGGESTION_SQL["suggest_sessions"], asked)
        return [str(session) for session in await cursor.fetchall()]

    async def suggest_tags(
        self, owner: AgentName, place: Place | None, prefix: str, limit: int
    ) -> list[str]:
        cursor = self._connection.cursor(row_factory=scalar_row)
        asked = {"owner": owner, "prefix": prefix, "limit": limit, **place_parameters(place)}
        await cursor.execute(_SUGGESTION_SQL["suggest_tags"], asked)
        return [str(tag) for tag in await cursor.fetchall()]

    async def suggest_names(self, prefix: str, limit: int) -> list[str]:
        cursor = self._connection.cursor(row_factory=scalar_row)
        await cursor.execute(_SUGGESTION_SQL["suggest_names"], {"prefix": prefix, "limit": limit})
        return [str(name) for name in await cursor.fetchall()]


class PostgresSimilar:
    """`SimilarReader` on one connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def list_candidates(
        self,
        owner: AgentName,
        diary_id: DiaryId | None,
        before: EntryId,
        counts: Mapping[str, int],
        rarest: Sequence[str],
        *,
        fewest: int,
    ) -> Candidates:
        cursor = self._connection.cursor(row_factory=args_row(_candidate))
        await cursor.execute(
            _SIMILAR_SQL["list_candidates"],
            {
                "owner": owner,
                "diary": diary_id,
                "before": before,
                "counts": Json(counts),
                "rarest": list(rarest),
                "fewest": fewest,
            },
        )
        found = Candidates([], [])
        for each in await cursor.fetchall():
            if isinstance(each, SharedWords):
                found.indexed.append(each)
            else:
                found.unindexed.append(each)
        return found


class PostgresAnnouncements:
    """`Announcer` on a connection of its own."""

    def __init__(self, database_url: str) -> None:
        self._database_url = database_url

    @asynccontextmanager
    async def listen(self) -> AsyncGenerator[AsyncIterator[Announcement]]:
        async with connect(self._database_url, longest_wait_s=_QUIET_S) as connection:
            await connection.execute(_ANNOUNCEMENT_SQL["listen"])
            # Who leaves between two announcements waits for no third.
            async with aclosing(_announcements(connection)) as announcements:
                yield announcements


def columns(entry: EntryRecord | Entry) -> dict[str, object]:
    """An entry as statements take it."""
    source_keys = list(entry.source_keys or ()) if isinstance(entry, EntryRecord) else []
    diary_id = entry.diary_id if isinstance(entry, EntryRecord) else entry.diary and entry.diary.id
    return {
        **vars(entry),
        "tags": list(entry.tags),
        "source_keys": source_keys or None,
        "diary_id": diary_id,
    }


def reader_parameters(reader: Readership) -> dict[str, object]:
    """The reader as every reading statement takes it."""
    return {
        "caller": reader.caller,
        "grantees": Texts([reader.caller, *reader.groups]),
        **place_parameters(reader.place),
    }


def place_parameters(place: Place | None) -> dict[str, object]:
    """The diary that is looked into, as `diary.lies_in` takes it; any, where none is named."""
    if place is None:
        return {"diary": None, "main_of": None}
    return {"diary": place.id, "main_of": place.owner if place.name == MAIN else None}


def within(statement: LiteralString, where: Place | Reach | None) -> LiteralString:
    """A statement about an owner's entries, about those of a diary or of all within reach."""
    match where:
        case None:
            return statement
        case Place():
            wanted = _IN_PLACE
        case Reach():
            wanted = _IN_REACH
    for entry in ("e", "older"):
        statement = statement.replace(
            f"{entry}.owner = %(owner)s", wanted.replace("entry.", f"{entry}.")
        )
    return statement.replace("superseded.owner = %(owner)s\n        and ", "")


def within_parameters(where: Place | Reach | None) -> dict[str, object]:
    """What a statement takes that `within` has made."""
    if not isinstance(where, Reach):
        return place_parameters(where)
    return {
        **place_parameters(None),
        "diaries": list(where.diaries),
        "mains": list(where.mains),
        "entries": list(where.entries),
    }


def filter_parameters(filters: EntryFilters) -> dict[str, object]:
    """The filters as every reading statement takes them."""
    return {
        **filters.model_dump(exclude={"scope", "diary"}),
        "mine": filters.scope in {"mine", "all"},
        "shared": filters.scope in {"shared", "all"},
    }


def _candidate(
    entry_id: EntryId,
    title: str | None,
    words: int | None,
    shared_terms: int,
    shared_words: int,
    *unindexed: *tuple[AgentName, str, str, list[str], int],
) -> SharedWords | SearchText:
    if words is not None:
        return SharedWords(entry_id, title, words, shared_terms, shared_words)
    owner, author, content, tags, version = unindexed
    return SearchText(
        id=entry_id,
        owner=owner,
        author=author,
        title=title,
        content=content,
        tags=tags,
        version=version,
    )


def _after(position: EntryPosition | None) -> dict[str, object]:
    return {"after_date": position and position.date, "after_id": position and position.id}


@cache
def _listing_everything() -> LiteralString:
    """The first page of everything, in which no value leaves anything out.

    With these as parameters PostgreSQL takes it that hardly anything passes, and its kept plan
    reads all that the reader owns; or it plans the statement each time, which takes it longer than
    the list.
    """
    statement = _SQL["list_entries"]
    for name in ("mine", "shared", "include_superseded"):
        statement = statement.replace(f"%({name})s", "true")
    for name in (*filter_parameters(_EVERYTHING), *place_parameters(None), *_after(None)):
        statement = statement.replace(f"%({name})s", "null")
    return cast("LiteralString", statement)


def _list_statement(
    reader: Readership, filters: EntryFilters, after: EntryPosition | None
) -> LiteralString:
    """What PostgreSQL plans once, where no filter or diary makes another plan worth having."""
    if filters.scope == "mine" and filters.include_superseded:
        return _SQL["list_own_entries"]
    is_first_page_of_all = reader.place is None and after is None
    if is_first_page_of_all and filters.model_copy(update={"diary": None}) == _EVERYTHING:
        return _listing_everything()
    return _SQL["list_entries"]


async def _announcements(connection: Connection) -> AsyncGenerator[Announcement]:
    with translate_errors():
        while True:
            async with aclosing(connection.notifies(timeout=_QUIET_S)) as notifications:
                async for notification in notifications:
                    yield _announcement(notification)
            # Whoever only listens does not notice that nobody is there any more.
            await connection.execute(_ANNOUNCEMENT_SQL["ask"])


def _announcement(notification: Notify) -> Announcement:
    if notification.channel == _READERS:
        return Announcement(None, Grantee(notification.payload))
    entry_id, _, reader = notification.payload.partition(" ")
    return Announcement(EntryId(UUID(entry_id)), Grantee(reader) if reader else None)


def _conflict(error: errors.UniqueViolation, record: EntryRecord) -> ConflictError:
    match error.diag.constraint_name:
        case "entry_key_is_unique_per_owner":
            return ConflictError(
                f"You already have an entry with the key {record.key!r}; read it with diary_get, "
                "change it with diary_update, or choose another key."
            )
        case _:
            return ConflictError("An entry with this id exists already; try again.")
