"""Indexing at once what this process has just committed, beside the queue.

The workflow is the promise, as it is of settling. But it comes when DBOS is there, and a session
that ends soon after it has written would leave the vectors to the next one, which may be as short.
"""

import asyncio
from collections.abc import Generator
from contextlib import contextmanager

import anyio
import structlog

from diary_mcp.service.activity import Activity
from diary_mcp.service.index.indexer import EntryIndexer

_log: structlog.stdlib.BoundLogger = structlog.get_logger()

# Who ends a server kills it after half a second; closing all takes the rest.
_LAST_S = 0.25


class EagerIndexing:
    """Indexes soon after a commit, while no other process is there to do it."""

    def __init__(self, indexer: EntryIndexer, activity: Activity) -> None:
        self._indexer = indexer
        self._activity = activity
        self._is_needed = anyio.Event()
        self.written = asyncio.Event()
        """Set with each commit that leaves something to index."""

    @contextmanager
    def needed(self) -> Generator[None]:
        """While the block runs, this process indexes; otherwise another does, with one model."""
        self._is_needed.set()
        try:
            yield
        finally:
            self._is_needed = anyio.Event()

    async def run(self) -> None:
        """Indexes what was written since this began, until it is cancelled."""
        while True:
            await self.written.wait()
            await self._is_needed.wait()
            self.written.clear()
            try:
                await self._indexer.index_at_once()
            except Exception:  # noqa: BLE001  # it must outlive its own mistakes
                _log.exception("indexing.failed")

    async def finish(self) -> None:
        """At the end of the process: a moment for what waits, where the model is there already."""
        self._activity.end()
        if self._is_needed.is_set() and self._indexer.is_warm:
            with anyio.move_on_after(_LAST_S):
                await self._indexer.index_at_once()
                await self._indexer.wait_until_idle()
