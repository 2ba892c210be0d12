"""One search: what is there, what the caller may read of it, what the query asks, and the ranks.

Rows come first, the permission backend is asked about the shared ones, and what is not readable
is forgotten before anything is counted: no statistic, neighbour or score knows of it.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from diary_mcp.domain.entry import Entry, SearchHit, SearchMode
from diary_mcp.domain.fields import EntryId
from diary_mcp.service.entries.access import Access
from diary_mcp.service.index.tokenizer import fold
from diary_mcp.service.ports.entries import Readership
from diary_mcp.service.ports.index import Embedder
from diary_mcp.service.ports.permissions import PermissionReader
from diary_mcp.service.ports.search import SearchPosition
from diary_mcp.service.ports.store import Store
from diary_mcp.service.search.corpus import (
    MAX_STEPS,
    Found,
    SearchedEntries,
    having_all,
)
from diary_mcp.service.search.explain import Explanation, list_notices
from diary_mcp.service.search.material import Material, MaterialReader
from diary_mcp.service.search.phrases import (
    MAX_LOOKED_THROUGH,
    Texts,
)
from diary_mcp.service.search.query import Query, SearchRequest, parse_query
from diary_mcp.service.search.ranking import (
    Corpus,
    Flags,
    Integers,
    Question,
    Ranking,
    TermMatch,
    Weights,
    rank,
)


@dataclass(frozen=True)
class FoundPage:
    """One page of hits, and what could not be searched in full."""

    hits: list[SearchHit]
    has_more: bool
    notices: tuple[str, ...]
    is_reached: bool
    """Whether anything of others' is open to the caller's name, or to any group."""


@dataclass(frozen=True)
class _Ranked:
    """Everything that was searched, ranked."""

    entries: SearchedEntries
    found: Found
    corpus: Corpus
    ranking: Ranking
    hits: Flags
    """Those that are shown, or that what supersedes them stands for."""
    admitted: Flags
    """Those that may be shown: they pass the filters, and have nothing that is excluded."""


@dataclass(frozen=True)
class _Chosen:
    """What is shown, the best first."""

    found_by: dict[int, int]
    """For each that is shown, what was found: itself, or something that it supersedes."""
    is_all: bool
    """Whether nothing was left out that may have been found too."""


class SearchEngine:
    """Searches for one caller at a time."""

    def __init__(
        self,
        store: Store,
        permissions: PermissionReader,
        access: Access,
        embedder: Embedder | None,
        *,
        weights: Weights | None,
        large_from: int | None = None,
    ) -> None:
        self._store = store
        self._access = access
        self._weights = weights or Weights()
        self._material = MaterialReader(store, permissions, embedder, self._weights, large_from)

    async def find(self, request: SearchRequest, reader: Readership) -> FoundPage:
        """The best hits that were not seen yet.

        Raises:
            PermissionBackendUnavailableError: something is shared, and nobody can say whether
                the caller may still read it.
        """
        query = parse_query(request.query)
        material = await self._material.read(request, query, reader)
        entries, found, guesses = material.entries, material.found, material.guesses
        unindexed, meaning = material.unindexed, material.meaning
        # Without a single vector, what was to be found by meaning is found by words.
        has_vectors = meaning.vector is not None and not entries.without_vectors.all()
        mode: SearchMode = request.mode if has_vectors else "text"
        corpus = entries.as_corpus(unindexed, material.statistics)
        question = Question(
            terms=_matches(query, material, self._weights),
            cosines=meaning.cosines,
            vector_counts=entries.count_vectors(meaning.vector_bytes),
            authors=material.authors,
            spans=material.spans,
            named=entries.named,
        )
        ranking = rank(corpus, question, mode, self._weights)
        excluded = _having_excluded(query, found, entries)
        admitted = entries.eligible & ~excluded
        hits = (entries.heirs >= 0) & admitted[entries.heirs] & ~excluded
        if material.worth is not None:
            hits &= material.worth
        literally = query.literal_for(mode)
        if literally is None:
            by_meaning = query.text != "" and (query.is_plain or mode == "semantic")
            hits &= entries.named | ranking.find_hits(mode, self._weights, by_meaning=by_meaning)
        ranked = _Ranked(entries, found, corpus, ranking, hits, admitted)
        chosen = await self._choose(request, query, literally, ranked)
        most = math.inf if request.position is None else request.position.score
        found_by = dict(list(chosen.found_by.items())[: request.limit])
        page = await self._read(reader, entries, list(found_by))
        page |= await self._read_newer(request, reader, ranked, page, found_by)
        explained = Explanation(
            query, found, guesses, ranking, entries, mode, self._weights, found_by, most
        )
        shown = newer_first([explained.hit(entry, index) for index, entry in page.items()])
        notices = list_notices(
            request,
            query,
            entries,
            unindexed,
            model_problem=meaning.problem,
            is_all=chosen.is_all,
            empty=not shown,
        )
        has_more = max(len(chosen.found_by), len(shown)) > request.limit
        return FoundPage(shown[: request.limit], has_more, tuple(notices), material.is_reached)

    async def _choose(
        self, request: SearchRequest, query: Query, literally: str | None, ranked: _Ranked
    ) -> _Chosen:
        """The best that no page before has shown and that have every phrase, and one more.

        In the place of what is superseded stands what supersedes it, once.
        """
        entries = ranked.entries
        # What is superseded is shown as something else, which may be found already.
        enough = request.limit + 1 + int((ranked.hits & ~ranked.admitted).sum())
        if literally is None and not query.phrases:
            most = len(request.seen) + enough
            best = ranked.ranking.best_first(ranked.corpus, ranked.hits, most)
            return _Chosen(_find_heirs(best, entries, request), is_all=True)
        texts = Texts(self._store, entries, ranked.corpus.lengths)
        if literally is not None:
            phrases, candidates = [literally], texts.newest(ranked.hits)
        else:
            phrases = [fold(phrase) for phrase in query.phrases]
            candidates = ranked.hits & texts.may_have(phrases, query.terms, ranked.found)
        most = len(request.seen) + MAX_LOOKED_THROUGH + 1
        best = ranked.ranking.best_first(ranked.corpus, candidates, most)
        unseen = best[_are_unseen(entries.heirs[best], entries, request)]
        looked = await texts.look_through(unseen.tolist(), phrases, enough)
        is_all = literally is None or candidates.sum() == ranked.hits.sum()
        found_by = _find_heirs(np.array(looked.indices, np.int64), entries, request)
        return _Chosen(found_by, looked.is_all and bool(is_all))

    async def _read(
        self, reader: Readership, entries: SearchedEntries, indices: Sequence[int]
    ) -> dict[int, Entry]:
        """The entries as they are now; one that was deleted a moment ago is left out."""
        ids = entries.ids_at(indices)
        async with self._store.reading() as rows:
            read = await rows.search.list_entries(reader, ids)
        readable = await self._access.keep_readable(reader.caller, read)
        by_id = {entry.id: entry for entry in readable}
        return {
            index: by_id[entry_id]
            for entry_id, index in zip(ids, indices, strict=True)
            if entry_id in by_id
        }

    async def _read_newer(
        self,
        request: SearchRequest,
        reader: Readership,
        ranked: _Ranked,
        page: Mapping[int, Entry],
        found_by: dict[int, int],
    ) -> dict[int, Entry]:
        """What corrects or solves one of this page and is not on it, `MAX_STEPS` away at most.

        By what each is found is added to `found_by`.
        """
        entries, newer, latest = ranked.entries, dict[int, Entry](), page
        for _ in range(MAX_STEPS):
            older = {entry.superseded_by: i for i, entry in latest.items() if entry.superseded_by}
            if not older:
                break
            linked = entries.indices_of(older.keys())
            unseen = linked[_are_unseen(linked, entries, request)].tolist()
            wanted = [i for i in unseen if ranked.admitted[i] and i not in found_by]
            if not wanted:
                break
            for i in wanted:
                found_by[i] = i if ranked.hits[i] else found_by[older[entries.id_at(i)]]
            latest = await self._read(reader, entries, wanted)
            newer |= latest
        return newer


def newer_first(hits: Sequence[SearchHit]) -> list[SearchHit]:
    """The hits, where what corrects or solves another comes before it.

    It gets the other's score, if its own is lower: the scores still fall from hit to hit.
    """
    by_id = {hit.id: hit for hit in hits}
    placed: dict[EntryId, SearchHit] = {}
    for hit in hits:
        chain = [hit]
        while (newer := chain[-1].superseded_by) and newer in by_id and newer not in placed:
            chain.append(by_id[newer])
        for each in reversed(chain):
            if each.id not in placed:
                is_raised = hit.score > each.score
                placed[each.id] = (
                    each.model_copy(update={"score": hit.score}) if is_raised else each
                )
    return list(placed.values())


def _matches(query: Query, material: Material, weights: Weights) -> list[TermMatch]:
    nothing = (np.zeros(0, dtype=np.int64), np.zeros(0))
    found, guesses = material.found, material.guesses
    matches: list[TermMatch] = []
    for term in query.terms:
        is_guessed = guesses.get(term) in found
        looked_up = guesses[term] if is_guessed else term
        entries, counts = found.get(looked_up, nothing)
        weight = weights.similar_term if is_guessed else 1.0
        matches.append(TermMatch(entries, counts, weight, material.frequencies.get(looked_up)))
    return matches


def _having_excluded(query: Query, found: Found, entries: SearchedEntries) -> Flags:
    excluded = np.zeros(entries.size, dtype=np.bool_)
    for _, terms in query.excluded:
        excluded |= having_all(terms, found, entries.size)
    return excluded


def _find_heirs(
    indices: Integers, entries: SearchedEntries, request: SearchRequest
) -> dict[int, int]:
    """What is shown for each, unless a page before has shown it; and by the first of which."""
    heirs = entries.heirs[indices]
    unseen = _are_unseen(heirs, entries, request)
    found_by: dict[int, int] = {}
    for heir, index in zip(heirs[unseen].tolist(), indices[unseen].tolist(), strict=True):
        found_by.setdefault(heir, index)
    return found_by


def _are_unseen(indices: Integers, entries: SearchedEntries, request: SearchRequest) -> Flags:
    """Those that no page before has shown."""
    if not request.seen:
        return np.ones(len(indices), dtype=np.bool_)
    marks = map(SearchPosition.mark, entries.ids_at(indices))
    return np.array([mark not in request.seen for mark in marks], dtype=np.bool_)
