"""Settling directly what has waited for too long, whoever owns its workflow.

The net under everything else. Whatever keeps a workflow from being run (its owner is stopped, or
unreachable and not known to be dead; the queue is full, or not polled; a clock was set), settling
is idempotent and locked, so doing it once more here does no harm. The workflow stays, and finds
nothing left to do.
"""

from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta

import anyio
import structlog

from diary_mcp.domain.errors import (
    LocksLostError,
    PermissionBackendUnavailableError,
    PermissionRefusedError,
    UnavailableError,
)
from diary_mcp.service.ports.settlement import OverdueStore
from diary_mcp.service.ports.workflows import RelatedId

_log = structlog.get_logger()

OVERDUE = timedelta(minutes=2)
_INTERVAL_S = 30.0
_PER_ROUND = 500
# Their locks are held meanwhile.
_AT_ONCE = 25


class OverdueSettlement:
    """Settles what is overdue, for as long as `run` does."""

    def __init__(
        self,
        settle: Callable[[Sequence[RelatedId]], Awaitable[None]],
        store: OverdueStore,
        *,
        list_due: Callable[[], Sequence[RelatedId]] = tuple,
        is_all_settled: Callable[[], bool] = lambda: False,
        overdue: timedelta = OVERDUE,
        interval_s: float = _INTERVAL_S,
    ) -> None:
        """Settles by `settle` what `store` says is overdue.

        `list_due` names what has to be settled again though its row says that it is settled.
        `is_all_settled` says whether somebody has just seen that the store has nothing overdue.
        """
        self._settle = settle
        self._store = store
        self._list_due = list_due
        self._is_all_settled = is_all_settled
        self._overdue = overdue
        self._interval_s = interval_s
        self._again: set[RelatedId] = set()
        """Entries whose locks were lost: what was written has to be looked at once more."""

    async def run(self) -> None:
        """Settles again and again, until it is cancelled."""
        while True:
            await anyio.sleep(self._interval_s)
            try:
                if count := await self.settle_overdue():
                    _log.warning("settling.overdue", entries=count)
            except UnavailableError as error:
                _log.info("settling.overdue_put_off", reason=str(error))
            except Exception:  # noqa: BLE001  # it must outlive its own mistakes
                _log.exception("settling.failed")

    async def settle_overdue(self) -> int:
        """Settles what is overdue now; how many entries that were.

        One that cannot be settled does not keep the others.

        Raises:
            PermissionBackendUnavailableError: the backend gives no usable answer.
            DatabaseUnavailableError: PostgreSQL gives no answer.
        """
        waiting = {*self._again, *self._list_due()[:_PER_ROUND]}
        if not self._is_all_settled():
            waiting.update(await self._store.list_overdue(self._overdue, _PER_ROUND))
        entry_ids = list(waiting)
        settled = 0
        for start in range(0, len(entry_ids), _AT_ONCE):
            batch = entry_ids[start : start + _AT_ONCE]
            if await self._try(batch):
                settled += len(batch)
            else:
                settled += sum([await self._try([entry_id]) for entry_id in batch])
        return settled

    async def _try(self, entry_ids: Sequence[RelatedId]) -> bool:
        try:
            await self._settle(entry_ids)
        except PermissionRefusedError:
            pass  # kept on the entry
        except PermissionBackendUnavailableError:
            raise
        except LocksLostError:
            self._again.update(entry_ids)
            return False
        except UnavailableError as error:
            # Locked by somebody for longer than PostgreSQL waits, or PostgreSQL is away.
            _log.info("settling.overdue_waits", entries=len(entry_ids), reason=str(error))
            return False
        self._again.difference_update(entry_ids)
        return True
