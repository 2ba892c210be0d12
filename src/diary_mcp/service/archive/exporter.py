"""Giving out every entry of an owner, page by page."""

from collections.abc import AsyncGenerator, Sequence

from diary_mcp.domain.fields import AgentName, EntryId
from diary_mcp.domain.version import EntryRecord, EntryVersion
from diary_mcp.service.chain.proofs import with_proofs
from diary_mcp.service.ports.entries import EntryPosition, EntryReference
from diary_mcp.service.ports.store import Store

_PAGE_SIZE = 100


class EntryExport:
    """One run of an export for one owner."""

    def __init__(self, store: Store, owner: AgentName) -> None:
        self._store = store
        self._owner = owner

    async def list_references(self) -> Sequence[EntryReference]:
        """The names of all entries, in no order."""
        async with self._store.reading() as rows:
            return await rows.archive.list_references(self._owner)

    async def list_earlier_versions(self, entry_id: EntryId) -> Sequence[EntryVersion]:
        """What the entry said before its present version."""
        async with self._store.reading() as rows:
            return await rows.archive.list_earlier_versions(entry_id)

    async def pages(self) -> AsyncGenerator[Sequence[EntryRecord]]:
        """Every entry, newest `date` first; no connection is held between pages."""
        position: EntryPosition | None = None
        while True:
            async with self._store.reading() as rows:
                stored = await rows.archive.list_stored(self._owner, position, _PAGE_SIZE)
                page = await with_proofs(rows.chain, self._owner, stored)
            if not page:
                return
            yield page
            position = EntryPosition(page[-1].date, page[-1].id)
