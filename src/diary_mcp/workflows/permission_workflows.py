"""The four permission workflows, registered with DBOS.

They differ in their names only: a name says what was asked, and each has the one step that makes
the permission backend agree with the rows as they are when it runs (docs/DBOS.md).
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import get_args
from uuid import UUID

from dbos import DBOS

from diary_mcp.domain.fields import EntryId
from diary_mcp.service.ports.workflows import PermissionWorkflow

SettleWorkflow = Callable[[str, Sequence[EntryId], str | None], Awaitable[None]]
"""Settles the entries for the workflow with that id, as part of that trace."""


def register_workflows(settle: SettleWorkflow) -> None:
    """Registers the workflows with DBOS; once for each `DBOS` instance, before its launch."""

    @DBOS.step(name="settle")
    async def settle_step(entry_ids: list[str], trace_parent: str | None) -> None:
        ids = [EntryId(UUID(text)) for text in entry_ids]
        await settle(DBOS.workflow_id or "", ids, trace_parent)

    for name in get_args(PermissionWorkflow):
        _register(name, settle_step)


def _register(name: str, settle_step: Callable[[list[str], str | None], Awaitable[None]]) -> None:
    async def permission_workflow(
        entry_ids: list[str],
        grantee: str | None = None,  # noqa: ARG001  # part of the wire format
        trace_parent: str | None = None,
    ) -> None:
        await settle_step(entry_ids, trace_parent)

    # However often processes die under it, it is never given up.
    DBOS.workflow(name=name, max_recovery_attempts=None)(permission_workflow)
