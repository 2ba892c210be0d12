"""The queue for a pool's connections, where silence bounds a wait, and not the queue's length."""

import time

import anyio
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from diary_mcp.store.connecting import Connection

# Far beyond what a queue that moves can take.
_NEVER_S = 24 * 3600.0
# All who wait are told that the queue moves, so not at every hand-over.
_TOLD_EVERY_S = 0.1


class PoolQueue:
    """Hands out a pool's connections in the order in which they were asked for.

    psycopg's limit counts from when a connection was asked for, so that the last of a burst of
    quick calls would be told that PostgreSQL is not answering. This one counts from when anybody
    was last given one.
    """

    def __init__(self, pool: AsyncConnectionPool[Connection], silence_s: float) -> None:
        self._pool = pool
        self._silence_s = silence_s
        self._waits: set[anyio.CancelScope] = set()
        self._told_at = time.monotonic()

    async def take(self) -> Connection:
        """A connection, to be given back to the pool.

        Raises:
            PoolTimeout: nobody was given one for as long as the limit is.
        """
        with anyio.move_on_after(self._silence_s) as wait:
            self._waits.add(wait)
            try:
                connection = await self._pool.getconn(_NEVER_S)
            finally:
                self._waits.remove(wait)
            self._tell_that_it_moves()
            return connection
        raise PoolTimeout(f"no connection became free for {self._silence_s:g} s")

    def _tell_that_it_moves(self) -> None:
        now = time.monotonic()
        if now - self._told_at < min(_TOLD_EVERY_S, self._silence_s):
            return
        self._told_at = now
        for wait in self._waits:
            wait.deadline = anyio.current_time() + self._silence_s
