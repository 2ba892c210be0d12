"""Giving out every entry of an owner, page by page."""

from collections.abc import AsyncGenerator, Sequence
from datetime import datetime

from diary_mcp.domain.fields import AgentName, EntryId
from diary_mcp.domain.version import EntryRecord, EntryVersion
from diary_mcp.service.chain.proofs import with_proofs
from diary_mcp.service.ports.archive import TitledReference
from diary_mcp.service.ports.entries import EntryPosition
from diary_mcp.service.ports.store import Store

_PAGE_SIZE = 100


class EntryExport:
    """One run of an export for one owner."""

    def __init__(self, store: Store, owner: AgentName) -> None:
        self._store = store
        self._owner = owner

    async def list_references(self) -> Sequence[TitledReference]:
        """The names of all entries, in no order."""
        async with self._store.reading() as rows:
            return await rows.archive.list_references(self._owner)

    async def list_earlier_versions(self, entry_id: EntryId) -> Sequence[EntryVersion]:
        """What the entry said before its present version."""
        async with self._store.reading() as rows:
            return await rows.archive.list_earlier_versions(entry_id)

    async def remember(self, path: str, began_at: datetime) -> None:
        """Lets an import know that the files of this folder stand for the entries."""
        async with self._store.unit_of_work() as unit:
            await unit.archive.remember_export(self._owner, path, began_at)

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
