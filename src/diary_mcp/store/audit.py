"""The audit trail: who could see what, and since when. The tables write it themselves."""

from typing import Literal

from psycopg.rows import class_row

from diary_mcp.domain.diaries import DiaryRole
from diary_mcp.domain.fields import AgentName, DiaryId, EntryId, Grantee, Model, Time
from diary_mcp.domain.scopes import TokenScope
from diary_mcp.domain.tokens import TokenId
from diary_mcp.service.ports.audit import Giving, GivingKind
from diary_mcp.store.database import Connection, Database
from diary_mcp.store.sql import load_queries

_SQL = load_queries("audit")


class AuditEvent(Model, frozen=True):
    """One share, role or token that came or went; ids and names, never what somebody wrote."""

    id: int
    happened_at: Time
    event: GivingKind | Literal["token_issued", "token_revoked", "agent_removed", "group_removed"]
    agent: AgentName
    entry_id: EntryId | None
    grantee: Grantee | None
    expires_at: Time | None
    diary_id: DiaryId | None
    role: DiaryRole | None
    token_id: TokenId | None
    scopes: list[TokenScope] | None


async def list_audit_events(
    database: Database, *, agent: AgentName | None, entry_id: EntryId | None, limit: int
) -> list[AuditEvent]:
    """The latest events that concern the agent or the entry, the oldest of them first.

    Raises:
        DatabaseUnavailableError: PostgreSQL gives no answer in time.
    """
    async with database.connection() as connection:
        cursor = connection.cursor(row_factory=class_row(AuditEvent))
        await cursor.execute(
            _SQL["list_audit_events"], {"agent": agent, "entry_id": entry_id, "limit": limit}
        )
        return await cursor.fetchall()


class PostgresAudit:
    """`AuditReader` on one connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def list_given(self, agent: AgentName, before: int | None, limit: int) -> list[Giving]:
        cursor = self._connection.cursor(row_factory=class_row(Giving))
        await cursor.execute(_SQL["list_given"], {"agent": agent, "before": before, "limit": limit})
        return await cursor.fetchall()
