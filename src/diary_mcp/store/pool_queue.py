"""The queue for a pool's connections, where silence bounds a wait, and not the queue's length."""

import time

import anyio
import psycopg
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from diary_mcp.store.connecting import Connection

# Far beyond what a queue that moves can take.
_NEVER_S = 24 * 3600.0
# All who wait are told that the queue moves, so not at every hand-over.
_TOLD_EVERY_S = 0.1
# After a failure the pool goes on trying for a few seconds, and then when it is asked.
_OF_LATE_S = 10.0


class TellingPool(AsyncConnectionPool[Connection]):
    """A pool that knows why it could not connect of late; psycopg's only logs it."""

    _failure: psycopg.Error | None = None
    _failed_at = float("-inf")

    @property
    def failure(self) -> psycopg.Error | None:
        """Of whatever attempt: others may have gone well since."""
        return self._failure if time.monotonic() - self._failed_at < _OF_LATE_S else None

    async def _connect(self, timeout: float | None = None) -> Connection:  # noqa: ASYNC109  # psycopg's
        try:
            return await super()._connect(timeout)
        except psycopg.Error as error:
            self._failure, self._failed_at = error, time.monotonic()
            raise


class PoolQueue:
    """Hands out a pool's connections in the order in which they were asked for.

    psycopg's limit counts from when a connection was asked for, so that the last of a burst of
    quick calls would be told that PostgreSQL is not answering. This one counts from when anybody
    was last given one.
    """

    def __init__(self, pool: TellingPool, silence_s: float) -> None:
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
        told = f"no connection became free for {self._silence_s:g} s"
        failure = self._pool.failure
        raise PoolTimeout(told if failure is None else f"{told}: {failure}") from failure

    def _tell_that_it_moves(self) -> None:
        now = time.monotonic()
        if now - self._told_at < min(_TOLD_EVERY_S, self._silence_s):
            return
        self._told_at = now
        for wait in self._waits:
            wait.deadline = anyio.current_time() + self._silence_s
