"""What a permission workflow does: it settles what is left, and mostly nothing is.

Entries are settled at once by whoever changes them, and their workflows only look whether that is
so. To run one takes DBOS twenty times as long as the look, so one that runs looks for others that
wait as well, and where all is settled these end, as if they had run.
"""

from collections.abc import Awaitable, Callable, Sequence

from diary_mcp.domain.errors import UnavailableError
from diary_mcp.service.ports.permissions import PermissionWriter
from diary_mcp.service.ports.settlement import WaitingStore
from diary_mcp.service.ports.workflows import RelatedId
from diary_mcp.service.sharing.settlement import is_settled

_AT_ONCE = 50


class CommonLook:
    """Settles for a workflow, and looks for the others. One of those that run at once does that."""

    def __init__(
        self,
        settle: Callable[[Sequence[RelatedId]], Awaitable[None]],
        store: WaitingStore,
        writer: PermissionWriter,
    ) -> None:
        self._settle = settle
        self._store = store
        self._writer = writer
        self._looks = False

    async def settle(self, ids: Sequence[RelatedId]) -> None:
        """Settles these where they are not, and raises what settling raises."""
        if await self._are_settled_with_others(ids):
            return
        if not await is_settled(ids, self._store, self._writer):
            await self._settle(ids)

    async def _are_settled_with_others(self, ids: Sequence[RelatedId]) -> bool:
        if self._looks:
            return False
        self._looks = True
        try:
            # They are listed first: what their changes have made of the rows is looked at then.
            others = await self._store.list_waiting(_AT_ONCE)
            looked_at = list(dict.fromkeys([*ids, *(other.entry_id for other in others)]))
            if not others or not await is_settled(looked_at, self._store, self._writer):
                return False
            await self._store.end_waiting(others)
        except UnavailableError:
            return False  # of so many, one answer may be missing where these have theirs
        finally:
            self._looks = False
        return True
