"""Tasks of one loop: ending them for certain."""

import asyncio
from collections.abc import Iterable

_HEARD_WITHIN_S = 0.2


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
