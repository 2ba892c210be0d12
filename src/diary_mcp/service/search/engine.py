"""One search: what is there, what the caller may read of it, what the query asks, and the ranks.

Rows come first, the permission backend is asked about the shared ones, and what is not readable
is forgotten before anything is counted: no statistic, neighbour or score knows of it.
"""

import math
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import lru_cache, partial
from time import monotonic
from typing import TypeVar

import anyio
import anyio.to_thread
import numpy as np
import structlog

from diary_mcp.domain.entry import Entry, SearchHit, SearchMode
from diary_mcp.domain.errors import EmbeddingUnavailableError
from diary_mcp.domain.fields import EntryId
from diary_mcp.domain.query_dates import DateSpan, find_spans
from diary_mcp.domain.version import SearchText
from diary_mcp.service.entries.access import Access
from diary_mcp.service.index.passages import is_question
from diary_mcp.service.index.tokenizer import count_terms, fold
from diary_mcp.service.ports.entries import Readership
from diary_mcp.service.ports.index import Embedder, model_version
from diary_mcp.service.ports.permissions import PermissionReader
from diary_mcp.service.ports.search import SearchPosition
from diary_mcp.service.ports.store import Store
from diary_mcp.service.search.candidates import Sought
from diary_mcp.service.search.corpus import (
    MAX_STEPS,
    Found,
    SearchedEntries,
    Unindexed,
    having_all,
    vector_bytes,
)
from diary_mcp.service.search.explain import Explanation, list_notices
from diary_mcp.service.search.large import Outlines
from diary_mcp.service.search.loader import DocumentLoader
from diary_mcp.service.search.narrowing import LargeDiary, Wanted
from diary_mcp.service.search.phrases import (
    MAX_LOOKED_THROUGH,
    Texts,
    inner_terms,
)
from diary_mcp.service.search.query import (
    MAX_GUESSED,
    Query,
    SearchRequest,
    can_be_guessed,
    guess_terms,
    named_authors,
    parse_query,
    without_names,
)
from diary_mcp.service.search.ranking import (
    Corpus,
    Flags,
    Floats,
    Integers,
    Question,
    Ranking,
    Statistics,
    TermMatch,
    Weights,
    rank,
)
from diary_mcp.service.search.terms import Terms

_log: structlog.stdlib.BoundLogger = structlog.get_logger()

READ = 300
"""How many entries of a large diary are read to be ranked, besides their neighbours."""

MAX_COUNTED_NOW = 200
"""How many entries that are not indexed yet a search reads itself, the newest ones."""

_MODEL_WAIT_S = 8.0
"""How long a search waits for the model; one that is loaded answers in milliseconds."""
_MODEL_CALLS = 4
# A further page, another filter or another reader asks the same again. Not for long, because an
# endpoint may change its model behind its name.
_REMEMBERED = 256
_REMEMBERED_S = 600.0
_FLOAT_BYTES = 4
_UNPLACED = -1
_Result = TypeVar("_Result")


@dataclass(frozen=True)
class FoundPage:
    """One page of hits, and what could not be searched in full."""

    hits: list[SearchHit]
    has_more: bool
    notices: tuple[str, ...]


@dataclass(frozen=True)
class _Meaning:
    """The query as the model sees it; no vector where there is no model."""

    vector: bytes | None = None
    cosines: Floats | None = None
    problem: str | None = None
    """Why there is no vector although there was to be one."""

    @property
    def vector_bytes(self) -> int:
        return 1 if self.vector is None else vector_bytes(self.vector)


