"""Agents, groups and answered requests in PostgreSQL."""

from difflib import SequenceMatcher

from psycopg import AsyncCursor
from psycopg.rows import class_row, scalar_row

from diary_mcp.domain.fields import AgentName, Grantee, GroupName
from diary_mcp.domain.relations import group_of
from diary_mcp.service.ports.entries import RememberedRequest
from diary_mcp.store.database import Connection, fetch_flag
from diary_mcp.store.sql import load_queries

_SQL = load_queries("agent")
_MAX_NAMES_COMPARED = 1_000


class PostgresAgents:
    """`AgentDirectory` and `RequestLog` on one connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def register(self, agent: AgentName) -> None:
        await self._connection.execute(_SQL["register_agent"], {"name": agent})

    async def exists(self, grantee: Grantee) -> bool:
        known = await look_for_grantee(self._connection, grantee)
        return await known.fetchone() is not None

    async def list_similar(self, grantee: Grantee, limit: int) -> list[Grantee]:
        cursor = self._connection.cursor(row_factory=scalar_row)
        await cursor.execute(_SQL["list_names"], {"limit": _MAX_NAMES_COMPARED})
        names = [Grantee(str(name)) for name in await cursor.fetchall()]
        matcher = SequenceMatcher(b=grantee)

        def similarity(name: Grantee) -> float:
            matcher.set_seq1(name)
            return matcher.ratio()

        return sorted(names, key=similarity, reverse=True)[:limit]

    async def add_group(self, group: GroupName) -> bool:
        """Adds a group without members; `False` where it is there already."""
        return await fetch_flag(self._connection, _SQL["insert_group"], {"name": group})

    async def list_agents(self) -> list[AgentName]:
        """Every agent, by name."""
        cursor = self._connection.cursor(row_factory=scalar_row)
        await cursor.execute(_SQL["list_agents"])
        return [AgentName(str(name)) for name in await cursor.fetchall()]

    async def list_groups(self) -> list[GroupName]:
        """Every group, by name."""
        cursor = self._connection.cursor(row_factory=scalar_row)
        await cursor.execute(_SQL["list_groups"])
        return [GroupName(str(name)) for name in await cursor.fetchall()]

    async def claim(
        self, agent: AgentName, key: str, request: RememberedRequest
    ) -> RememberedRequest:
        call = {"agent": agent, "key": key, **request._asdict()}
        # An insert that meets one in flight waits for its commit; the select then sees it.
        await self._connection.execute(_SQL["claim_request"], call)
        cursor = self._connection.cursor(row_factory=class_row(RememberedRequest))
        await cursor.execute(_SQL["find_request"], call)
        return await cursor.fetchone() or request


async def look_for_grantee(
    connection: Connection, grantee: Grantee
) -> AsyncCursor[tuple[object, ...]]:
    """Asks for the agent, or the group, of a name; a row is fetched where there is one."""
    group = group_of(grantee)
    statement = _SQL["agent_exists"] if group is None else _SQL["group_exists"]
    return await connection.execute(statement, {"name": group or grantee})
