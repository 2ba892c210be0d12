"""The indexing workflow, registered with DBOS on a queue of its own.

It has no arguments: a run indexes whatever is not indexed. It begins with a pause, in which a
transaction that found it waiting commits, and a burst of writes comes together.
"""

import asyncio
from collections.abc import Awaitable, Callable

from dbos import DBOS

from diary_mcp.service.ports.workflows import INDEXING_WORKFLOW

_PAUSE_S = 0.2


def register_indexing(index: Callable[[str], Awaitable[None]]) -> None:
    """Registers the workflow; `index` runs for the workflow with that id."""

    @DBOS.step(name="index")
    async def index_step() -> None:
        await asyncio.sleep(_PAUSE_S)
        await index(DBOS.workflow_id or "")

    async def indexing_workflow() -> None:
        await index_step()

    # However often processes die under it, it is never given up.
    DBOS.workflow(name=INDEXING_WORKFLOW, max_recovery_attempts=None)(indexing_workflow)
