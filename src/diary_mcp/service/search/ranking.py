"""The ranking: pure functions on columns, one value for each entry that may be searched.

`docs/search.md` tells the formula, what each part is worth, and how the weights were found.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date

import numpy as np
from numpy.typing import NDArray

from diary_mcp.domain.entry import SearchMode
from diary_mcp.domain.query_dates import DateSpan

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Integers = NDArray[np.int64]

_EPOCH = date(1970, 1, 1).toordinal()
_NOWHERE = -1


@dataclass(frozen=True)
class Weights:
    """What each part of a score is worth; 1 is one standard deviation of the cosines."""

    saturation: float = 1.0
    """BM25's k1: how soon a repeated word stops counting."""
    length_share: float = 0.35
    """BM25's b: how much a long entry's words count less."""
    text: float = 8.0
    vector: float = 1.0
    similar_term: float = 0.5
    """Of a term that was found in place of a misspelt one."""
    best_chunks: int = 2
    before: tuple[float, ...] = (0.35, 0.25)
    after: tuple[float, ...] = (0.2, 0.2)
    context_length: int = 400
    """An entry up to this long takes context in full, a longer one in proportion."""
    after_question: float = 0.2
    question: float = 0.5
    author: float = 1.5
    first_author: float = 0.5
    date: float = 3.0
    days_after: float = 7.0
    days_before: float = 3.0
    name: float = 20.0
    """Of an entry whose id or key stands in the query."""
    least_cosine: float = 0.25
    """What is less alike than this is no hit by meaning alone."""
    least_context: float = 1.5
    """Nor is what does not get as much as this from its neighbours."""
    near_cosine_deviations: float = 1.0
    """From here on a hit says that its meaning matched."""


@dataclass(frozen=True)
class Statistics:
    """What is so of all that is searched, where only the best of it is looked at."""

    size: int
    average_words: float
    mean: float = 0.0
    """Of the cosines; `spread` is their deviation."""
    spread: float = 1.0
    slope: float = 0.0
    """How many deviations a share of the question's words is worth."""


@dataclass(frozen=True)
class Neighbours:
    """What stands beside each entry in its session, session by session."""

    beside: Sequence[tuple[slice, slice, Floats]]
    """Of all that have something so far behind or before them: where, what, and its weight."""
    weight: Floats
    """What an entry itself and all that stands beside it weigh together."""


@dataclass(frozen=True)
class Constants:
    """What no query changes of the entries' scores."""

    norm: Floats
    """How often a word must stand in each for half of what it can be worth."""
    asks: Floats
    """What each loses because it merely asks."""
    neighbours: Neighbours | None
    """`None` where no entry has a session."""


@dataclass(frozen=True)
class Corpus:
    """The entries that may be searched, as columns in one order."""

    days: Floats
    sessions: Integers
    """0 where an entry has no session."""
    order: NDArray[np.uint64]
    """The id's halves in two columns: what breaks ties."""
    line: Integers
    """The entries session by session, and in each from the first to the last."""
    lengths: Floats
    words: Floats
    is_question: Flags
    authors: NDArray[np.object_]
    statistics: Statistics | None = None
    """Of all, where these are a choice."""
    _constants: dict[Weights, Constants] = field(
        default_factory=dict[Weights, Constants], init=False, compare=False
    )

    @property
    def size(self) -> int:
        return len(self.days)

    def constants(self, weights: Weights) -> Constants:
        """Those by these weights; the last ones that were asked for are kept."""
        kept = self._constants.get(weights)
        if kept is None:
            kept = _find_constants(self, weights)
            self._constants.clear()
            self._constants[weights] = kept
        return kept


@dataclass(frozen=True)
class TermMatch:
    """A term of the query: which entries have it and how often; `weight` is less for a guess."""

    entries: Integers
    counts: Floats
    weight: float = 1.0
    found: int | None = None
    """How many of all have it, where the corpus is a choice."""


@dataclass(frozen=True)
class Question:
    """What a query asks of every entry."""

    terms: Sequence[TermMatch]
    cosines: Floats | None
    """Of every vector, in the order of the entries; `None` where there is no model."""
    vector_counts: Integers
    """How many of these are of each entry."""
    authors: Sequence[str]
    """Those that the query names, the first one first."""
    spans: Sequence[DateSpan]
    named: Flags


