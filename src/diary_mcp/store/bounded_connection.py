"""A connection to PostgreSQL on which neither side waits for ever (docs/time-limits.md)."""

import asyncio
import select
import sys
import time
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from functools import cached_property
from typing import TypeVar

import anyio
import psycopg
from psycopg import AsyncConnection, AsyncPipeline
from psycopg.abc import PQGen
from psycopg.generators import send
from psycopg.pq import PipelineStatus, TransactionStatus
from psycopg.pq.abc import PGconn

from diary_mcp.store.waiting import SocketWatch

Connection = AsyncConnection[tuple[object, ...]]

SURE_S = 5.0
"""For so long after an answer a connection is taken for alive."""

# Nothing is looked at in between.
_LONGEST_INTERVAL_S = 3600.0
_CALL_OFF_S = 1.0

_Answer = TypeVar("_Answer")


class _SyncedPipeline(AsyncPipeline):
    """Sends what was asked together with the sync that ends it, and not one by one.

    PostgreSQL counts for how long a transaction is idle from where it has answered a sync. After a
    statement alone, or the flush with which psycopg fetches a result, it waits for the next one for
    ever, and the transaction keeps its locks for as long as this process is stopped.
    """

    _failure: psycopg.Error | None = None

    def _communicate_gen(self) -> PQGen[None]:
        if self.command_queue and self.command_queue[-1] == self.pgconn.pipeline_sync:
            # psycopg's sends one after the other, and PostgreSQL wakes up for each.
            while self.command_queue:
                self.command_queue.popleft()()
            yield from send(self.pgconn)

    def _fetch_gen(self, *, flush: bool) -> PQGen[None]:
        if not flush:
            yield from super()._fetch_gen(flush=False)
        elif self.result_queue:
            yield from self._sync_gen()

    def _exit_gen(self) -> PQGen[None]:
        """Tells of the statement that failed; psycopg's tells of one that was skipped for it."""
        self._failure = None
        if self._is_at_rest():
            return
        self._enqueue_sync()
        for attempt in (self._communicate_gen(), self._fetch_gen(flush=False)):
            try:
                yield from attempt
            except psycopg.Error as error:
                self._failure = self._failure or error
        if self._failure is not None:
            raise self._failure

    def _is_at_rest(self) -> bool:
        """Whether the last sync has been answered, and nothing was asked since."""
        return (
            not self.command_queue
            and not self.result_queue
            and self.pgconn.pipeline_status == PipelineStatus.ON
            and self.pgconn.transaction_status != TransactionStatus.ACTIVE
        )

    def _exit(self, exc: BaseException | None) -> None:
        # A pipeline that is in no state to be left has a reason for that, which is to be told.
        super()._exit(exc or self._failure)


