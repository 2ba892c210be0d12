"""Entries in PostgreSQL."""

from psycopg import errors
from psycopg.rows import args_row, class_row

from diary_mcp.domain.entry import Entry, EntryFilters, EntrySummary
from diary_mcp.domain.errors import ConflictError, NotFoundError
from diary_mcp.domain.fields import AgentName, EntryId, as_entry_id
from diary_mcp.service.ports.entries import (
    EntryCounts,
    EntryPosition,
    EntryRecord,
    Readership,
    TagCount,
)
from diary_mcp.store.database import Connection, fetch_count, fetch_flag
from diary_mcp.store.sql import load_queries

_SQL = load_queries("entry")
_SNIPPET_CHARACTERS = 240


class PostgresEntries:
    """`EntryReader` and `EntryWriter` on one connection."""

    def __init__(self, connection: Connection, *, wants_signature: bool = False) -> None:
        self._connection = connection
        self._wants_signature = wants_signature

    async def find(self, reader: Readership, reference: str) -> Entry | None:
        cursor = self._connection.cursor(row_factory=class_row(Entry))
        await cursor.execute(
            _SQL["find_entry"],
            {**reader_parameters(reader), "id": as_entry_id(reference), "key": reference},
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
            _SQL["list_entries"],
            {
                **reader_parameters(reader),
                **filter_parameters(filters),
                "after_date": after and after.date,
                "after_id": after and after.id,
                "limit": limit,
                "snippet": _SNIPPET_CHARACTERS,
            },
        )
        return await cursor.fetchall()

    async def list_tags(self, owner: AgentName, prefix: str, limit: int) -> list[TagCount]:
        cursor = self._connection.cursor(row_factory=class_row(TagCount))
        await cursor.execute(_SQL["list_tags"], {"owner": owner, "prefix": prefix, "limit": limit})
        return await cursor.fetchall()

    async def count(self, owner: AgentName) -> EntryCounts:
        cursor = self._connection.cursor(row_factory=class_row(EntryCounts))
        await cursor.execute(_SQL["count_entries"], {"caller": owner})
        counts = await cursor.fetchone()
        return counts or EntryCounts(entries=0, shared=0)

    async def insert(self, record: EntryRecord) -> EntryId | None:
        try:
            inserted = await self._connection.execute(
                _SQL["insert_entry"],
                {**columns(record), "wants_signature": self._wants_signature},
            )
            if record.key is not None or record.supersedes is not None:
                # It may be refused; all others need not be waited for.
                await inserted.fetchone()
        except errors.UniqueViolation as error:
            raise _conflict(error, record) from error
        except errors.ForeignKeyViolation as error:
            raise NotFoundError(
                "The entry that this one supersedes was deleted meanwhile; leave `supersedes` out."
            ) from error
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

    async def delete(self, entry_id: EntryId) -> None:
        await self._connection.execute(_SQL["delete_entry"], {"id": entry_id})
        await self._connection.execute(_SQL["bury_entry"], {"id": entry_id})

    async def raise_generation(self, entry_id: EntryId, owner: AgentName) -> int | None:
        return await fetch_count(
            self._connection, _SQL["raise_generation"], {"id": entry_id, "owner": owner}
        )


def columns(entry: EntryRecord | Entry) -> dict[str, object]:
    """An entry as statements take it."""
    return {**vars(entry), "tags": list(entry.tags)}


def reader_parameters(reader: Readership) -> dict[str, object]:
    """The reader as every reading statement takes it."""
    return {"caller": reader.caller, "grantees": [reader.caller, *reader.groups]}


def filter_parameters(filters: EntryFilters) -> dict[str, object]:
    """The filters as every reading statement takes them."""
    return {
        **filters.model_dump(exclude={"scope"}),
        "mine": filters.scope in {"mine", "all"},
        "shared": filters.scope in {"shared", "all"},
    }


def _conflict(error: errors.UniqueViolation, record: EntryRecord) -> ConflictError:
    match error.diag.constraint_name:
        case "entry_key_is_unique_per_owner":
            return ConflictError(
                f"You already have an entry with the key {record.key!r}; read it with diary_get, "
                "change it with diary_update, or choose another key."
            )
        case "entry_is_superseded_once":
            return ConflictError(
                f"Entry {record.supersedes} is already superseded; read it with diary_get and "
                "supersede the entry that its `superseded_by` names."
            )
        case _:
            return ConflictError("An entry with this id exists already; try again.")
