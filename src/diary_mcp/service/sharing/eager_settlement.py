"""Settling at once what this process has just committed, beside the queue.

The promise is the workflow, which was committed with the rows and settles them whatever happens
here. But the queue is polled, and a poll costs the same whether there is work or not: because
what is shared gets settled here within a few hundredths of a second, the queue need not be asked
ten times a second. Nobody waits for this. What fails, is cut off, or comes before it runs, is
left to the workflow.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence

import anyio
import structlog

from diary_mcp.domain.errors import (
    DatabaseUnavailableError,
    PermissionRefusedError,
    UnavailableError,
)
from diary_mcp.service.ports.workflows import RelatedId
from diary_mcp.service.telemetry import NO_TELEMETRY, Telemetry

_log = structlog.get_logger()

# Changes that come together are settled together; of a burst, more of them, because what settles
# competes with the calls that come next. A client that writes one entry after the other makes a
# burst of changes that come one by one.
_GATHER_S = 0.03
_GATHER_BURST_S = 0.15
_BURST_S = 0.3
_AT_ONCE = 50
_MAX_WAITING = 500
_PAUSE_S = 2.0


class EagerSettlement:
    """Settles entries soon after their change was committed, for as long as `run` does."""

    def __init__(
        self,
        settle: Callable[[Sequence[RelatedId]], Awaitable[None]],
        telemetry: Telemetry = NO_TELEMETRY,
        *,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settle = settle
        self._telemetry = telemetry
        self._now = now
        self._waiting: dict[RelatedId, str | None] = {}
        """With the trace of each change."""

        self.noted = asyncio.Event()
        """Set with each change, which leaves work to the queue; whoever waits for it clears it."""

        self._arrived = anyio.Event()
        self._is_running = False

    def committed(self, entry_ids: Sequence[RelatedId]) -> None:
        """Takes note of a change, unless there are too many already; never waits."""
        self.noted.set()
        if self._is_running and len(self._waiting) + len(entry_ids) <= _MAX_WAITING:
            self._waiting |= dict.fromkeys(entry_ids, self._telemetry.trace_parent)
            self._arrived.set()

    async def run(self) -> None:
        """Settles what was committed since this began, until it is cancelled."""
        self._is_running = True
        burst_until = float("-inf")
        try:
            while True:
                await self._arrived.wait()
                in_burst = self._now() < burst_until
                await anyio.sleep(_GATHER_BURST_S if in_burst else _GATHER_S)
                try:
                    await self._settle_some()
                except Exception:  # noqa: BLE001  # it must outlive its own mistakes
                    _log.exception("settling.failed")
                burst_until = self._now() + _BURST_S
        finally:
            self._is_running = False
            self._waiting.clear()

    async def _settle_some(self) -> None:
        entry_ids = list(self._waiting)[:_AT_ONCE]
        traces = {self._waiting.pop(entry_id) for entry_id in entry_ids}
        # A span is part of one trace; what is settled for several belongs to none of them.
        parent = traces.pop() if len(traces) == 1 else None
        if not self._waiting:
            self._arrived = anyio.Event()
        attributes = {"diary.entries": len(entry_ids)}
        try:
            with self._telemetry.span("diary.settle_at_once", attributes, parent=parent):
                await self._settle(entry_ids)
        except PermissionRefusedError:
            pass  # kept on the entry
        except UnavailableError as error:
            if _is_of_the_database(error):
                # Locked by a process that sleeps, perhaps, whose claims keep the workflows waiting
                # too; or locks were lost, and nobody else knows of what was written without them.
                _log.info("settling.again", entries=len(entry_ids), reason=str(error))
                self.committed(entry_ids)
            else:
                # The workflows wait it out, one by one; here it would only be asked once more.
                _log.info("settling.left_to_workflows", entries=len(entry_ids), code=error.code)
                self._waiting.clear()
                self._arrived = anyio.Event()
            await anyio.sleep(_PAUSE_S)


def _is_of_the_database(error: UnavailableError) -> bool:
    # The embedded backend tells of it in its own words: its tuples lie there, and are locked by
    # whoever writes them.
    return isinstance(error, DatabaseUnavailableError) or isinstance(
        error.__cause__, DatabaseUnavailableError
    )
