"""Which entries of a large diary are worth reading: the best by what its outline says of them.

All are scored by bits, and the best of these once more by the query's vector itself. What the bits
are worth is seen in the sample, whose cosines are known.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from diary_mcp.domain.query_dates import DateSpan
from diary_mcp.service.search.code_table import SharedBits
from diary_mcp.service.search.codes import Singles
from diary_mcp.service.search.corpus import compare, vector_bytes
from diary_mcp.service.search.outline import Outline
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
from diary_mcp.service.search.terms import Terms

REFINED = 4_096
"""How many slots are looked at closer."""

_CALIBRATED = 256
_SEEN_AS_ALL = 16_384
"""How many slots tell what is so of all: a mean, or the least of the best."""


@dataclass(frozen=True)
class Sought:
    """What is looked for in an outline."""

    vector: bytes | None
    by_words: bool
    terms: Sequence[tuple[Terms, float]]
    """Each with its weight."""
    authors: Sequence[str]
    spans: Sequence[DateSpan]
    shared_bits: SharedBits | None
    """Of each slot with the vector, where there is one."""


@dataclass(frozen=True)
class Candidates:
    """The best slots, the very best first; and what is so of all."""

    slots: Integers
    statistics: Statistics


@dataclass(frozen=True)
class _Sample:
    """Entries whose cosines are known, as deviations from their mean; in order of their slots."""

    slots: Integers
    deviations: Floats
    mean: float
    spread: float
    slope: float

    def some(self, count: int) -> "_Sample":
        """So many of these, or a few more: enough to tell what a measure is worth."""
        every = max(1, len(self.slots) // count)
        return replace(self, slots=self.slots[::every], deviations=self.deviations[::every])

    def corrected(self, off: float, wider: float) -> "_Sample":
        """The same, seen from all entries, whose mean is so far off and which are so much wider."""
        return _Sample(
            self.slots,
            (self.deviations - off) / wider,
            self.mean + self.spread * off,
            self.spread * wider,
            self.slope / wider,
        )


@dataclass(frozen=True)
class _Line:
    """What a measure is worth in deviations."""

    worth: float
    known: float
    """Of a measure of 0."""

    @staticmethod
    def through(measured: Singles, deviations: Floats) -> "_Line":
        """The line that is nearest to what is known of some."""
        middle = float(measured.mean())
        worth = float((measured - middle).astype(np.float64) @ deviations)
        worth /= len(deviations) * (float(measured.var()) or 1.0)
        return _Line(worth, float(deviations.mean()) - worth * middle)

    def apply(self, measured: Singles) -> Singles:
        """Deviations in the place of what was measured."""
        measured *= np.float32(self.worth)
        measured += np.float32(self.known)
        return measured


def choose_candidates(
    outline: Outline, sought: Sought, weights: Weights, allowed: Flags, most: int
) -> Candidates:
    """The best of the allowed slots, at most so many, and what is so of all slots."""
    text = _score_text(outline, sought.terms, weights)
    by_text = np.float32(weights.text if sought.by_words else 0)
    statistics = Statistics(outline.size, outline.average_words)
    bonus = _bonus(outline, sought, weights)
    if sought.vector is None or sought.shared_bits is None:
        own = np.multiply(text, by_text, out=text)
        best = _best(own, bonus, allowed, max(most, REFINED))
    else:
        sample = _measure(outline, sought.vector, text, weights)
        own, sample = _deviations(outline, sought.shared_bits, sample, text)
        own *= np.float32(weights.vector)
        text *= by_text
        own += text
        best = _best(own, bonus, allowed, max(most, REFINED))
        closer = best[_greatest(own[best], REFINED)]
        closer = np.sort(closer[outline.codes.counts[closer] > 0])
        refined = _refine(outline, closer, sought.vector, sample)
        own[closer] = np.float32(weights.vector) * refined + text[closer]
        statistics = replace(statistics, mean=sample.mean, spread=sample.spread, slope=sample.slope)
    # Those that gain by their neighbours have some of these beside them.
    best = best[_greatest(own[best] if bonus is None else own[best] + bonus[best], most)]
    near = outline.around(best, weights)
    near = near[allowed[near]]
    scores = _in_context(outline, near, own, weights)
    if bonus is not None:
        scores += bonus[near]
    chosen = _greatest(scores, most)
    order = np.argsort(-scores[chosen], kind="stable")
    return Candidates(near[chosen[order]], statistics)


def _best(own: Singles, bonus: Singles | None, allowed: Flags, most: int) -> Integers:
    scores = own if bonus is None else own + bonus
    if not allowed.all():
        scores = np.where(allowed, scores, np.float32(-np.inf))
    best = _greatest(scores, most)
    return best[scores[best] > -np.inf]


def _greatest(scores: Singles, most: int) -> Integers:
    """Where the greatest are, at most so many, in no order."""
    if len(scores) <= most:
        return np.arange(len(scores))
    every = max(1, len(scores) // _SEEN_AS_ALL)
    # Some more than these are above what so many of a part of all are above.
    among = most / every
    among = math.ceil(among + 4 * math.sqrt(among))
    some = scores[::every]
    if every > 1 and among < len(some):
        above = np.flatnonzero(scores >= np.partition(some, -among)[-among])
        if len(above) >= most:
            return above[np.argpartition(scores[above], -most)[-most:]]
    return np.argpartition(scores, -most)[-most:]


def _bonus(outline: Outline, sought: Sought, weights: Weights) -> Singles | None:
    """What authors and dates are worth, where the query names any."""
    if not sought.authors and not sought.spans:
        return None
    bonus = np.zeros(outline.size, dtype=np.float32)
    for place, author in enumerate(sought.authors):
        if author in outline.author_names:
            is_first = weights.first_author * (place == 0)
            theirs = outline.authors == outline.author_names.index(author)
            bonus[theirs] += weights.author + is_first
    if sought.spans:
        days, which = outline.different_days
        dated = weights.date * score_dates(days, sought.spans, weights)
        bonus += dated.astype(np.float32)[which]
    return bonus


def _score_text(
    outline: Outline, terms: Sequence[tuple[Terms, float]], weights: Weights
) -> Singles:
    """As the ranking has it."""
    scores = np.zeros(outline.size, dtype=np.float32)
    rarities = [rarity_of(len(term.slots), outline.size) for term, _ in terms]
    best = sum(rarities) or 1.0
    least = weights.saturation * (1 - weights.length_share)
    share = weights.saturation * weights.length_share / (outline.average_words or 1.0)
    for (term, weight), rarity in zip(terms, rarities, strict=True):
        # As numpy looks them up, or they would be converted each time.
        slots, counts = term.slots.astype(np.intp), term.counts.astype(np.float32)
        norm = np.float32(share) * outline.words[slots] + np.float32(least)
        frequency = counts / (counts + norm)
        frequency *= np.float32(weight * rarity * (weights.saturation + 1) / best)
        scores[slots] += frequency
    return scores


def _deviations(
    outline: Outline, shared_bits: SharedBits, sample: _Sample, text: Singles
) -> tuple[Singles, _Sample]:
    """How far each cosine is from the mean, nearly, by the bits that are shared.

    How far off the sample is shows in what is estimated of all.
    """
    measured = shared_bits.astype(np.float32)
    if not len(sample.slots):
        return np.zeros_like(measured), sample
    of_sample = measured[sample.slots]
    line = _Line.through(of_sample, sample.deviations)
    every = max(1, outline.size // _SEEN_AS_ALL)
    of_all = measured[::every][outline.codes.counts[::every] > 0]
    off = line.worth * float(of_all.mean() - of_sample.mean())
    wider = math.sqrt(max(0.1, 1 + line.worth**2 * float(of_all.var() - of_sample.var())))
    sample = sample.corrected(off, wider)
    rough = _Line(line.worth / wider, (line.known - off) / wider).apply(measured)
    without = outline.codes.without
    rough[without] = sample.slope * text[without]
    return rough, sample


def _measure(outline: Outline, vector: bytes, text: Singles, weights: Weights) -> _Sample:
    """What is so of the sample, whose vectors are known."""
    size = vector_bytes(vector)
    sample = outline.sample.with_vectors_of(size)
    counts = sample.sizes // size
    known = (outline.sample_slots >= 0) & (counts > 0)
    if not known.any():
        return _Sample(np.zeros(0, np.int64), np.zeros(0), 0.0, 1.0, 0.0)
    means, _ = nearest(counts, compare(sample.vectors, vector), weights.best_chunks)
    slots, cosines = outline.sample_slots[known], means[known]
    line = np.argsort(slots)
    slots, cosines = slots[line], cosines[line]
    mean, spread = float(cosines.mean()), float(cosines.std()) or 1.0
    words = text[slots].astype(np.float64)
    alike = float((words * (cosines - mean)).sum()) / spread
    slope = max(0.0, alike) / (float((words * words).sum()) or 1.0)
    return _Sample(slots, (cosines - mean) / spread, mean, spread, slope)


def _refine(outline: Outline, slots: Integers, vector: bytes, sample: _Sample) -> Singles:
    """The deviations of a few, nearer."""
    if not len(sample.slots):
        return np.zeros(len(slots), dtype=np.float32)
    some = sample.some(_CALIBRATED)
    of_sample = outline.codes.project(outline.coder, some.slots, vector)
    line = _Line.through(of_sample, some.deviations)
    return line.apply(outline.codes.project(outline.coder, slots, vector))


def _in_context(outline: Outline, slots: Integers, own: Singles, weights: Weights) -> Singles:
    """As the ranking has it, but for what an answer adds and a mere question lacks."""
    lengths = outline.lengths[slots]
    share = np.minimum(1, np.float32(weights.context_length) / np.maximum(lengths, 1))
    total, weight = own[slots], np.ones(len(slots), dtype=np.float32)
    steps = [(-distance, worth) for distance, worth in enumerate(weights.before, 1)]
    for distance, worth in (*steps, *enumerate(weights.after, 1)):
        beside, together = outline.beside(slots, distance)
        near = share * together * np.float32(worth)
        total += near * own[beside]
        weight += near
    asks = outline.is_question[slots] & (lengths < weights.context_length)
    return total / weight - np.float32(weights.question) * asks
