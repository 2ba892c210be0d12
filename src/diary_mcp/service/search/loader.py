"""Reading what one search looks at: from what this process keeps, and the rest from the store."""

from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from uuid import UUID

import numpy as np

from diary_mcp.domain.fields import AgentName, DiaryId
from diary_mcp.service.ports.entries import Readership
from diary_mcp.service.ports.outline import Within
from diary_mcp.service.ports.permissions import PermissionReader
from diary_mcp.service.ports.search import (
    Known,
    Postings,
    QueryWords,
    SearchReader,
    Snapshot,
    Whose,
)
from diary_mcp.service.ports.store import Reading, Store
from diary_mcp.service.search.cache import (
    NO_DOCUMENTS,
    CacheKey,
    DocumentCache,
    Documents,
    Ids,
    as_entry_ids,
    as_flags,
    as_ids,
    as_integers,
    as_uuids,
    renew,
    unpack,
)
from diary_mcp.service.search.corpus import NO_PART, Part, SearchedEntries
from diary_mcp.service.search.large import Outlines, View
from diary_mcp.service.search.narrowing import LargeDiary
from diary_mcp.service.search.query import SearchRequest
from diary_mcp.service.search.ranking import Flags, Integers

_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True)
class Read:
    """What one search looks at."""

    entries: SearchedEntries | LargeDiary
    is_reached: bool
    """Whether anything of others' is open to the caller's name, or to any group."""
    postings: Sequence[Postings] | None = None
    """Where the query's terms stand, where that was read with the entries."""


