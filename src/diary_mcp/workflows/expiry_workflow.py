"""The workflow that removes a signature request nobody used, on a queue of its own.

It is enqueued with a delay, in the transaction that makes the request. One that was used, or
replaced, is not there any more; removing it twice does nothing.
"""

import asyncio
from collections.abc import Awaitable, Callable
from uuid import UUID

import structlog
from dbos import DBOS

from diary_mcp.domain.errors import DatabaseUnavailableError
from diary_mcp.service.ports.workflows import EXPIRY_WORKFLOW
from diary_mcp.workflows.loop import ApplicationLoop

_log: structlog.stdlib.BoundLogger = structlog.get_logger()

_PAUSE_S = 1.0
_ATTEMPTS = 600

Expire = Callable[[UUID], Awaitable[None]]
"""Removes the request if its time is up."""


def register_expiry(expire: Expire, loop: ApplicationLoop) -> None:
    """Registers the workflow; `expire` runs on the application's loop."""

    @DBOS.step(name="expire")
    async def expire_step(request_id: str) -> None:
        async def work() -> None:
            await expire_with_retries(UUID(request_id), expire)

        await loop.run(DBOS.workflow_id or "", work)

    async def expiry_workflow(request_id: str) -> None:
        await expire_step(request_id)

    # However often processes die under it, it is never given up.
    DBOS.workflow(name=EXPIRY_WORKFLOW, max_recovery_attempts=None)(expiry_workflow)


async def expire_with_retries(request_id: UUID, expire: Expire) -> None:
    """Removes the request, waiting out a PostgreSQL that does not answer.

    After ten minutes it ends: what has expired is not accepted, whether it is there or not, and
    the next request for the same entry takes its place.
    """
    for _ in range(_ATTEMPTS):
        try:
            await expire(request_id)
        except DatabaseUnavailableError as error:
            _log.info("expiry.waits", reason=str(error))
            await asyncio.sleep(_PAUSE_S)
        else:
            return
