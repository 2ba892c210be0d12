"""Chores of the queue: what puts work on it that no call puts there. Without DBOS."""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

import structlog

from diary_mcp.domain.errors import DatabaseUnavailableError
from diary_mcp.workflows.loop import end_tasks
from diary_mcp.workflows.ports import RuntimeStore, Work

_log: structlog.stdlib.BoundLogger = structlog.get_logger()


@dataclass(frozen=True)
class ChoreIntervals:
    """How often each is done, in seconds, whatever else the process begins and ends meanwhile."""

    sweep_s: float = 20
    housekeeping_s: float = 3600
    first_housekeeping_s: float = 30


_DEFAULT_INTERVALS = ChoreIntervals()
# One connection does for both.
_AFTER_SWEEP_S = 1


@asynccontextmanager
async def queue_chores(
    store: RuntimeStore, work: Work, intervals: ChoreIntervals = _DEFAULT_INTERVALS
) -> AsyncGenerator[None]:
    """Does each as soon as it is due, for as long as the block runs; a first sweep at once."""
    async with in_background(*_chores(store, work, intervals)):
        yield


@asynccontextmanager
async def in_background(*chores: Coroutine[None, None, None]) -> AsyncGenerator[None]:
    """Runs the chores beside the block. They never end, and never raise."""
    tasks = [asyncio.create_task(chore) for chore in chores]
    try:
        yield
    finally:
        await end_tasks(tasks)


def _chores(
    store: RuntimeStore, work: Work, intervals: ChoreIntervals
) -> Iterator[Coroutine[None, None, None]]:
    repeat = partial(_repeat, store.chores_due)
    yield repeat("sweep", store.sweep.sweep, intervals.sweep_s)
    if work.indexer is not None:
        request = work.indexer.request_if_waiting
        yield repeat("indexing", request, intervals.sweep_s, after_s=_AFTER_SWEEP_S)
    yield repeat(
        "housekeeping",
        store.housekeeping.tidy,
        intervals.housekeeping_s,
        after_s=intervals.first_housekeeping_s,
    )


async def _repeat(
    due: dict[str, float],
    chore: str,
    run: Callable[[], Awaitable[int]],
    interval_s: float,
    *,
    after_s: float = 0,
) -> None:
    due.setdefault(chore, time.monotonic() + after_s)
    while True:
        await asyncio.sleep(due[chore] - time.monotonic())
        try:
            count = await run()
        except DatabaseUnavailableError as error:
            _log.warning("chore.put_off", chore=chore, reason=str(error))
        except Exception:  # noqa: BLE001  # a chore must outlive its own mistakes
            _log.exception("chore.failed", chore=chore)
        else:
            if count:
                _log.info("chore.done", chore=chore, count=count)
        due[chore] = time.monotonic() + interval_s
