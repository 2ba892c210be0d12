"""What one search has to rank: what may be read, and what the query asks of it.

Of a small diary that is everything; of a large one what its outline says is worth reading.
"""

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

from diary_mcp.domain.entry import SearchMode
from diary_mcp.domain.errors import EmbeddingUnavailableError
from diary_mcp.domain.fields import EntryId
from diary_mcp.domain.query_dates import DateSpan, find_spans
from diary_mcp.domain.version import SearchText
from diary_mcp.service.index.passages import is_question
from diary_mcp.service.index.tokenizer import count_terms, fold
from diary_mcp.service.ports.entries import Readership
from diary_mcp.service.ports.index import Embedder, model_version
from diary_mcp.service.ports.permissions import PermissionReader
from diary_mcp.service.ports.search import Postings
from diary_mcp.service.ports.store import Store
from diary_mcp.service.search.candidates import Sought
from diary_mcp.service.search.code_table import SharedBits
from diary_mcp.service.search.corpus import (
    Found,
    SearchedEntries,
    Unindexed,
    vector_bytes,
)
from diary_mcp.service.search.large import Outlines
from diary_mcp.service.search.loader import DocumentLoader
from diary_mcp.service.search.narrowing import LargeDiary, Wanted
from diary_mcp.service.search.phrases import (
    MAX_LOOKED_THROUGH,
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
    Flags,
    Floats,
    Statistics,
    Weights,
)
from diary_mcp.service.search.terms import Terms
from diary_mcp.service.search.together import together

_log: structlog.stdlib.BoundLogger = structlog.get_logger()

READ = 64
"""How many entries of a large diary are read to be ranked at least, besides their neighbours."""
SIFTED = 2_400
"""How many are gone through at least where few of the best pass the filters."""

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
_READ_A_HIT = 4
_SIFTED_A_READ = 8
_Result = TypeVar("_Result")


@dataclass(frozen=True)
class Meaning:
    """The query as the model sees it; no vector where there is no model."""

    vector: bytes | None = None
    cosines: Floats | None = None
    problem: str | None = None
    """Why there is no vector although there was to be one."""

    @property
    def vector_bytes(self) -> int:
        return 1 if self.vector is None else vector_bytes(self.vector)


@dataclass(frozen=True)
class Material:
    """What is to be ranked, and by what."""

    entries: SearchedEntries
    unindexed: Sequence[Unindexed]
    authors: list[str]
    """Those that the query names."""
    spans: Sequence[DateSpan]
    meaning: Meaning
    found: Found
    guesses: Mapping[str, str]
    """What stands in for terms that occur nowhere."""
    frequencies: Mapping[str, int] = field(default_factory=dict[str, int])
    """In how many of all entries each term occurs, and what else is so of all: `None` where these
    are all."""
    statistics: Statistics | None = None
    worth: Flags | None = None
    """Which of the entries may be found, where others are there for their context alone."""

    is_reached: bool = False
    """Whether anything of others' is open to the caller's name, or to any group."""