@dataclass(frozen=True)
class _Material:
    """What is to be ranked, and by what."""

    entries: SearchedEntries
    unindexed: Sequence[Unindexed]
    authors: list[str]
    """Those that the query names."""
    spans: Sequence[DateSpan]
    meaning: _Meaning
    found: Found
    guesses: Mapping[str, str]
    """What stands in for terms that occur nowhere."""
    frequencies: Mapping[str, int] = field(default_factory=dict[str, int])
    """In how many of all entries each term occurs, and what else is so of all: `None` where these
    are all."""
    statistics: Statistics | None = None
    worth: Flags | None = None
    """Which of the entries may be found, where others are there for their context alone."""


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
        outlines = Outlines() if large_from is None else Outlines(large_from)
        self._reader = DocumentLoader(store, permissions, self._measure_vectors, outlines)
        self._access = access
        self._vector_of = None if embedder is None else _remembering(embedder)
        self._model = None if embedder is None else model_version(embedder.name)
        self._weights = weights or Weights()
        self._dimensions: int | None = None
        # A model that does not answer must not take the threads that everything else needs.
        self._model_calls = anyio.CapacityLimiter(_MODEL_CALLS)

    async def find(self, request: SearchRequest, reader: Readership) -> FoundPage:
        """The best hits that were not seen yet.

        Raises:
            PermissionBackendUnavailableError: something is shared, and nobody can say whether
                the caller may still read it.
        """
        query = parse_query(request.query)
        read = await self._reader.read(request, reader, query.names, self._model)
        if isinstance(read, LargeDiary):
            material = await self._narrow(request, query, read)
        else:
            material = await self._gather(request, query, read)
        entries, found, guesses = material.entries, material.found, material.guesses
        unindexed, meaning = material.unindexed, material.meaning
        # Without a single vector, what was to be found by meaning is found by words.
        has_vectors = meaning.vector is not None and not entries.without_vectors.all()
        mode: SearchMode = request.mode if has_vectors else "text"
        corpus = entries.as_corpus(unindexed, meaning.vector_bytes, material.statistics)
        question = Question(
            terms=_matches(query, material, self._weights),
            cosines=meaning.cosines,
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
        return FoundPage(shown[: request.limit], has_more, tuple(notices))

    async def _measure_vectors(self) -> int | None:
        """How many numbers the model's vectors have; `None` while nobody can say."""
        if self._dimensions is None:
            measured = await self._understand("semantic", parse_query("how long"), [])
            if measured.vector is not None:
                self._dimensions = len(measured.vector) // _FLOAT_BYTES
        return self._dimensions

    async def _gather(
        self, request: SearchRequest, query: Query, entries: SearchedEntries
    ) -> _Material:
        """Of everything there is."""
        waiting = entries.newest(np.flatnonzero(~entries.worded))[:MAX_COUNTED_NOW]
        indices = {entries.id_at(index): index for index in waiting}
        unindexed = await self._count_unindexed(indices)
        authors = named_authors(request.query, entries.authors)
        meaning = await self._understand(request.mode, query, authors, entries)
        found, guesses = await self._look_up(query, entries, unindexed)
        spans = _spans(query, entries.years)
        return _Material(entries, unindexed, authors, spans, meaning, found, guesses)

    async def _narrow(self, request: SearchRequest, query: Query, large: LargeDiary) -> _Material:
        """Of what is worth looking at."""
        waiting = large.list_unworded(MAX_COUNTED_NOW)
        counted = await self._count_unindexed(dict.fromkeys(waiting, _UNPLACED))
        authors = named_authors(request.query, large.authors)
        meaning = await self._understand(request.mode, query, authors)
        terms, guesses = await self._look_up_in_large(query, large, counted)
        spans = _spans(query, large.years)
        nowhere = Terms.nowhere()
        weight = self._weights.similar_term
        sought = Sought(
            meaning.vector,
            request.mode != "semantic" or meaning.vector is None,
            [
                (terms.get(guesses.get(term, term), nowhere), weight if term in guesses else 1.0)
                for term in query.terms
            ],
            authors,
            spans,
        )
        words = query.looked_up.union(guesses.values())
        wanted = _wanted(request, query, sought, words)
        narrowed = await large.narrow(wanted, terms, self._weights, counted)
        if meaning.vector is not None:
            compare = partial(narrowed.entries.compare, meaning.vector)
            meaning = replace(meaning, cosines=await _aside(compare))
        return _Material(
            narrowed.entries, narrowed.unindexed, authors, spans, meaning, narrowed.found, guesses,
            narrowed.frequencies, narrowed.statistics, narrowed.worth,
        )  # fmt: skip

    async def _look_up_in_large(
        self, query: Query, large: LargeDiary, counted: Sequence[Unindexed]
    ) -> tuple[dict[str, Terms], dict[str, str]]:
        """Where each term occurs in the outline; and what stands in for what occurs nowhere."""
        terms = await large.look_up(query.looked_up)
        unknown = [term for term in query.terms if term not in terms and can_be_guessed(term)]
        if unknown:
            beside = await large.list_found_beside(unknown)
            beside = beside.union(*(each.counts for each in counted))
            unknown = [term for term in unknown if term not in beside]
        if not unknown:
            return terms, {}
        guesses = await _guess(large.list_terms, unknown, counted)
        return {**terms, **await large.look_up(guesses.values())}, guesses

    async def _count_unindexed(self, indices: Mapping[EntryId, int]) -> list[Unindexed]:
        """The words of what was written a moment ago, so that it is found at once."""
        if not indices:
            return []
        async with self._store.reading() as rows:
            texts = await rows.search.read_texts(list(indices))
        return await _aside(partial(_count, texts, indices))

    async def _understand(
        self,
        mode: SearchMode,
        query: Query,
        authors: list[str],
        entries: SearchedEntries | None = None,
    ) -> _Meaning:
        """The query as the model sees it, and beside the entries, where these are known."""
        if mode == "text":
            return _Meaning()
        if self._vector_of is None:
            return _Meaning(problem="there is no embedding model")
        try:
            with anyio.fail_after(_MODEL_WAIT_S):
                return await anyio.to_thread.run_sync(
                    _compare,
                    self._vector_of,
                    without_names(query.text, authors),
                    entries,
                    abandon_on_cancel=True,
                    limiter=self._model_calls,
                )
        except (EmbeddingUnavailableError, TimeoutError) as error:
            _log.warning("search.without_model", reason=str(error) or "no answer in time")
            return _Meaning(problem="the embedding model does not answer")

    async def _look_up(
        self,
        query: Query,
        entries: SearchedEntries,
        unindexed: Sequence[Unindexed],
    ) -> tuple[Found, dict[str, str]]:
        """Where each term occurs, and what stands in for those that occur nowhere."""
        indexed = entries.indexed
        async with self._store.reading() as rows:
            postings = await rows.search.read_postings(indexed, query.looked_up)
            found = entries.find(postings, unindexed)
            unknown = [term for term in query.terms if term not in found and can_be_guessed(term)]
            if not unknown:
                return found, {}
            list_terms = partial(rows.search.list_terms, indexed)
            guesses = await _guess(list_terms, unknown, unindexed)
            more = await rows.search.read_postings(indexed, guesses.values())
        return {**found, **entries.find(more, unindexed)}, guesses

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


async def _aside(work: Callable[[], _Result]) -> _Result:
    """In a thread that is left behind where its caller gives up: what it does is bounded."""
    return await anyio.to_thread.run_sync(work, abandon_on_cancel=True)


async def _guess(
    list_terms: Callable[[Collection[str]], Awaitable[list[str]]],
    unknown: Sequence[str],
    unindexed: Sequence[Unindexed],
) -> dict[str, str]:
    """What the unknown terms were meant to be, first by two right letters, then by one."""
    guesses: dict[str, str] = {}
    now = {term for entry in unindexed for term in entry.counts}
    for right in (2, 1):
        left = [term for term in unknown[:MAX_GUESSED] if term not in guesses]
        if left:
            vocabulary = await list_terms({term[:right] for term in left})
            guesses |= await _aside(partial(guess_terms, left, now.union(vocabulary)))
    return guesses


def _count(texts: Sequence[SearchText], indices: Mapping[EntryId, int]) -> list[Unindexed]:
    return [
        Unindexed(
            text.id, indices[text.id], count_terms(text), len(text.content), is_question(text)
        )
        for text in texts
    ]


def _remembering(embedder: Embedder) -> Callable[[str], bytes]:
    """Gives a query's vector, which is remembered for some minutes; a failure is not."""

    @lru_cache(_REMEMBERED)
    def embed(text: str, _period: int) -> bytes:
        (vector,) = embedder.embed([text])
        return vector

    return lambda text: embed(text, int(monotonic() / _REMEMBERED_S))


def _compare(
    vector_of: Callable[[str], bytes], text: str, entries: SearchedEntries | None
) -> _Meaning:
    vector = vector_of(text)
    return _Meaning(vector, None if entries is None else entries.compare(vector))


def _spans(query: Query, years: frozenset[int]) -> list[DateSpan]:
    return find_spans(query.text, today=datetime.now(UTC).date(), years=years)


def _wanted(request: SearchRequest, query: Query, sought: Sought, words: Collection[str]) -> Wanted:
    """What of a large diary is worth reading: more of it on later pages, and for a phrase."""
    literally = query.literal_for("text" if sought.vector is None else request.mode)
    phrases = [] if literally else [fold(phrase) for phrase in query.phrases]
    count = len(request.seen) + (MAX_LOOKED_THROUGH if phrases else READ)
    return Wanted(
        sought,
        words,
        count,
        having=inner_terms(phrases, words),
        lacking=[terms for _, terms in query.excluded],
        newest=literally is not None,
    )


def _matches(query: Query, material: _Material, weights: Weights) -> list[TermMatch]:
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
