"""Entries as import and export see them, in PostgreSQL."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from psycopg import errors
from psycopg.rows import args_row, class_row, tuple_row

from diary_mcp.domain.errors import ConflictError
from diary_mcp.domain.fields import AgentName, EntryId, as_entry_id
from diary_mcp.domain.version import EntryRecord, EntryVersion
from diary_mcp.service.ports.archive import Claim, Supersession, TitledReference
from diary_mcp.service.ports.entries import EntryPosition, EntryReference
from diary_mcp.store.database import Connection, fetch_flag
from diary_mcp.store.entries import columns
from diary_mcp.store.sql import load_queries

_SQL = load_queries("archive")
_ENTRY_SQL = load_queries("entry")


class PostgresArchive:
    """`ArchiveReader` and `ArchiveWriter` on one connection."""

    def __init__(self, connection: Connection, *, wants_signature: bool = False) -> None:
        self._connection = connection
        self._wants_signature = wants_signature

    async def find_stored(
        self,
        owner: AgentName,
        *,
        keys: Collection[str] = (),
        ids: Collection[EntryId] = (),
        keyless_hashes: Collection[str] = (),
    ) -> list[EntryRecord]:
        cursor = self._connection.cursor(row_factory=class_row(EntryRecord))
        await cursor.execute(
            _SQL["find_stored"],
            {
                "owner": owner,
                "keys": list(keys),
                "ids": list(ids),
                "hashes": list(keyless_hashes),
            },
        )
        return await cursor.fetchall()

    async def find_taken_ids(self, ids: Collection[EntryId]) -> set[EntryId]:
        if not ids:
            return set()
        cursor = self._connection.cursor(row_factory=args_row(EntryId))
        await cursor.execute(_SQL["find_taken_ids"], {"ids": list(ids)})
        return set(await cursor.fetchall())

    async def list_stored(
        self, owner: AgentName, after: EntryPosition | None, limit: int
    ) -> list[EntryRecord]:
        cursor = self._connection.cursor(row_factory=class_row(EntryRecord))
        await cursor.execute(
            _SQL["list_stored"],
            {
                "owner": owner,
                "after_date": after and after.date,
                "after_id": after and after.id,
                "limit": limit,
            },
        )
        return await cursor.fetchall()

    async def list_references(self, owner: AgentName) -> list[TitledReference]:
        cursor = self._connection.cursor(row_factory=class_row(TitledReference))
        await cursor.execute(_SQL["list_references"], {"owner": owner})
        return await cursor.fetchall()

    async def list_earlier_versions(self, entry_id: EntryId) -> list[EntryVersion]:
        cursor = self._connection.cursor(row_factory=class_row(EntryVersion))
        await cursor.execute(_SQL["list_earlier_versions"], {"id": entry_id})
        return await cursor.fetchall()

    async def find_exports(
        self, owner: AgentName, paths: Collection[str]
    ) -> Mapping[str, datetime]:
        cursor = self._connection.cursor(row_factory=tuple_row)
        await cursor.execute(_SQL["find_exports"], {"owner": owner, "paths": list(paths)})
        return dict(await cursor.fetchall())

    async def remember_export(self, owner: AgentName, path: str, exported_at: datetime) -> None:
        await self._connection.execute(
            _SQL["remember_export"], {"owner": owner, "path": path, "exported_at": exported_at}
        )

    async def insert_many(self, records: Sequence[EntryRecord]) -> None:
        wanted = {"wants_signature": self._wants_signature}
        rows = [{**columns(record), **wanted} for record in records]
        try:
            # Asked for their results, they are waited for, and fail here.
            await self._connection.cursor().executemany(
                _ENTRY_SQL["insert_entry"], rows, returning=True
            )
        except errors.UniqueViolation as error:
            raise _changed_meanwhile() from error

    async def lock(self, entry_ids: Collection[EntryId]) -> None:
        await self._connection.execute(_SQL["lock_entries"], {"ids": list(entry_ids)})

    async def replace(self, previous: EntryRecord, revised: EntryRecord) -> None:
        is_replaced = await fetch_flag(
            self._connection,
            _ENTRY_SQL["update_entry"],
            {
                **columns(revised),
                "previous_version": previous.version,
                "wants_signature": self._wants_signature,
            },
        )
        if not is_replaced:
            raise _changed_meanwhile()
        await self._connection.execute(_SQL["set_source"], columns(revised))
        await self._connection.execute(
            _SQL["release_superseded"], {"id": revised.id, "kept": list(revised.supersedes)}
        )
        await self._connection.execute(_ENTRY_SQL["keep_version"], columns(previous))

    async def list_claims(self, owner: AgentName) -> list[Claim]:
        cursor = self._connection.cursor(row_factory=class_row(Claim))
        await cursor.execute(_SQL["list_claims"], {"owner": owner})
        return await cursor.fetchall()

    async def find_superseded_by_nothing(
        self, owner: AgentName, names: Collection[str]
    ) -> list[EntryReference]:
        ids = [entry_id for entry_id in map(as_entry_id, names) if entry_id is not None]
        cursor = self._connection.cursor(row_factory=class_row(EntryReference))
        await cursor.execute(
            _SQL["find_superseded_by_nothing"],
            {"owner": owner, "names": list(names), "ids": ids},
        )
        return await cursor.fetchall()

    async def list_supersessions(self, owner: AgentName) -> list[Supersession]:
        cursor = self._connection.cursor(row_factory=class_row(Supersession))
        await cursor.execute(_SQL["list_supersessions"], {"owner": owner})
        return await cursor.fetchall()

    async def link(self, supersessions: Sequence[Supersession]) -> list[EntryId]:
        newer = [supersession.newer for supersession in supersessions]
        older = [supersession.older for supersession in supersessions]
        # Another transaction that supersedes or deletes one of them is waited for here, so that
        # the next statement sees what it did.
        await self.lock([*newer, *older])
        cursor = self._connection.cursor(row_factory=args_row(EntryId))
        await cursor.execute(_SQL["link_entries"], {"newer": newer, "older": older})
        return list(dict.fromkeys(await cursor.fetchall()))


def _changed_meanwhile() -> ConflictError:
    return ConflictError(
        "Entries that are being imported were changed by somebody else at the same time; run the "
        "import again."
    )