class MaterialReader:
    """Reads for one search at a time.

    Args:
        large_from: from how many entries on a diary is searched by its outline.
    """

    def __init__(
        self,
        store: Store,
        permissions: PermissionReader,
        embedder: Embedder | None,
        weights: Weights,
        large_from: int | None,
    ) -> None:
        self._store = store
        outlines = Outlines() if large_from is None else Outlines(large_from)
        self._reader = DocumentLoader(store, permissions, self._measure_vectors, outlines)
        self._vector_of = None if embedder is None else _remembering(embedder)
        self._model = None if embedder is None else model_version(embedder.name)
        self._weights = weights
        self._dimensions: int | None = None
        # A model that does not answer must not take the threads that everything else needs.
        self._model_calls = anyio.CapacityLimiter(_MODEL_CALLS)

    async def read(self, request: SearchRequest, query: Query, reader: Readership) -> Material:
        """What there is to rank for this reader.

        Raises:
            PermissionBackendUnavailableError: something is shared, and nobody can say whether
                the caller may still read it.
        """
        read = await self._reader.read(request, reader, query.to_look_up, self._model)
        if isinstance(read.entries, LargeDiary):
            material = await self._narrow(request, query, read.entries)
        else:
            material = await self._gather(request, query, read.entries, read.postings)
        return replace(material, is_reached=read.is_reached)

    async def _measure_vectors(self) -> int | None:
        """How many numbers the model's vectors have; `None` while nobody can say."""
        if self._dimensions is None:
            measured = await self._understand("semantic", parse_query("how long"), [])
            if measured.vector is not None:
                self._dimensions = len(measured.vector) // _FLOAT_BYTES
        return self._dimensions

    async def _gather(
        self,
        request: SearchRequest,
        query: Query,
        entries: SearchedEntries,
        postings: Sequence[Postings] | None,
    ) -> Material:
        """Of everything there is."""
        unindexed: list[Unindexed] = []
        if entries.count_unworded():
            waiting = entries.newest(np.flatnonzero(~entries.worded))[:MAX_COUNTED_NOW]
            indices = {entries.id_at(index): index for index in waiting}
            unindexed = await self._count_unindexed(indices)
        authors = named_authors(request.query, entries.authors)
        meaning = await self._understand(request.mode, query, authors, entries)
        found, guesses = await self._look_up(query, entries, unindexed, postings)
        spans = _spans(query, entries.years)
        return Material(entries, unindexed, authors, spans, meaning, found, guesses)

    async def _narrow(self, request: SearchRequest, query: Query, large: LargeDiary) -> Material:
        """Of what is worth looking at."""
        waiting = large.list_unworded(MAX_COUNTED_NOW)
        counted = await self._count_unindexed(dict.fromkeys(waiting, _UNPLACED))
        authors = named_authors(request.query, large.authors)
        (meaning, shared_bits), (terms, guesses) = await together(
            partial(self._understand_in_large, request.mode, query, authors, large),
            partial(self._look_up_in_large, query, large, counted),
        )
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
            shared_bits,
        )
        words = query.looked_up.union(guesses.values())
        wanted = _wanted(request, query, sought, words)
        narrowed = await large.narrow(wanted, terms, self._weights, counted)
        if meaning.vector is not None:
            compare = partial(narrowed.entries.compare, meaning.vector)
            meaning = replace(meaning, cosines=await _aside(compare))
        return Material(
            narrowed.entries, narrowed.unindexed, authors, spans, meaning, narrowed.found, guesses,
            narrowed.frequencies, narrowed.statistics, narrowed.worth,
        )  # fmt: skip

    async def _understand_in_large(
        self, mode: SearchMode, query: Query, authors: list[str], large: LargeDiary
    ) -> tuple[Meaning, SharedBits | None]:
        """The query as the model sees it, and what the outline says of it."""
        meaning = await self._understand(mode, query, authors)
        if meaning.vector is None:
            return meaning, None
        return meaning, await _aside(partial(large.share_bits, meaning.vector))

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
    ) -> Meaning:
        """The query as the model sees it, and beside the entries, where these are known."""
        if mode == "text":
            return Meaning()
        if self._vector_of is None:
            return Meaning(problem="there is no embedding model")
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
            return Meaning(problem="the embedding model does not answer")

    async def _look_up(
        self,
        query: Query,
        entries: SearchedEntries,
        unindexed: Sequence[Unindexed],
        postings: Sequence[Postings] | None,
    ) -> tuple[Found, dict[str, str]]:
        """Where each term occurs, and what stands in for those that occur nowhere."""
        indexed = entries.indexed
        if postings is None:
            async with self._store.reading() as rows:
                postings = await rows.search.read_postings(indexed, query.looked_up)
        found = entries.find(postings, unindexed)
        unknown = [term for term in query.terms if term not in found and can_be_guessed(term)]
        if not unknown:
            return found, {}
        async with self._store.reading() as rows:
            list_terms = partial(rows.search.list_terms, indexed)
            guesses = await _guess(list_terms, unknown, unindexed)
            more = await rows.search.read_postings(indexed, guesses.values())
        return {**found, **entries.find(more, unindexed)}, guesses


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
) -> Meaning:
    vector = vector_of(text)
    return Meaning(vector, None if entries is None else entries.compare(vector))


def _spans(query: Query, years: frozenset[int]) -> list[DateSpan]:
    return find_spans(query.text, today=datetime.now(UTC).date(), years=years)


def _wanted(request: SearchRequest, query: Query, sought: Sought, words: Collection[str]) -> Wanted:
    """What of a large diary is worth reading: more of it on later pages, and for a phrase."""
    literally = query.literal_for("text" if sought.vector is None else request.mode)
    phrases = [] if literally else [fold(phrase) for phrase in query.phrases]
    read = max(READ, _READ_A_HIT * request.limit)
    count = len(request.seen) + (MAX_LOOKED_THROUGH if phrases else read)
    return Wanted(
        sought,
        words,
        count,
        most=max(SIFTED, _SIFTED_A_READ * count),
        having=inner_terms(phrases, words),
        lacking=[terms for _, terms in query.excluded],
        newest=literally is not None,
    )