@dataclass(frozen=True)
class Ranking:
    """Scores, and why; `best_chunks` tells which of an entry's vectors is nearest, or -1."""

    scores: Floats
    text: Floats
    cosines: Floats
    deviations: Floats
    context: Floats
    dated: Floats
    by_author: Flags
    best_chunks: Integers

    def find_hits(self, mode: SearchMode, weights: Weights, *, by_meaning: bool) -> Flags:
        """Which entries are hits at all: by a word, a date, their meaning or their neighbours.

        Everything is alike a little, so meaning alone needs `least_cosine`; a neighbour counts
        where it lifts an entry to `least_context`.
        """
        hits = self.dated >= 1
        if mode != "semantic":
            hits = hits | (self.text > 0)
        if mode == "text":
            return hits | (self.context > 0)
        if not by_meaning:
            return hits
        return (
            hits | (self.cosines >= weights.least_cosine) | (self.context >= weights.least_context)
        )

    def best_first(self, corpus: Corpus, hits: Flags, most: int) -> Integers:
        """The best of the hits, at least `most` where there are as many, then by id."""
        indices = np.flatnonzero(hits)
        if len(indices) > most:
            scores = self.scores[indices]
            indices = indices[scores >= np.partition(scores, -most)[-most]]
        order = corpus.order[indices]
        return indices[np.lexsort((order[:, 1], order[:, 0], -self.scores[indices]))]


def rank(corpus: Corpus, question: Question, mode: SearchMode, weights: Weights) -> Ranking:
    """Scores every entry of the corpus; what is not in it has no influence."""
    constants = corpus.constants(weights)
    text = _score_text(corpus, constants.norm, question.terms, weights)
    cosines, best_chunks = nearest(question.vector_counts, question.cosines, weights.best_chunks)
    own = weights.text * text
    if mode == "text":
        deviations = np.zeros(corpus.size)
    else:
        deviations = _deviations(cosines, text, corpus.statistics)
        meaning = weights.vector * deviations
        own = meaning if mode == "semantic" else meaning + own
    context = _in_context(corpus, own, constants.neighbours)
    by_author, author_bonus = _score_authors(corpus, question.authors, weights)
    dated = score_dates(corpus.days, question.spans, weights)
    scores = (
        context
        - constants.asks
        + author_bonus
        + weights.date * dated
        + weights.name * question.named
    )
    return Ranking(
        scores=scores,
        text=text,
        cosines=np.where(np.isnan(cosines), -1.0, cosines),
        deviations=deviations,
        context=context,
        dated=dated,
        by_author=by_author,
        best_chunks=best_chunks,
    )


def _find_constants(corpus: Corpus, weights: Weights) -> Constants:
    if corpus.statistics is not None:
        average = corpus.statistics.average_words
    else:
        average = corpus.words.mean() if corpus.size else 0.0
    share = corpus.words / average if average else np.zeros(corpus.size)
    return Constants(
        norm=weights.saturation * (1 - weights.length_share + weights.length_share * share),
        asks=np.where(
            corpus.is_question & (corpus.lengths < weights.context_length), weights.question, 0.0
        ),
        neighbours=_find_neighbours(corpus, weights) if corpus.sessions.any() else None,
    )


def _score_text(
    corpus: Corpus, norm: Floats, terms: Sequence[TermMatch], weights: Weights
) -> Floats:
    """BM25 divided by the sum of the terms' idf: the share of the question that is there.

    A term that occurs nowhere counts in the divisor, which keeps half matches small.
    """
    scores = np.zeros(corpus.size)
    best = 0.0
    size = corpus.size if corpus.statistics is None else corpus.statistics.size
    for term in terms:
        rarity = rarity_of(len(term.entries) if term.found is None else term.found, size)
        best += rarity
        counts = term.counts
        frequency = counts * (weights.saturation + 1) / (counts + norm[term.entries])
        scores[term.entries] += term.weight * rarity * frequency
    return scores / best if best else scores


def rarity_of(found: int, size: int) -> float:
    """BM25's idf of a term that so many of all entries have."""
    return math.log(1 + (size - found + 0.5) / (found + 0.5))


def nearest(vector_counts: Integers, cosines: Floats | None, count: int) -> tuple[Floats, Integers]:
    """The mean of each entry's best cosines (NaN without a vector), and which was the best."""
    means = np.full(len(vector_counts), np.nan)
    best = np.full(len(vector_counts), _NOWHERE, dtype=np.int64)
    if cosines is None or not len(cosines):
        return means, best
    having = np.flatnonzero(vector_counts)
    counts = vector_counts[having]
    starts = np.cumsum(counts) - counts
    left = cosines.copy()
    total = np.zeros(len(having))
    for turn in range(count):
        present = counts > turn
        nearest = _first_greatest(left, starts, counts)
        total[present] += left[nearest[present]]
        left[nearest] = -np.inf
        if turn == 0:
            best[having] = nearest - starts
    means[having] = total / np.minimum(counts, count)
    return means, best


