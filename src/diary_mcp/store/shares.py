"""Shares in PostgreSQL."""

from datetime import datetime

from psycopg.rows import args_row, class_row

from diary_mcp.domain.entry import Share
from diary_mcp.domain.fields import AgentName, EntryId, Grantee
from diary_mcp.service.ports.entries import Readership
from diary_mcp.service.ports.shares import Given, SharePosition
from diary_mcp.store.agents import look_for_grantee
from diary_mcp.store.database import Connection, fetch_flag
from diary_mcp.store.entries import reader_parameters
from diary_mcp.store.sql import load_queries

_SQL = load_queries("share")
_ENTRY_SQL = load_queries("entry")


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

    async def give(
        self,
        entry_id: EntryId,
        owner: AgentName,
        grantee: Grantee,
        expires_at: datetime | None,
        note: str | None,
    ) -> Given:
        wanted = {
            "entry_id": entry_id,
            "grantee": grantee,
            "expires_at": expires_at,
            "note": note,
        }
        # Nothing is fetched before all of it is sent.
        known = await look_for_grantee(self._connection, grantee)
        generation = self._connection.cursor(row_factory=args_row(int))
        await generation.execute(_ENTRY_SQL["raise_generation"], {"id": entry_id, "owner": owner})
        await self._connection.execute(_SQL["put_share"], wanted)
        share = self._connection.cursor(row_factory=class_row(Share))
        await share.execute(_SQL["find_share"], wanted)
        groups = self._connection.cursor(row_factory=args_row(int))
        await groups.execute(_SQL["count_group_shares"], {"entry_id": entry_id})
        return Given(
            is_known=await known.fetchone() is not None,
            generation=await generation.fetchone(),
            share=await share.fetchone(),
            groups=await groups.fetchone() or 0,
        )

    async def remove(self, entry_id: EntryId, grantee: Grantee) -> bool:
        return await fetch_flag(
            self._connection, _SQL["remove_share"], {"entry_id": entry_id, "grantee": grantee}
        )
