"""The audit trail, as far as it is an agent's to know: what it gave, and what it was given."""

from diary_mcp.domain.fields import AgentName
from diary_mcp.service.entries.cursors import Cursors
from diary_mcp.service.entries.listing import Page
from diary_mcp.service.ports.audit import Giving
from diary_mcp.service.ports.store import Store


class TrailService:
    """Who shared what with whom."""

    def __init__(self, store: Store, cursors: Cursors) -> None:
        self._store = store
        self._cursors = cursors

    async def list_given(self, caller: AgentName, cursor: str | None, limit: int) -> Page[Giving]:
        """What the caller gave and was given under its own name, the latest first.

        How something ended that others gave is not told apart: an entry that was deleted and one
        that is not shared any more look the same to whoever could read it.

        Raises:
            InvalidArgumentError: the cursor is damaged, or another list's.
        """
        listing = f"given:{caller}"
        before = None if cursor is None else self._cursors.decode_number(cursor, listing)
        async with self._store.reading() as rows:
            found = await rows.audit.list_given(caller, before, limit + 1)
        shown = [_as_told_to(caller, each) for each in found[:limit]]
        if len(found) <= limit:
            return Page(shown, None)
        return Page(shown, self._cursors.encode_number(shown[-1].id, listing))


def _as_told_to(caller: AgentName, giving: Giving) -> Giving:
    if giving.agent == caller or giving.event in {"shared", "diary_transferred"}:
        return giving
    return giving.model_copy(update={"event": "unshared"})
