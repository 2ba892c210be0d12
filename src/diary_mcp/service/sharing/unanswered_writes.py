"""A second look at what was written to the permission backend and not answered.

The backend, or the network before it, may do such a write late, after others have settled the
entry. Nothing on its row tells of that, so the process that sent it looks at the entry again once
the write can no longer be on its way.
"""

import time
from collections.abc import Awaitable, Callable, Sequence

from diary_mcp.domain.errors import (
    LocksLostError,
    PermissionRefusedError,
    UnansweredWriteError,
    UnavailableError,
)
from diary_mcp.service.ports.workflows import RelatedId

_AFTER_S = 60.0


class SecondLooks:
    """Settles, and remembers for as long as the process lives what has to be settled again."""

    def __init__(
        self,
        settle: Callable[[Sequence[RelatedId]], Awaitable[None]],
        *,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settle = settle
        self._now = now
        self._due_at: dict[RelatedId, float] = {}

    async def settle(self, ids: Sequence[RelatedId]) -> None:
        """Settles these, and raises what settling raises."""
        due = set(ids).intersection(self.list_due())
        try:
            await self._settle(ids)
        except (UnansweredWriteError, LocksLostError):
            self._due_at |= dict.fromkeys(ids, self._now() + _AFTER_S)
            raise
        except UnavailableError:
            raise
        except PermissionRefusedError:
            self._forget(due)
            raise
        self._forget(due)

    def list_due(self) -> list[RelatedId]:
        """What has to be settled again by now."""
        now = self._now()
        return [each for each, due_at in self._due_at.items() if due_at <= now]

    def _forget(self, ids: set[RelatedId]) -> None:
        for each in ids:
            self._due_at.pop(each, None)
