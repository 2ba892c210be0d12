"""Removing agents and groups from PostgreSQL."""

from collections.abc import Mapping
from typing import LiteralString

from psycopg.rows import args_row, class_row

from diary_mcp.domain.fields import AgentName, Grantee, RemovalId
from diary_mcp.domain.relations import group_of
from diary_mcp.service.ports.agents import Holdings, Raised
from diary_mcp.store.database import Connection, fetch_flag
from diary_mcp.store.sql import load_queries

_SQL = load_queries("removal")
_REVOKE_TOKENS = load_queries("token")["revoke_tokens"]


class PostgresRemovals:
    """`RemovalWriter` on the connection of a unit of work."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def hold(self, grantee: Grantee) -> bool:
        statement = _SQL["hold_agent" if group_of(grantee) is None else "hold_group"]
        return await fetch_flag(self._connection, statement, {"grantee": grantee})

    async def list_holdings(self, agent: AgentName, *, with_diaries: bool) -> Holdings:
        # By a statement of its own: what is waited for may put an entry in.
        await self._connection.execute(_SQL["hold_diaries"], {"agent": agent})
        cursor = self._connection.cursor(row_factory=class_row(Holdings))
        await cursor.execute(_SQL["list_holdings"], {"agent": agent, "with_diaries": with_diaries})
        return await cursor.fetchone() or Holdings(0, [])

    async def delete_entries(self, agent: AgentName, limit: int) -> list[Raised]:
        return await self._raised(_SQL["delete_entries"], {"agent": agent, "limit": limit})

    async def delete_diaries(self, agent: AgentName) -> list[Raised]:
        return await self._raised(_SQL["delete_diaries"], {"agent": agent})

    async def take_shares_back(self, grantee: Grantee, limit: int) -> list[Raised]:
        return await self._raised(_SQL["take_shares_back"], {"grantee": grantee, "limit": limit})

    async def take_roles_back(self, grantee: Grantee, limit: int) -> list[Raised]:
        return await self._raised(_SQL["take_roles_back"], {"grantee": grantee, "limit": limit})

    async def remove(self, grantee: Grantee) -> RemovalId:
        named = {"grantee": grantee}
        if group_of(grantee) is None:
            # Revoked first, for the audit trail.
            await self._connection.execute(_REVOKE_TOKENS, {"agent": grantee})
            for statement in ("delete_tokens", "delete_chain", "delete_requests", "delete_agent"):
                await self._connection.execute(_SQL[statement], named)
        else:
            await self._connection.execute(_SQL["delete_group"], named)
        cursor = self._connection.cursor(row_factory=args_row(RemovalId))
        await cursor.execute(_SQL["insert_removal"], named)
        (removal_id,) = await cursor.fetchall()
        return removal_id

    async def _raised(
        self, statement: LiteralString, parameters: Mapping[str, object]
    ) -> list[Raised]:
        cursor = self._connection.cursor(row_factory=class_row(Raised))
        await cursor.execute(statement, parameters)
        return await cursor.fetchall()
