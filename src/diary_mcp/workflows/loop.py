"""Work of workflows on the application's loop.

DBOS has a loop of its own in another thread, while the connections that the work uses belong to
the application's.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable

_HEARD_WITHIN_S = 0.2


class ApplicationLoop:
    """Runs work on the loop that this was made on, and knows which workflows it is for."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._workflow_ids: dict[asyncio.Task[None], str] = {}

    @property
    def running(self) -> Collection[str]:
        """Ids of the workflows that work at this moment."""
        return set(self._workflow_ids.values())

    async def run(self, workflow_id: str, work: Callable[[], Awaitable[None]]) -> None:
        """Does the work from whatever loop this is called on; ends when that is cancelled."""
        done = asyncio.run_coroutine_threadsafe(self._run_here(workflow_id, work), self._loop)
        await asyncio.wrap_future(done)

    async def stop(self) -> None:
        """Calls off what is running, and waits until it has let go of its locks."""
        await end_tasks(self._workflow_ids)

    async def _run_here(self, workflow_id: str, work: Callable[[], Awaitable[None]]) -> None:
        task = asyncio.current_task()
        assert task is not None, "a coroutine runs in a task"  # noqa: S101  # an invariant
        self._workflow_ids[task] = workflow_id
        try:
            await work()
        finally:
            del self._workflow_ids[task]


async def end_tasks(tasks: Iterable[asyncio.Task[None]]) -> None:
    """Cancels the tasks until all have ended; what they raise is told to nobody.

    Once is not enough: a cancellation that comes in the moment in which `asyncio.wait_for` has
    what it waited for is lost (Python 3.11), and psycopg_pool waits with it.
    """
    ending = list(tasks)
    while waiting := [task for task in ending if not task.done()]:
        for task in waiting:
            task.cancel()
        await asyncio.wait(waiting, timeout=_HEARD_WITHIN_S)
    await asyncio.gather(*ending, return_exceptions=True)
