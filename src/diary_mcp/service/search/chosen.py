"""What one search reads of the entries of a large diary that it has chosen."""

import numpy as np

from diary_mcp.service.ports.outline import Standing, Within
from diary_mcp.service.ports.store import Store
from diary_mcp.service.search.cache import (
    NO_DOCUMENTS,
    Documents,
    Ids,
    as_flags,
    as_ids,
    join,
    unpack,
)
from diary_mcp.service.search.corpus import MAX_STEPS, Part
from diary_mcp.service.search.ranking import Flags


class ChosenEntries:
    """Which entries are where it is searched, and may be hits, with their documents.

    Each is asked about once, and of what changed since the outline was made, which is kept, no
    document is read.
    """

    def __init__(self, store: Store, within: Within, model: str | None, changed: Documents) -> None:
        self._store = store
        self._within = within
        self._model = model
        self._changed = changed
        self._read: list[Documents] = []
        self._asked = as_ids(b"")
        self.ids = as_ids(b"")
        self._eligible = as_flags(b"")
        self._superseded_by = as_ids(b"")

    async def ask(self, wanted: Ids) -> None:
        """Asks about those that were not asked about yet."""
        ids = np.setdiff1d(wanted, self._asked)
        if not len(ids):
            return
        self._asked = np.concatenate([self._asked, ids])
        kept = np.isin(ids, self._changed.ids)
        async with self._store.reading() as rows:
            if kept.any():
                known = ids[kept].tobytes()
                self._put(await rows.outlines.read_standing(self._within, known))
            if not kept.all():
                unknown = ids[~kept].tobytes()
                read = await rows.outlines.read_chosen(self._within, unknown, self._model)
                self._put(read)
                self._read.append(unpack(read))

    def are_promising(self, ids: Ids) -> Flags:
        """Which of these may be hits, or have another that stands for them."""
        return np.isin(ids, self.ids[self._eligible | (self._superseded_by != b"")])

    async def with_heirs(self, ids: Ids) -> Ids:
        """These with what supersedes them, and that."""
        for _ in range(MAX_STEPS):
            heirs = self._superseded_by[np.isin(self.ids, ids)]
            newer = np.setdiff1d(heirs[heirs != b""], ids)
            if not len(newer):
                break
            await self.ask(newer)
            ids = np.concatenate([ids, newer])
        return ids

    async def list_matching(self) -> Ids:
        """All that pass the filters."""
        async with self._store.reading() as rows:
            return as_ids(await rows.outlines.list_matching(self._within))

    def as_part(self, ids: Ids, named: Ids) -> Part:
        """Those of these that are where it is searched."""
        still = self._changed.take(np.isin(self._changed.ids, self.ids))
        parts = [part for part in (*self._read, still) if part.size]
        documents = join(parts or [NO_DOCUMENTS])
        documents = documents.take(np.isin(documents.ids, ids))
        at = documents.indices_of(self.ids)
        eligible = np.zeros(documents.size, dtype=np.bool_)
        eligible[at[at >= 0]] = self._eligible[at >= 0]
        superseded_by = np.zeros(documents.size, dtype=documents.ids.dtype)
        superseded_by[at[at >= 0]] = self._superseded_by[at >= 0]
        return Part(documents, eligible, np.isin(documents.ids, named), superseded_by)

    def _put(self, standing: Standing) -> None:
        superseded_by = as_ids(standing.superseded_by)
        eligible = as_flags(standing.matching) & (superseded_by == b"")
        self.ids = np.concatenate([self.ids, as_ids(standing.ids)])
        self._eligible = np.concatenate([self._eligible, eligible])
        self._superseded_by = np.concatenate([self._superseded_by, superseded_by])
