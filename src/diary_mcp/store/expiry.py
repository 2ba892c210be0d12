"""The expiry of shares: the one place that carries it out, and takes it back."""

from dataclasses import dataclass

from psycopg.rows import class_row, scalar_row

from diary_mcp.domain.fields import EntryId, Grantee
from diary_mcp.service.ports.workflows import PermissionChange
from diary_mcp.store.database import Connection
from diary_mcp.store.sql import load_queries
from diary_mcp.store.workflow_queue import DbosQueue

_SQL = load_queries("expiry")


@dataclass(frozen=True)
class _Expiry:
    entry_id: EntryId
    generation: int
    grantee: Grantee
    expired: bool


async def carry_out_expiry(connection: Connection, limit: int) -> int:
    """Marks shares that have expired, and asks for the workflows that settle their entries.

    Nothing is deleted: once the clock is right again, so is what was done under a wrong one.

    Returns:
        How many entries had such a share; at most `limit`.
    """
    cursor = connection.cursor(row_factory=scalar_row)
    await cursor.execute(_SQL["lock_expiring"], {"limit": limit})
    entry_ids = await cursor.fetchall()
    changed = connection.cursor(row_factory=class_row(_Expiry))
    await changed.execute(_SQL["carry_out_expiry"], {"entry_ids": entry_ids})
    queue = DbosQueue(connection)
    for expiry in await changed.fetchall():
        await queue.enqueue(
            PermissionChange(
                "revoke_viewer" if expiry.expired else "grant_viewer",
                (expiry.entry_id,),
                expiry.generation,
                grantee=expiry.grantee,
            )
        )
    return len(entry_ids)
