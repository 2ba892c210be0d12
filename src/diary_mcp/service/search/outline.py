"""The outline of a large diary: of each entry what it takes to choose those worth reading.

Columns again, about 150 bytes an entry of one or two passages, in the order of sessions, so that
neighbours stand side by side. What a row says is only ever near the truth: whoever is chosen is
read and ranked as any other entry.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from diary_mcp.domain.query_dates import DateSpan
from diary_mcp.service.search.cache import Documents, Ids
from diary_mcp.service.search.codes import Coder, Codes, Singles, count_codes
from diary_mcp.service.search.corpus import compare, vector_bytes
from diary_mcp.service.search.ranking import (
    Flags,
    Floats,
    Integers,
    Statistics,
    Weights,
    nearest,
    rarity_of,
    score_dates,
)

SAMPLED = 4_000
"""How many entries stand for all where a mean and a deviation are to be known."""

REFINED = 4_096
"""How many slots are looked at closer."""

_CALIBRATED = 1_024

_HALF = np.dtype(">u8")
_NOWHERE = -1


@dataclass(frozen=True)
class Columns:
    """Some entries' rows, in the order in which they were read."""

    ids: Ids
    days: Floats
    sessions: Integers
    lengths: Singles
    words: Singles
    is_question: Flags
    worded: Flags
    authors: NDArray[np.object_]
    codes: Codes
    code_counts: NDArray[np.uint16]


@dataclass(frozen=True)
class Terms:
    """Where a term occurs, sorted, and how often."""

    slots: NDArray[np.uint32]
    counts: NDArray[np.uint16]

    @staticmethod
    def nowhere() -> "Terms":
        """Of a term that no entry has."""
        return Terms(np.zeros(0, np.uint32), np.zeros(0, np.uint16))

    def among(self, slots: Integers) -> tuple[Integers, Floats]:
        """Which of these slots have it, by their places, and how often; a slot of -1 has not."""
        if not len(self.slots):
            return np.zeros(0, np.int64), np.zeros(0)
        places = np.minimum(np.searchsorted(self.slots, slots), len(self.slots) - 1)
        indices = np.flatnonzero(self.slots[places] == slots)
        return indices, self.counts[places[indices]].astype(np.float64)


@dataclass(frozen=True)
class Sought:
    """What is looked for in an outline."""

    vector: bytes | None
    by_words: bool
    terms: Sequence[tuple[Terms, float]]
    """Each with its weight."""
    authors: Sequence[str]
    spans: Sequence[DateSpan]


@dataclass(frozen=True)
class _Sample:
    """Entries whose cosines are known, as deviations from their mean."""

    slots: Integers
    deviations: Floats
    mean: float
    spread: float
    slope: float

    def calibrate(self, measured: Singles, of_sample: Singles) -> Singles:
        """What was measured as deviations: what it is worth is seen in the sample."""
        if not len(self.slots):
            return np.zeros(len(measured), dtype=np.float32)
        middle = float(of_sample.mean())
        worth = float((of_sample - middle).astype(np.float64) @ self.deviations)
        worth /= len(self.slots) * (float(of_sample.var()) or 1.0)
        known = np.float32(self.deviations.mean())
        return (measured - np.float32(middle)) * np.float32(worth) + known

    def some(self, count: int) -> "_Sample":
        """The first of these: enough to tell what a measure is worth."""
        return replace(self, slots=self.slots[:count], deviations=self.deviations[:count])

    def of_all(self, estimated: Singles, of_sample: Singles) -> "_Sample":
        """The same, seen from all entries: how far off the sample is shows in what is estimated."""
        if not len(self.slots):
            return self
        off = float(estimated.mean()) - float(of_sample.mean())
        wider = math.sqrt(max(0.1, 1 + float(estimated.var()) - float(of_sample.var())))
        return _Sample(
            self.slots,
            (self.deviations - off) / wider,
            self.mean + self.spread * off,
            self.spread * wider,
            self.slope / wider,
        )


