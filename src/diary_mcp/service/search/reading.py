"""Reading what one search looks at: from what this process keeps, and the rest from the store."""

from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from uuid import UUID

import numpy as np

from diary_mcp.domain.fields import EntryId
from diary_mcp.service.index.ports import Outline, SearchReader
from diary_mcp.service.ports import PermissionReader, Store
from diary_mcp.service.records import Readership
from diary_mcp.service.search.documents import (
    NO_DOCUMENTS,
    Documents,
    Ids,
    ShelfName,
    Shelves,
    as_flags,
    as_ids,
    as_integers,
    join,
    unpack,
)
from diary_mcp.service.search.ranking import Flags, Integers
from diary_mcp.service.search.request import SearchRequest
from diary_mcp.service.search.searched import Part, SearchedEntries

_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class DocumentReader:
    """Reads for one search at a time, and keeps what was read.

    The store is asked each time which documents there are now, and in which state; only those
    that are not kept in that state are read.
    """

    def __init__(
        self, store: Store, permissions: PermissionReader, shelves: Shelves | None = None
    ) -> None:
        self._store = store
        self._permissions = permissions
        self._shelves = shelves or Shelves()

    async def read(
        self,
        request: SearchRequest,
        reader: Readership,
        names: Collection[str],
        model: str | None,
    ) -> SearchedEntries:
        """What there is within the scope that the caller may read.

        Raises:
            PermissionBackendUnavailableError: something is shared, and nobody can say whether
                the caller may still read it.
        """
        async with self._store.reading() as rows:
            outline = await rows.search.read_outline(reader, request.filters, names)
            own = await self._own(rows.search, request, outline, model)
            shared = await self._shared(rows.search, request, outline, model)
        viewable = np.zeros(shared.documents.size, dtype=np.bool_)
        if shared.documents.size:
            granted = await self._permissions.check_view(
                request.caller, _as_entry_ids(shared.documents.ids)
            )
            viewable = _among(shared.documents, _packed(granted))
        return SearchedEntries(_by_then(own, request), _by_then(shared.take(viewable), request))

    async def _own(
        self, search: SearchReader, request: SearchRequest, outline: Outline, model: str | None
    ) -> Part:
        shelf = self._shelf(request, model, owned=True)
        kept = self._shelves.find(shelf)
        if not outline.documents:
            documents = NO_DOCUMENTS
        elif kept is None:
            documents = unpack(await search.read_own_documents(request.caller, shelf.model))
            self._shelves.put(shelf, documents)
        elif kept.size == outline.documents and kept.fingerprint == outline.fingerprint:
            documents = kept
        else:
            now = await search.list_revisions(request.caller)
            documents = await self._renew(
                search, shelf, as_ids(now.ids), as_integers(now.revisions, ">i8")
            )
        eligible = ~_among(documents, as_ids(outline.superseded))
        if outline.matching is not None:
            eligible &= _among(documents, as_ids(outline.matching))
        return Part(documents, eligible, _among(documents, as_ids(outline.named)))

    async def _shared(
        self, search: SearchReader, request: SearchRequest, outline: Outline, model: str | None
    ) -> Part:
        ids = as_ids(outline.shared_ids)
        documents = await self._renew(
            search,
            self._shelf(request, model, owned=False),
            ids,
            as_integers(outline.shared_revisions, ">i8"),
        )
        eligible = as_flags(outline.shared_eligible)
        named = np.concatenate([as_ids(outline.named), ids[as_flags(outline.shared_named)]])
        return Part(documents, _among(documents, ids[eligible]), _among(documents, named))

    async def _renew(
        self, search: SearchReader, shelf: ShelfName, ids: Ids, revisions: Integers
    ) -> Documents:
        """These documents, kept from now on. One that is deleted at this moment is left out."""
        kept = self._shelves.find(shelf) or NO_DOCUMENTS
        places = kept.places_of(ids)
        present = places >= 0
        present[present] = kept.revisions[places[present]] == revisions[present]
        if len(ids) == kept.size and present.all():
            return kept
        still = np.zeros(kept.size, dtype=np.bool_)
        still[places[present]] = True
        parts = [kept.take(still)]
        if not present.all():
            missing = _as_entry_ids(ids[~present])
            parts.append(unpack(await search.read_documents(missing, shelf.model)))
        documents = join([part for part in parts if part.size] or parts[:1])
        self._shelves.put(shelf, documents)
        return documents

    def _shelf(self, request: SearchRequest, model: str | None, *, owned: bool) -> ShelfName:
        """A search by words needs no vectors, but takes documents that are there with theirs."""
        with_vectors = ShelfName(request.caller, model, owned)
        if request.mode != "text" or self._shelves.find(with_vectors) is not None:
            return with_vectors
        return ShelfName(request.caller, None, owned)


def _by_then(part: Part, request: SearchRequest) -> Part:
    """What was there when the first page was asked for."""
    if request.created_by is None:
        return part
    return part.take(part.documents.created <= (request.created_by - _EPOCH) // _MICROSECOND)


def _among(documents: Documents, ids: Ids) -> Flags:
    """Which documents are of these entries."""
    among = np.zeros(documents.size, dtype=np.bool_)
    places = documents.places_of(ids)
    among[places[places >= 0]] = True
    return among


def _packed(ids: Collection[EntryId]) -> Ids:
    return as_ids(b"".join(entry_id.bytes for entry_id in ids))


def _as_entry_ids(ids: Ids) -> list[EntryId]:
    packed = ids.tobytes()
    return [EntryId(UUID(bytes=packed[i : i + 16])) for i in range(0, len(packed), 16)]
