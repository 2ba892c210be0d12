"""Indexing as a step does it: search must never be what stops a workflow."""

import asyncio
from typing import Protocol

import structlog

from diary_mcp.domain.errors import DatabaseUnavailableError, UnavailableError

_log: structlog.stdlib.BoundLogger = structlog.get_logger()

_PAUSE_S = 1.0
_ATTEMPTS = 60


class Indexer(Protocol):
    """What the runtime needs to keep the search index up to date."""

    async def index_waiting(self) -> int:
        """Indexes everything that is not; how much that was."""
        ...

    async def request_if_waiting(self) -> int:
        """Puts the workflow on the queue if anything is left to index; how many, 1 or 0."""
        ...


async def index_with_retries(indexer: Indexer) -> None:
    """Indexes, waiting out a PostgreSQL that does not answer.

    Without a model it ends: the sweep asks again.
    """
    for _ in range(_ATTEMPTS):
        try:
            await indexer.index_waiting()
        except DatabaseUnavailableError as error:
            _log.info("indexing.waits", reason=str(error))
            await asyncio.sleep(_PAUSE_S)
        except UnavailableError as error:
            _log.warning("indexing.without_model", reason=str(error))
            return
        else:
            return