class DocumentLoader:
    """Reads for one search at a time, and keeps what was read.

    The store is asked each time which documents there are now, and in which state; only those
    that are not kept in that state are read.
    """

    def __init__(
        self,
        store: Store,
        permissions: PermissionReader,
        dimensions: Callable[[], Awaitable[int | None]],
        outlines: Outlines | None = None,
        cache: DocumentCache | None = None,
    ) -> None:
        self._store = store
        self._permissions = permissions
        self._dimensions = dimensions
        self._outlines = outlines or Outlines()
        self._cache = cache or DocumentCache()

    async def read(
        self,
        request: SearchRequest,
        reader: Readership,
        words: QueryWords,
        model: str | None,
    ) -> Read:
        """What there is within the scope that the caller may read, or where that is large, where.

        A diary that is searched whole is asked about as a whole.

        Raises:
            PermissionBackendUnavailableError: something is shared, and nobody can say whether
                the caller may still read it.
        """
        diary = None if reader.place is None else reader.place.id
        if diary is not None and request.filters.scope == "all":
            whole = await self._read_diary(request, reader, diary, words, model)
            if whole is not None:
                return whole
        whose = Whose(request.caller)
        mine = request.filters.scope != "shared"
        view: View | None = None
        async with self._store.reading() as rows:
            is_large = mine and self._outlines.has(whose)
            if is_large:
                snapshot = await rows.outlines.read_beside_own(reader, request.filters, words)
            else:
                snapshot = await rows.search.read_snapshot(
                    reader, request.filters, words, self._outlines.large_from + 1
                )
            if is_large or (mine and snapshot.documents > self._outlines.large_from):
                view = await self._look(rows, whose, request, model)
                own = NO_PART
            else:
                own = await self._own(rows.search, request, snapshot, model)
            shared = await self._shared(rows.search, request, snapshot, model)
        seen = shared.take(await self._viewable(request, snapshot, shared))
        if view is not None:
            within = Within(reader, request.filters, None)
            large = self._large(
                view, within, owners=[request.caller], snapshot=snapshot, request=request,
                model=model,
            )  # fmt: skip
            return Read(replace(large, shared=seen), snapshot.is_reached)
        own = _by_then(own, request)
        entries = SearchedEntries(own, [request.caller], shared=_by_then(seen, request))
        return Read(entries, snapshot.is_reached, _list_postings(snapshot))

    async def _read_diary(
        self,
        request: SearchRequest,
        reader: Readership,
        diary: DiaryId,
        words: QueryWords,
        model: str | None,
    ) -> Read | None:
        """All that is in the diary, or `None` where the rows do not open it as a whole."""
        whose = Whose(diary=diary)
        part, view = NO_PART, None
        async with self._store.reading() as rows:
            is_large = self._outlines.has(whose)
            if is_large:
                snapshot = await rows.outlines.read_beside_diary(reader, words)
            else:
                snapshot = await rows.search.read_diary_snapshot(
                    reader, request.filters, words, self._outlines.large_from + 1
                )
            if snapshot is None:
                return None
            if is_large or snapshot.documents > self._outlines.large_from:
                view = await self._look(rows, whose, request, model)
            else:
                part = await self._whole(rows.search, request, whose, snapshot, model)

        async def may_read() -> bool:
            return snapshot.is_own or bool(
                await self._permissions.check_diaries(request.caller, [diary])
            )

        if view is not None:
            within = Within(reader, request.filters, diary)
            large = self._large(
                view, within, owners=snapshot.owners, snapshot=snapshot, request=request,
                model=model,
            )  # fmt: skip
            return Read(replace(large, may_read=may_read), snapshot.is_reached)
        # After everything was read, as ever.
        if not await may_read():
            return Read(SearchedEntries(NO_PART, ()), snapshot.is_reached)
        entries = SearchedEntries(_by_then(part, request), snapshot.owners, diary)
        return Read(entries, snapshot.is_reached, _list_postings(snapshot))

    def _large(
        self,
        view: View,
        within: Within,
        *,
        owners: Sequence[AgentName],
        snapshot: Known,
        request: SearchRequest,
        model: str | None,
    ) -> LargeDiary:
        return LargeDiary(
            self._store,
            view,
            within,
            owners,
            model,
            as_ids(snapshot.named),
            NO_PART,
            partial(_by_then, request=request),
            _always,
        )

    async def _look(
        self, rows: Reading, whose: Whose, request: SearchRequest, model: str | None
    ) -> View:
        dimensions = None if request.mode == "text" else await self._dimensions()
        return await self._outlines.look(rows, whose, model, dimensions)

    async def _viewable(self, request: SearchRequest, snapshot: Snapshot, shared: Part) -> Flags:
        """Which of others' entries the caller may read.

        What is in its own diaries, what a role on a diary opens, which is asked once for all that
        is in it, and what is shared by itself.
        """
        ids, diaries = as_ids(snapshot.shared_ids), as_ids(snapshot.shared_diaries)
        if not len(ids):
            return as_flags(b"")
        viewable = as_flags(snapshot.shared_in_own).copy()
        asked = [DiaryId(each) for each in as_uuids(np.unique(diaries[~viewable])) if each.int]
        if asked:
            opened = await self._permissions.check_diaries(request.caller, asked)
            viewable |= np.isin(diaries, _packed(opened))
        left = as_entry_ids(ids[~viewable])
        granted = await self._permissions.check_view(request.caller, left) if left else ()
        return _among(shared.documents, np.concatenate([ids[viewable], _packed(granted)]))

    async def _own(
        self, search: SearchReader, request: SearchRequest, snapshot: Snapshot, model: str | None
    ) -> Part:
        part = await self._whole(search, request, Whose(request.caller), snapshot, model)
        if snapshot.placed is None:
            return part
        return part.take(_among(part.documents, as_ids(snapshot.placed)))

    async def _whole(
        self,
        search: SearchReader,
        request: SearchRequest,
        whose: Whose,
        snapshot: Known,
        model: str | None,
    ) -> Part:
        """All of an agent's, or in a diary: read again only where two numbers have changed."""
        cached = self._cache_key(request, model, whose)
        kept = self._cache.find(cached)
        if not snapshot.documents:
            documents = NO_DOCUMENTS
        elif kept is None:
            documents = unpack(await search.read_all_documents(whose, cached.model))
            self._cache.put(cached, documents)
        elif kept.size == snapshot.documents and kept.fingerprint == snapshot.fingerprint:
            documents = kept
        else:
            now = await search.list_revisions(whose)
            documents = await self._renew(
                search, cached, as_ids(now.ids), as_integers(now.revisions, ">i8")
            )
        eligible = ~_among(documents, as_ids(snapshot.superseded))
        if snapshot.matching is not None:
            eligible &= _among(documents, as_ids(snapshot.matching))
        superseded_by = _placed(documents, snapshot.superseded, snapshot.superseded_by)
        named = _among(documents, as_ids(snapshot.named))
        return Part(documents, eligible, named, superseded_by)

    async def _shared(
        self, search: SearchReader, request: SearchRequest, snapshot: Snapshot, model: str | None
    ) -> Part:
        cached, ids = self._cache_key(request, model), as_ids(snapshot.shared_ids)
        if not len(ids):
            self._cache.drop(cached)
            return NO_PART
        revisions = as_integers(snapshot.shared_revisions, ">i8")
        documents = await self._renew(search, cached, ids, revisions)
        eligible = as_flags(snapshot.shared_eligible)
        named = np.concatenate([as_ids(snapshot.named), ids[as_flags(snapshot.shared_named)]])
        return Part(
            documents,
            _among(documents, ids[eligible]),
            _among(documents, named),
            _placed(documents, snapshot.shared_ids, snapshot.shared_superseded_by),
        )

    async def _renew(
        self, search: SearchReader, cached: CacheKey, ids: Ids, revisions: Integers
    ) -> Documents:
        """These documents, kept from now on. One that is deleted at this moment is left out."""
        kept = self._cache.find(cached) or NO_DOCUMENTS
        documents = await renew(search, kept, ids, revisions, cached.model)
        if documents is not kept:
            self._cache.put(cached, documents)
        return documents

    def _cache_key(
        self, request: SearchRequest, model: str | None, whose: Whose | None = None
    ) -> CacheKey:
        """A search by words needs no vectors, but takes documents that are there with theirs."""
        reader = request.caller if whose is None else None
        with_vectors = CacheKey(whose or Whose(), model, reader)
        if request.mode != "text" or self._cache.find(with_vectors) is not None:
            return with_vectors
        return replace(with_vectors, model=None)


async def _always() -> bool:
    return True


def _list_postings(known: Known) -> list[Postings] | None:
    """As `SearchReader.read_postings` gives them."""
    if known.terms is None or known.posting_ids is None or known.posting_counts is None:
        return None
    return list(map(Postings, known.terms, known.posting_ids, known.posting_counts))


def _by_then(part: Part, request: SearchRequest) -> Part:
    """What was there when the first page was asked for."""
    if request.created_by is None:
        return part
    return part.take(part.documents.created <= (request.created_by - _EPOCH) // _MICROSECOND)


def _among(documents: Documents, ids: Ids) -> Flags:
    """Which documents are of these entries."""
    among = np.zeros(documents.size, dtype=np.bool_)
    if len(ids):
        indices = documents.indices_of(ids)
        among[indices[indices >= 0]] = True
    return among


def _placed(documents: Documents, ids: bytes, values: bytes) -> Ids:
    """For each document the value that stands in the place of its id; empty where there is none."""
    placed = np.zeros(documents.size, dtype=documents.ids.dtype)
    if ids:
        indices = documents.indices_of(as_ids(ids))
        placed[indices[indices >= 0]] = as_ids(values)[indices >= 0]
    return placed


def _packed(ids: Collection[UUID]) -> Ids:
    return as_ids(b"".join(each.bytes for each in ids))
