"""Shares in PostgreSQL."""

from datetime import datetime

from psycopg.rows import args_row, class_row

from diary_mcp.domain.entry import Share
from diary_mcp.domain.fields import AgentName, EntryId, Grantee
from diary_mcp.service.ports.entries import Readership
from diary_mcp.service.ports.shares import SharePosition
from diary_mcp.store.database import Connection, fetch_count, fetch_flag
from diary_mcp.store.entries import reader_parameters
from diary_mcp.store.sql import load_queries

_SQL = load_queries("share")


class PostgresShares:
    """`ShareReader` and `ShareWriter` on one connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def may_reach(self, agent: AgentName) -> bool:
        return await fetch_flag(self._connection, _SQL["may_reach"], {"agent": agent})

    async def find_received(self, entry_id: EntryId, reader: Readership) -> Share | None:
        cursor = self._connection.cursor(row_factory=class_row(Share))
        await cursor.execute(
            _SQL["find_received_share"], {**reader_parameters(reader), "entry_id": entry_id}
        )
        return await cursor.fetchone()

    async def list_received(
        self, reader: Readership, since: datetime | None, limit: int
    ) -> list[Share]:
        cursor = self._connection.cursor(row_factory=class_row(Share))
        asked = {**reader_parameters(reader), "since": since, "limit": limit}
        await cursor.execute(_SQL["list_received_shares"], asked)
        return await cursor.fetchall()

    async def list_received_ids(self, reader: Readership) -> list[EntryId]:
        cursor = self._connection.cursor(row_factory=args_row(EntryId))
        await cursor.execute(_SQL["list_received_ids"], reader_parameters(reader))
        return await cursor.fetchall()

    async def list_page(
        self,
        owner: AgentName,
        entry_id: EntryId | None,
        after: SharePosition | None,
        limit: int,
    ) -> list[Share]:
        cursor = self._connection.cursor(row_factory=class_row(Share))
        await cursor.execute(
            _SQL["list_shares"],
            {
                "owner": owner,
                "entry_id": entry_id,
                "after_created_at": after and after.created_at,
                "after_entry_id": after and after.shared_id,
                "after_grantee": after and after.grantee,
                "limit": limit,
            },
        )
        return await cursor.fetchall()

    async def put(
        self, entry_id: EntryId, grantee: Grantee, expires_at: datetime | None, note: str | None
    ) -> Share:
        wanted = {
            "entry_id": entry_id,
            "grantee": grantee,
            "expires_at": expires_at,
            "note": note,
        }
        await self._connection.execute(_SQL["put_share"], wanted)
        cursor = self._connection.cursor(row_factory=class_row(Share))
        await cursor.execute(_SQL["find_share"], wanted)
        share = await cursor.fetchone()
        assert share is not None, "the transaction holds the entry"  # noqa: S101  # an invariant
        return share

    async def remove(self, entry_id: EntryId, grantee: Grantee) -> bool:
        return await fetch_flag(
            self._connection, _SQL["remove_share"], {"entry_id": entry_id, "grantee": grantee}
        )

    async def count_groups(self, entry_id: EntryId) -> int:
        count = await fetch_count(
            self._connection, _SQL["count_group_shares"], {"entry_id": entry_id}
        )
        return count or 0
