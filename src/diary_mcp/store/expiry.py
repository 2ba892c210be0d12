"""The expiry of shares and roles: the one place that carries it out, and takes it back."""

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

from psycopg.rows import class_row, scalar_row

from diary_mcp.domain.fields import Grantee
from diary_mcp.service.ports.workflows import PermissionChange, PermissionWorkflow, RelatedId
from diary_mcp.store.database import Connection
from diary_mcp.store.sql import load_queries
from diary_mcp.store.workflow_queue import DbosQueue, batches_of_a_change

_SQL = load_queries("expiry")

_RevokeAndGrant = tuple[PermissionWorkflow, PermissionWorkflow]


class _Expiry(NamedTuple):
    id: RelatedId
    generation: int
    grantee: Grantee
    expired: bool


async def carry_out_expiry(connection: Connection, limit: int) -> int:
    """Marks shares that have expired, and asks for the workflows that settle their entries.

    Nothing is deleted: once the clock is right again, so is what was done under a wrong one.

    Returns:
        How many entries had such a share; at most `limit`.
    """
    return await _carry_out(connection, limit, "share", ("revoke_viewer", "grant_viewer"))


async def carry_out_role_expiry(connection: Connection, limit: int) -> int:
    """The same of roles; how many diaries had one that has expired."""
    workflows: _RevokeAndGrant = ("revoke_diary_role", "grant_diary_role")
    return await _carry_out(connection, limit, "role", workflows)


async def _carry_out(
    connection: Connection, limit: int, kind: Literal["share", "role"], workflows: _RevokeAndGrant
) -> int:
    revoke, grant = workflows
    cursor = connection.cursor(row_factory=scalar_row)
    await cursor.execute(_SQL[f"lock_expiring_{kind}s"], {"limit": limit})
    ids = await cursor.fetchall()
    if not ids:
        return 0
    changed = connection.cursor(row_factory=class_row(_Expiry))
    await changed.execute(_SQL[f"carry_out_{kind}_expiry"], {"ids": ids})
    expiries = await changed.fetchall()
    queue = DbosQueue(connection)
    gone = [expiry for expiry in expiries if expiry.expired]
    back = [expiry for expiry in expiries if not expiry.expired]
    for change in (*_changes(revoke, gone), *_changes(grant, back)):
        await queue.enqueue(change)
    return len(ids)


def _changes(
    workflow: PermissionWorkflow, expiries: Sequence[_Expiry]
) -> Iterator[PermissionChange]:
    """Several to a change: what was shared together expires together."""
    for batch in batches_of_a_change(expiries):
        grantees = {expiry.grantee for expiry in batch}
        yield PermissionChange(
            workflow,
            tuple(expiry.id for expiry in batch),
            batch[0].generation,
            grantee=grantees.pop() if len(grantees) == 1 else None,
        )