class Outline:
    """An outline, whose rows are called slots. Nothing in it changes.

    Args:
        sample: entries drawn at random, in full; all of them where they are few.
    """

    def __init__(self, parts: Sequence[Columns], coder: Coder, sample: Documents) -> None:
        self.coder = coder
        self.sample = sample
        sessions = np.concatenate([part.sessions for part in parts])
        days = np.concatenate([part.days for part in parts])
        line = np.lexsort((days, sessions))
        self.sessions = sessions[line]
        self.days = days[line]
        self.ids: Ids = np.concatenate([part.ids for part in parts])[line]
        self.lengths: Singles = np.concatenate([part.lengths for part in parts])[line]
        self.words: Singles = np.concatenate([part.words for part in parts])[line]
        self.is_question: Flags = np.concatenate([part.is_question for part in parts])[line]
        self.worded: Flags = np.concatenate([part.worded for part in parts])[line]
        named, authors = _numbered([part.authors for part in parts])
        self.author_names = named
        self.authors = authors[line]
        counts = np.concatenate([part.code_counts for part in parts])
        self.code_counts = counts[line]
        codes = np.concatenate([part.codes for part in parts], axis=1)
        self._codes, self._holders = _by_turn(codes, counts.astype(np.int64), line)

        ends = np.cumsum([len(each) for each in self._holders]).tolist()
        self._turns = list(zip(self._holders, [0, *ends], ends, strict=False))

    @property
    def size(self) -> int:
        return len(self.days)

    @property
    def size_bytes(self) -> int:
        columns = (
            self.sessions, self.days, self.ids, self.lengths, self.words, self.is_question,
            self.worded, self.authors, self.code_counts, self._codes, *self._holders,
            *self._by_id,
        )  # fmt: skip
        return sum(column.nbytes for column in columns) + self.sample.size_bytes

    @cached_property
    def years(self) -> frozenset[int]:
        """The years that the entries are about."""
        years = np.unique(self.days.astype("datetime64[D]").astype("datetime64[Y]"))
        return frozenset((years.astype(np.int64) + 1970).tolist())

    def find(self, ids: Ids) -> Integers:
        """The slot of each of these ids; -1 where it has none."""
        if not self.size:
            return np.full(len(ids), _NOWHERE, dtype=np.int64)
        firsts, slots = self._by_id
        wanted = _halves(ids)
        places = np.searchsorted(firsts, wanted[:, 0])
        found = np.full(len(ids), _NOWHERE, dtype=np.int64)
        left = np.arange(len(ids))
        # Mostly the first half tells; those made in the same moment are gone through.
        while len(left):
            left = left[places[left] < self.size]
            left = left[firsts[places[left]] == wanted[left, 0]]
            at = slots[places[left]]
            is_it = self.ids[at] == ids[left]
            found[left[is_it]] = at[is_it]
            left = left[~is_it]
            places[left] += 1
        return found

    def columns(self, keep: Flags) -> Columns:
        """The rows of these slots, as they were read."""
        sizes = [len(holders) for holders in self._holders]
        turns = np.repeat(np.arange(len(sizes)), sizes)
        holders = np.concatenate([*self._holders, np.zeros(0, np.uint32)])
        order = np.lexsort((turns, holders))
        order = order[keep[holders[order]]]
        return Columns(
            self.ids[keep], self.days[keep], self.sessions[keep], self.lengths[keep],
            self.words[keep], self.is_question[keep], self.worded[keep],
            np.array(self.author_names, dtype=np.object_)[self.authors[keep]],
            self._codes[:, order], self.code_counts[keep],
        )  # fmt: skip

    @cached_property
    def ages(self) -> Floats:
        """The greater, the newer the entry: its id tells when it was made."""
        return _halves(self.ids)[:, 0].astype(np.float64)

    def having_all(self, terms: Sequence[str], found: Mapping[str, Terms]) -> Flags:
        """Which slots have all of the terms."""
        having = np.ones(self.size, dtype=np.bool_)
        for term in terms:
            present = np.zeros(self.size, dtype=np.bool_)
            if term in found:
                present[found[term].slots] = True
            having &= present
        return having

    def score(self, sought: Sought, weights: Weights) -> tuple[Singles, Statistics]:
        """What the score of each slot is, nearly, and what is so of all.

        Of what is not among the best by itself, nor beside one of these, it is less than any.
        """
        text = self._score_text(sought.terms, weights)
        own = text * np.float32(weights.text if sought.by_words else 0)
        statistics = Statistics(self.size, float(self.words.mean()))
        bonus = self._bonus(sought, weights)
        if sought.vector is None:
            best = self._best(own, bonus)
        else:
            rough, sample = self._deviations(sought.vector, text, weights)
            own += np.float32(weights.vector) * rough
            best = self._best(own, bonus)
            coded = best[self.code_counts[best] > 0]
            refined = self._refined(coded, sought.vector, sample)
            own[coded] += np.float32(weights.vector) * (refined - rough[coded])
            statistics = replace(
                statistics, mean=sample.mean, spread=sample.spread, slope=sample.slope
            )
        near = self.around(best, weights)
        scores = np.full(self.size, -np.inf, dtype=np.float32)
        scores[near] = self._in_context(near, own, weights)
        if bonus is not None:
            scores[near] += bonus[near]
        return scores, statistics

    def _best(self, own: Singles, bonus: Singles | None) -> Integers:
        if self.size <= REFINED:
            return np.arange(self.size)
        scores = own if bonus is None else own + bonus
        return np.argpartition(scores, -REFINED)[-REFINED:]

    def around(self, slots: Integers, weights: Weights) -> Integers:
        """These slots, and those beside them in their sessions."""
        near = [slots]
        for distance in (*range(-len(weights.before), 0), *range(1, len(weights.after) + 1)):
            beside, together = self._beside(slots, distance)
            near.append(beside[together])
        return np.unique(np.concatenate(near))

    def _bonus(self, sought: Sought, weights: Weights) -> Singles | None:
        """What authors and dates are worth, where the query names any."""
        if not sought.authors and not sought.spans:
            return None
        bonus = np.zeros(self.size, dtype=np.float32)
        for place, author in enumerate(sought.authors):
            if author in self.author_names:
                is_first = weights.first_author * (place == 0)
                bonus[self.authors == self.author_names.index(author)] += weights.author + is_first
        if sought.spans:
            bonus += np.float32(weights.date) * score_dates(self.days, sought.spans, weights)
        return bonus

    def _score_text(self, terms: Sequence[tuple[Terms, float]], weights: Weights) -> Singles:
        scores = np.zeros(self.size, dtype=np.float32)
        best = 0.0
        share = weights.length_share / (float(self.words.mean()) or 1.0)
        norm = weights.saturation * (1 - weights.length_share + np.float32(share) * self.words)
        for term, weight in terms:
            rarity = rarity_of(len(term.slots), self.size)
            best += rarity
            counts = term.counts.astype(np.float32)
            frequency = counts / (counts + norm[term.slots])
            frequency *= np.float32(weight * rarity * (weights.saturation + 1))
            scores[term.slots] += frequency
        return scores / np.float32(best) if best else scores

    def _measure(self, vector: bytes, text: Singles, weights: Weights) -> "_Sample":
        """What is so of the sample, whose vectors are known."""
        sample = self.sample.with_vectors_of(vector_bytes(vector))
        counts = sample.sizes // vector_bytes(vector)
        known = (self._sample_slots >= 0) & (counts > 0)
        if not known.any():
            return _Sample(np.zeros(0, np.int64), np.zeros(0), 0.0, 1.0, 0.0)
        means, _ = nearest(counts, compare(sample.vectors, vector), weights.best_chunks)
        slots, cosines = self._sample_slots[known], means[known]
        mean, spread = float(cosines.mean()), float(cosines.std()) or 1.0
        words = text[slots].astype(np.float64)
        alike = float((words * (cosines - mean)).sum()) / spread
        slope = max(0.0, alike) / (float((words * words).sum()) or 1.0)
        return _Sample(slots, (cosines - mean) / spread, mean, spread, slope)

    def _deviations(
        self, vector: bytes, text: Singles, weights: Weights
    ) -> tuple[Singles, "_Sample"]:
        """How far each cosine is from the mean, nearly, by the bits that are shared."""
        sample = self._measure(vector, text, weights)
        shared = self.coder.shared_bits(self._codes, vector).astype(np.float32)
        everywhere = [(holders, shared[start:end]) for holders, start, end in self._turns]
        best = _best_two(self.size, everywhere)
        without = self.code_counts == 0
        best[without] = 0
        rough = sample.calibrate(best, best[sample.slots])
        sample = sample.of_all(rough[~without], rough[sample.slots])
        rough = sample.calibrate(rough, rough[sample.slots])
        rough[without] = sample.slope * text[without]
        return rough, sample

    def _refined(self, slots: Integers, vector: bytes, sample: "_Sample") -> Singles:
        """The same of a few, and nearer."""
        sample = sample.some(_CALIBRATED)
        of_sample = self._projected(sample.slots, vector)
        return sample.calibrate(self._projected(slots, vector), of_sample)

    def _projected(self, slots: Integers, vector: bytes) -> Singles:
        measured: list[tuple[Integers, Singles]] = []
        for holders, start, _ in self._turns:
            places = np.minimum(np.searchsorted(holders, slots), len(holders) - 1)
            having = np.flatnonzero(holders[places] == slots)
            codes = self._codes[:, start + places[having]]
            measured.append((having, self.coder.project(codes, vector)))
        return _best_two(len(slots), measured)

    @cached_property
    def _sample_slots(self) -> Integers:
        return self.find(self.sample.ids)

    def _in_context(self, slots: Integers, own: Singles, weights: Weights) -> Singles:
        """As the ranking has it, but for what an answer adds and a mere question lacks."""
        share = np.minimum(
            1, np.float32(weights.context_length) / np.maximum(self.lengths[slots], 1)
        )
        total, weight = own[slots], np.ones(len(slots), dtype=np.float32)
        steps = [(-distance, worth) for distance, worth in enumerate(weights.before, 1)]
        for distance, worth in (*steps, *enumerate(weights.after, 1)):
            beside, together = self._beside(slots, distance)
            near = share * together * np.float32(worth)
            total += near * own[beside]
            weight += near
        asks = self.is_question[slots] & (self.lengths[slots] < weights.context_length)
        return total / weight - np.float32(weights.question) * asks

    def _beside(self, slots: Integers, distance: int) -> tuple[Integers, Flags]:
        """What stands so far from each, and whether that is in the same session."""
        beside = (slots + distance).clip(0, self.size - 1)
        together = (self.sessions[beside] == self.sessions[slots]) & (self.sessions[slots] != 0)
        return beside, together & (beside == slots + distance)

    @cached_property
    def _by_id(self) -> tuple[NDArray[np.uint64], NDArray[np.uint32]]:
        """The first halves of all ids, sorted, and whose they are."""
        firsts = _halves(self.ids)[:, 0]
        slots = np.argsort(firsts, kind="stable")
        return firsts[slots], slots.astype(np.uint32)