class BoundedConnection(AsyncConnection[tuple[object, ...]]):
    """A connection whose waits have an end, whatever has become of the other side.

    PostgreSQL ends the transaction of a process that sleeps.
    """

    longest_wait_s: float | None = None
    sure_s = 0.0
    """For so long after an answer it is taken for alive."""

    check_s = 0.0
    """How long it has to say so afterwards."""

    answered_at = 0.0
    """When PostgreSQL has answered last, by the monotonic clock."""

    @cached_property
    def _watch(self) -> SocketWatch:
        return SocketWatch()

    async def wait(
        self,
        gen: PQGen[_Answer],
        interval: float = 0.1,
        timeout: float | None = None,  # noqa: ASYNC109  # psycopg's
    ) -> _Answer:
        # The interval is there to let Ctrl-C through, and the event loop does that by itself.
        del interval
        if timeout is not None:
            return await super().wait(gen, _LONGEST_INTERVAL_S, timeout)
        try:
            answer = await self._attend(gen)
        except psycopg.OperationalError as error:
            _give_up_if_left_waiting(self.pgconn, error, self.longest_wait_s)
            raise
        finally:
            if self.closed:
                # Or the other end would not learn of it.
                self._watch.end()
        self.answered_at = time.monotonic()
        return answer

    async def commit(self) -> None:
        # At the end of every call; psycopg finds that there is nothing to do by way of a wait.
        if self.pgconn.transaction_status != TransactionStatus.IDLE:
            await super().commit()

    async def close(self) -> None:
        self._watch.end()
        await super().close()

    async def _attend(self, gen: PQGen[_Answer]) -> _Answer:
        """As psycopg waits, but that the socket stays registered with the loop."""
        if sys.platform == "win32":
            return await super().wait(gen, _LONGEST_INTERVAL_S, self.longest_wait_s)
        try:
            return await self._take_turns(gen)
        except OSError as error:
            raise psycopg.OperationalError("connection socket closed") from error
        except asyncio.CancelledError:
            if self.pgconn.transaction_status == TransactionStatus.ACTIVE:
                await self._call_off(gen)
            raise

    async def _take_turns(self, gen: PQGen[_Answer]) -> _Answer:
        loop, longest_s = asyncio.get_running_loop(), self.longest_wait_s
        until = None if longest_s is None else loop.time() + longest_s
        try:
            wanted = next(gen)
            while True:
                ready = await self._watch.wait(self.pgconn.socket, wanted, until)
                if not ready and until is not None and loop.time() >= until:
                    raise psycopg.OperationalError("no answer")
                wanted = gen.send(ready)
        except StopIteration as end:
            answer: _Answer = end.value
        await self._watch.rest()
        return answer

    async def _call_off(self, gen: PQGen[_Answer]) -> None:
        """Ends what PostgreSQL does for who has gone, or the connection."""
        try:
            # A scope that was cancelled cancels each wait in it, and this one too.
            with anyio.fail_after(_CALL_OFF_S, shield=True):
                await self.cancel_safe(timeout=_CALL_OFF_S)
                await super().wait(gen, _LONGEST_INTERVAL_S, _CALL_OFF_S)
        except psycopg.errors.QueryCanceled:
            return
        except BaseException:  # noqa: BLE001  # whatever it is, its state is not known
            self.pgconn.finish()

    @contextmanager
    def waiting_at_most(self, seconds: float) -> Generator[None]:
        """Waits for so long for an answer while the block runs."""
        usual_s, self.longest_wait_s = self.longest_wait_s, seconds
        try:
            yield
        finally:
            self.longest_wait_s = usual_s

    @asynccontextmanager
    async def pipeline(self) -> AsyncGenerator[AsyncPipeline]:
        self._pipeline = self._pipeline or _SyncedPipeline(self)
        async with super().pipeline() as pipeline:
            yield pipeline


class BoundedBlockingConnection(psycopg.Connection[tuple[object, ...]]):
    """The same for who does not await, without pipelines.

    Whoever only listens finds that nobody has notified, and listens again.
    """

    longest_wait_s: float | None = None
    answered_at = 0.0

    def wait(
        self, gen: PQGen[_Answer], interval: float = 0.1, timeout: float | None = None
    ) -> _Answer:
        if timeout is not None:
            return super().wait(gen, interval, timeout)
        try:
            answer = super().wait(gen, interval, self.longest_wait_s)
        except psycopg.OperationalError as error:
            _give_up_if_left_waiting(self.pgconn, error, self.longest_wait_s)
            raise
        self.answered_at = time.monotonic()
        return answer

    def seems_alive(self) -> bool:
        """Whether it has answered of late, and has not ended since; asks nobody."""
        return time.monotonic() - self.answered_at < SURE_S and is_quiet(self.fileno())


def is_quiet(socket: int) -> bool:
    """Whether there is nothing to read; where nothing was asked, that is an end, or a notice."""
    if sys.platform == "win32":
        return select.select([socket], [], [], 0)[0] == []
    poll = select.poll()
    poll.register(socket, select.POLLIN)
    return poll.poll(0) == []


def _give_up_if_left_waiting(
    pgconn: PGconn, error: psycopg.OperationalError, longest_wait_s: float | None
) -> None:
    if (
        error.sqlstate is None
        and not isinstance(error, psycopg.errors.PipelineAborted)
        and pgconn.transaction_status == TransactionStatus.ACTIVE
    ):
        # What comes later would be taken for the answer to something else.
        pgconn.finish()
        raise psycopg.OperationalError(f"no answer within {longest_wait_s} s") from error
