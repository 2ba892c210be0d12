"""The audit trail in PostgreSQL. It is only read here: the tables write it themselves."""

from psycopg.rows import class_row

from diary_mcp.domain.audit import AuditEvent
from diary_mcp.domain.fields import AgentName, EntryId
from diary_mcp.store.database import Database
from diary_mcp.store.sql import load_queries

_SQL = load_queries("audit")


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
