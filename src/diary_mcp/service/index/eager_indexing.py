"""Indexing at once what this process has just committed, beside the queue.

The workflow is the promise, as it is of settling. But it comes when DBOS is there, and a session
that ends soon after it has written would leave the vectors to the next one, which may be as short.
"""

import asyncio
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager

import anyio
import structlog

from diary_mcp.service.activity import Activity
from diary_mcp.service.index.indexer import EntryIndexer

_log: structlog.stdlib.BoundLogger = structlog.get_logger()

# Who ends a server by a signal kills it after half a second; closing all takes the rest.
_LAST_S = 0.25
# Who closes stdin waits two seconds before the first signal.
_UNHURRIED_S = 1.0


class EagerIndexing:
    """Indexes soon after a commit, while no other process is there to do it."""

    def __init__(self, indexer: EntryIndexer, activity: Activity) -> None:
        self._indexer = indexer
        self._activity = activity
        self._is_needed = asyncio.Event()
        self._is_left_to_others = asyncio.Event()
        self.written = asyncio.Event()
        """Set with each commit that leaves something to index."""
        self._has_written = False

    def needed(self) -> AbstractContextManager[None]:
        """While the block runs, this process indexes."""
        return _while_set(self._is_needed)

    def left_to_others(self) -> AbstractContextManager[None]:
        """While the block runs, another process does, with one model for all."""
        return _while_set(self._is_left_to_others)

    async def run(self) -> None:
        """Indexes what was written since this began, until it is cancelled."""
        while True:
            await self.written.wait()
            self._has_written = True
            await self._is_needed.wait()
            self.written.clear()
            await self._index()

    async def finish(self, hurried: anyio.Event) -> None:
        """At the end of the process: a moment for what waits, where the model is there already.

        For what this process has written the model is loaded, too, unless somebody is `hurried` or
        it turns out that another process does it.
        """
        self._activity.end()
        has_written = self._has_written or self.written.is_set()
        is_unhurried = has_written and not hurried.is_set()
        if not is_unhurried and not (self._is_needed.is_set() and self._indexer.is_warm):
            return
        with anyio.move_on_after(_UNHURRIED_S if is_unhurried else _LAST_S) as patience:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._hurry, patience, hurried)
                tasks.start_soon(self._leave_to_others, patience)
                await self._is_needed.wait()
                await self._index()
                await self._indexer.wait_until_idle()
                tasks.cancel_scope.cancel()

    async def _hurry(self, patience: anyio.CancelScope, hurried: anyio.Event) -> None:
        await hurried.wait()
        left_s = _LAST_S if self._indexer.is_warm else 0
        patience.deadline = min(patience.deadline, anyio.current_time() + left_s)

    async def _leave_to_others(self, patience: anyio.CancelScope) -> None:
        await self._is_left_to_others.wait()
        patience.cancel()

    async def _index(self) -> None:
        try:
            await self._indexer.index_at_once()
        except Exception:  # noqa: BLE001  # neither a session nor its end may fail by it
            _log.exception("indexing.failed")


@contextmanager
def _while_set(event: asyncio.Event) -> Generator[None]:
    event.set()
    try:
        yield
    finally:
        event.clear()