def _best_two(size: int, measured: Sequence[tuple[NDArray[np.integer], Singles]]) -> Singles:
    """The mean of the two greatest measures of each: one has the first, fewer a second and more."""
    first = np.full(size, -np.inf, dtype=np.float32)
    second: Singles | None = None
    for having, measures in measured:
        if len(having) == size:
            before, now = first, measures
            first = np.maximum(before, now)
        else:
            before, now = first[having], measures
            first[having] = np.maximum(before, now)
        if second is None:
            second = np.full(size, -np.inf, dtype=np.float32)
            continue
        second[having] = np.maximum(second[having], np.minimum(before, now))
    if second is None:
        return first
    return np.where(second > -np.inf, (first + second) / 2, first)


def as_columns(documents: Documents, coder: Coder) -> Columns:
    """The rows of these entries."""
    size = coder.vector_bytes
    documents = documents.with_vectors_of(size)
    counts = documents.sizes // size
    return Columns(
        documents.ids,
        documents.days,
        documents.sessions,
        documents.lengths.astype(np.float32),
        documents.words.astype(np.float32),
        documents.is_question,
        documents.worded,
        documents.authors,
        coder.encode(documents.vectors, counts),
        count_codes(counts).astype(np.uint16),
    )


def _halves(ids: Ids) -> NDArray[np.uint64]:
    """Both halves of each id as numbers, in two columns."""
    return np.frombuffer(ids.tobytes(), dtype=_HALF).astype(np.uint64).reshape(-1, 2)


def _numbered(
    parts: Sequence[NDArray[np.object_]],
) -> tuple[tuple[str, ...], NDArray[np.int32]]:
    """Every author once, and for each entry the number of its own."""
    numbers: dict[str, int] = {}
    columns = [
        np.fromiter(
            (numbers.setdefault(author, len(numbers)) for author in part), np.int32, len(part)
        )
        for part in parts
    ]
    return tuple(numbers), np.concatenate(columns)


def _by_turn(
    codes: Codes, counts: Integers, line: Integers
) -> tuple[Codes, list[NDArray[np.uint32]]]:
    """The first code of each slot, then the second of those that have one, and so on; and whose."""
    starts = (np.cumsum(counts) - counts)[line]
    counts = counts[line]
    order: list[Integers] = []
    holders: list[NDArray[np.uint32]] = []
    for turn in range(int(counts.max(initial=0))):
        having = np.flatnonzero(counts > turn)
        holders.append(having.astype(np.uint32))
        order.append(starts[having] + turn)
    return np.ascontiguousarray(codes[:, np.concatenate(order)] if order else codes), holders