def _first_greatest(values: Floats, starts: Integers, counts: Integers) -> Integers:
    """Where the first of the greatest values of each group is; groups follow one another."""
    greatest = np.repeat(np.maximum.reduceat(values, starts), counts)
    indices = np.flatnonzero(values == greatest)
    return indices[np.searchsorted(indices, starts)]


def _deviations(cosines: Floats, text: Floats, statistics: Statistics | None) -> Floats:
    """How far each cosine is from the mean, in standard deviations.

    Where there is none yet, it is what the others with as much of the words have: without that,
    every entry with a vector would come before or behind those that still wait for theirs.
    """
    present = ~np.isnan(cosines)
    if statistics is not None:
        deviations = (cosines - statistics.mean) / statistics.spread
        return np.where(present, deviations, statistics.slope * text)
    if not present.any():
        return np.zeros(len(cosines))
    spread = cosines[present].std() or 1.0
    deviations = (cosines - cosines[present].mean()) / spread
    words = text[present]
    # Sums of products, because OpenBLAS shares long scalar products out among threads.
    alike = float((words * deviations[present]).sum())
    slope = max(0.0, alike) / (float((words * words).sum()) or 1.0)
    return np.where(present, deviations, slope * text)


def _in_context(corpus: Corpus, own: Floats, neighbours: Neighbours | None) -> Floats:
    """The weighted mean of an entry's own score and its neighbours' in the same session."""
    if neighbours is None:
        return own
    # All columns session by session: what stands beside an entry there is its neighbour.
    in_line = own[corpus.line]
    total = in_line.copy()
    for here, there, near in neighbours.beside:
        total[here] += near * in_line[there]
    context = np.empty(corpus.size)
    context[corpus.line] = total / neighbours.weight
    return context


def _find_neighbours(corpus: Corpus, weights: Weights) -> Neighbours:
    line = corpus.line
    sessions, lengths = corpus.sessions[line], corpus.lengths[line]
    share = np.minimum(1.0, weights.context_length / np.maximum(lengths, 1))
    weight = np.ones(corpus.size)
    steps = [(-d, worth) for d, worth in enumerate(weights.before, 1)]
    steps += [(d, worth) for d, worth in enumerate(weights.after, 1)]
    beside: list[tuple[slice, slice, Floats]] = []
    for distance, worth in steps:
        here, there = _side_by_side(distance)
        together = (sessions[here] == sessions[there]) & (sessions[here] != 0)
        near = np.where(together, share[here] * worth, 0.0)
        if distance == -1:
            is_question = corpus.is_question[line[there]]
            answers = together & is_question & (lengths[here] < weights.context_length)
            near += share[here] * weights.after_question * answers
        weight[here] += near
        beside.append((here, there, near))
    return Neighbours(beside, weight)


def _side_by_side(distance: int) -> tuple[slice, slice]:
    """All that have something so far behind them in a column, and what these have there."""
    if distance < 0:
        return slice(-distance, None), slice(distance)
    return slice(-distance), slice(distance, None)


def _score_authors(corpus: Corpus, named: Sequence[str], weights: Weights) -> tuple[Flags, Floats]:
    if not named:
        return np.zeros(corpus.size, dtype=np.bool_), np.zeros(corpus.size)
    by_any = np.isin(corpus.authors, list(named))
    by_first = corpus.authors == named[0]
    return by_any, weights.author * by_any + weights.first_author * by_first


def score_dates(of: Floats, spans: Sequence[DateSpan], weights: Weights) -> Floats:
    """1 within a span that the query names, less the further outside."""
    if not spans:
        return np.zeros(len(of))
    ordered = sorted((span.first.toordinal(), span.last.toordinal()) for span in spans)
    firsts = np.array([-np.inf, *(first - _EPOCH for first, _ in ordered), np.inf])
    lasts = np.array([-np.inf, *(last - _EPOCH for _, last in ordered)])
    days = np.floor(of)
    # Of all spans, the one that ends last of those that have begun, or the next one, is nearest.
    begun = np.searchsorted(firsts, days, side="right") - 1
    late = (days - np.maximum.accumulate(lasts)[begun]) / weights.days_after
    early = (firsts[begun + 1] - days) / weights.days_before
    return np.exp(-np.maximum(np.minimum(late, early), 0))
