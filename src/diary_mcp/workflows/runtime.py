"""The workflow runtime of one process: DBOS, its sign of life, and the chores of the queue.

Several processes share one database all the time, and none of them is in charge. Each runs work
from the queue, takes over what dead ones leave, and does whatever chore nobody else is at.
"""

import asyncio
import threading
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from uuid import uuid4

import anyio
import anyio.to_thread
import structlog

from diary_mcp.domain.errors import DatabaseUnavailableError
from diary_mcp.service.ports.workflows import (
    INDEXING_QUEUE,
    PERMISSION_QUEUES,
    SIGNATURE_QUEUE,
    PollRates,
)
from diary_mcp.service.telemetry import NO_TELEMETRY, Telemetry
from diary_mcp.workflows.chores import ChoreIntervals, in_background, queue_chores
from diary_mcp.workflows.dbos_process import PACES, DbosProcess
from diary_mcp.workflows.loop import ApplicationLoop
from diary_mcp.workflows.ports import Executor, RuntimeStore, Work
from diary_mcp.workflows.retrying import DEFAULT_RETRIES, RetryPolicy
from diary_mcp.workflows.workflows import Workflows

_log: structlog.stdlib.BoundLogger = structlog.get_logger()


@dataclass(frozen=True)
class Intervals(ChoreIntervals):
    """How often the runtime does what it does, in seconds; `poll_rates` for the queues."""

    poll_rates: PollRates = PACES
    takeover_s: float = 1
    orphaned_after_s: float = 15
    reconnect_s: float = 0.2
    stop_s: float = 1


DEFAULT_INTERVALS = Intervals()
_ENDING = "dbos-destroy"
# DBOS waits ten seconds for each of its threads.
_LONGEST_END_S = 120


@asynccontextmanager
async def workflow_runtime(
    dbos: DbosProcess,
    store: RuntimeStore,
    work: Work,
    *,
    retries: RetryPolicy = DEFAULT_RETRIES,
    intervals: Intervals = DEFAULT_INTERVALS,
    telemetry: Telemetry = NO_TELEMETRY,
) -> AsyncGenerator[str]:
    """Runs workflows for as long as the block runs; gives the id of this executor.

    One at a time in a process, as often as wanted one after the other. At the end nothing is
    waited for: work that is not finished goes back on the queue, for the others or for the next
    start.

    Raises:
        DatabaseUnavailableError: PostgreSQL gives no answer; trying again is right.
    """
    await _wait_for_the_last()
    executor_id = str(uuid4())
    loop = ApplicationLoop()
    workflows = Workflows(work, loop, retries, telemetry)
    launch = partial(
        dbos.launch,
        executor_id,
        intervals.poll_rates.idle,
        workflows.register,
        queues=_queues(work),
    )
    # The sign of life comes first: work that this executor claims must never look abandoned.
    async with store.executors.living(executor_id) as executor:
        try:
            await anyio.to_thread.run_sync(launch)
            alive = _stay_alive(executor, loop, intervals)
            async with in_background(alive), queue_chores(store, work, intervals):
                yield executor_id
        finally:
            with anyio.CancelScope(shield=True):
                await _stop(dbos, executor, loop, intervals)


def _queues(work: Work) -> list[str]:
    return [
        *PERMISSION_QUEUES,
        *([] if work.indexer is None else [INDEXING_QUEUE]),
        *([] if work.expire is None else [SIGNATURE_QUEUE]),
    ]


async def _stay_alive(executor: Executor, loop: ApplicationLoop, intervals: Intervals) -> None:
    while True:
        try:
            await _rescue(executor, loop, intervals)
            if poll_rate := await executor.poll_rate(intervals.poll_rates):
                _log.info("queue.paced", poll_rate=poll_rate)
            await executor.watch(intervals.takeover_s)
        except DatabaseUnavailableError as error:
            _log.warning("executor.silent", reason=str(error))
            await _announce_again(executor, intervals)
        except Exception:  # noqa: BLE001  # a chore must outlive its own mistakes
            _log.exception("executor.failed")
            await asyncio.sleep(intervals.takeover_s)


async def _rescue(executor: Executor, loop: ApplicationLoop, intervals: Intervals) -> None:
    """Puts back what nobody runs: work of the dead, and own work that DBOS has dropped.

    It drops what it cannot record the end of, as when PostgreSQL restarts at that moment.
    """
    if unreadable := await executor.end_unreadable():
        _log.error("workflow.row_refused", workflows=unreadable)
    orphaned = await executor.hand_back(running=loop.running, after_s=intervals.orphaned_after_s)
    taken_over = await executor.take_over()
    if orphaned or taken_over:
        _log.info("executor.rescued", orphaned=orphaned, taken_over=taken_over)


async def _announce_again(executor: Executor, intervals: Intervals) -> None:
    while True:
        try:
            await executor.announce()
        except DatabaseUnavailableError:
            await asyncio.sleep(intervals.reconnect_s)
        else:
            _log.info("executor.alive_again")
            return


async def _wait_for_the_last() -> None:
    """Until what ran in this process before has ended; it would take along what is launched now."""
    for thread in threading.enumerate():
        if thread.name == _ENDING:
            await anyio.to_thread.run_sync(thread.join, _LONGEST_END_S, abandon_on_cancel=True)
            if thread.is_alive():
                raise DatabaseUnavailableError(
                    "The workflows that ran in this process before have not ended yet, as happens"
                    " while PostgreSQL gives no answer. Try again later, or in a new process."
                )


async def _stop(
    dbos: DbosProcess, executor: Executor, loop: ApplicationLoop, intervals: Intervals
) -> None:
    """Stops claiming, calls off what runs, and goes silent only when no step runs any more.

    With PostgreSQL away, DBOS goes on trying and may never end; its threads are left behind then.
    """
    with anyio.move_on_after(intervals.stop_s):
        await _destroy_in_thread(dbos).wait()
    with anyio.move_on_after(intervals.stop_s), suppress(DatabaseUnavailableError):
        await loop.stop()
        await executor.hand_back(running=loop.running, after_s=0)


def _destroy_in_thread(dbos: DbosProcess) -> asyncio.Event:
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()

    def destroy() -> None:
        dbos.destroy()
        with suppress(RuntimeError):  # the loop did not wait
            loop.call_soon_threadsafe(ended.set)

    threading.Thread(target=destroy, name=_ENDING, daemon=True).start()
    return ended
