"""One search in a large diary: what of it is worth ranking, and is read.

Some dozens of entries, the best by the outline, with their neighbours, what supersedes them, and
all that changed since the outline was made. These are ranked as a small diary is; only what is so
of all entries, such as how rare a word is, comes from the outline.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import anyio.to_thread
import numpy as np

from diary_mcp.domain.fields import AgentName, EntryId
from diary_mcp.service.ports.outline import Within
from diary_mcp.service.ports.search import Indexed
from diary_mcp.service.ports.store import Store
from diary_mcp.service.search.cache import (
    Ids,
    as_entry_ids,
    as_ids,
)
from diary_mcp.service.search.candidates import Candidates, Sought, choose_candidates
from diary_mcp.service.search.chosen import ChosenEntries
from diary_mcp.service.search.code_table import SharedBits
from diary_mcp.service.search.corpus import (
    NO_PART,
    Found,
    Part,
    SearchedEntries,
    Totals,
    Unindexed,
)
from diary_mcp.service.search.large import View
from diary_mcp.service.search.ranking import Flags, Integers, Statistics, Weights
from diary_mcp.service.search.terms import Terms


@dataclass(frozen=True)
class Wanted:
    """Which entries are worth reading."""

    sought: Sought
    words: Collection[str]
    """Terms of which it is to be known where they occur."""
    count: int
    most: int
    """How many are gone through for so many that may be hits, before what passes is listed."""
    having: Sequence[str] = ()
    """Terms that each of them has."""
    lacking: Sequence[Sequence[str]] = ()
    """None has all terms of any of these."""
    newest: bool = False
    """Whether the newest are the best."""


@dataclass(frozen=True)
class Narrowed:
    """What was read, where each term occurs in it, and in how many of all, where that is more."""

    entries: SearchedEntries
    worth: Flags
    """Which entries are there for themselves; the others for what stands beside them."""
    unindexed: Sequence[Unindexed]
    found: Found
    frequencies: Mapping[str, int]
    statistics: Statistics | None


@dataclass(frozen=True)
class LargeDiary:
    """What one search sees of a large diary, and of what others share beside it."""

    store: Store
    view: View
    within: Within
    owners: Sequence[AgentName]
    model: str | None
    named: Ids
    shared: Part
    by_then: Callable[[Part], Part]
    """Leaves out what was not there when the first page was asked for."""
    may_read: Callable[[], Awaitable[bool]]
    """Asked after everything was read."""

    @property
    def authors(self) -> list[str]:
        """Every author once, sorted."""
        others = self.view.changed.author_names | self.shared.documents.author_names
        return sorted(others.union(self.view.outline.author_names))

    @property
    def years(self) -> frozenset[int]:
        """The years that the entries are about."""
        return self.view.outline.years | self.view.changed.years | self.shared.documents.years

    def list_unworded(self, most: int) -> list[EntryId]:
        """The newest entries whose words are not in the index."""
        unworded = self.view.outline.unworded
        waiting = [self.view.outline.ids[unworded[~self.view.hidden[unworded]]]]
        others = (self.view.changed, self.shared.documents)
        waiting += [documents.ids[~documents.worded] for documents in others]
        return as_entry_ids(np.sort(np.concatenate(waiting))[::-1][:most])

    async def look_up(self, terms: Collection[str]) -> dict[str, Terms]:
        """Where these terms occur in the outline; what occurs nowhere there is left out."""
        return await self.view.kept.look_up(self.store, self.owners, terms)

    def share_bits(self, vector: bytes) -> SharedBits:
        """How alike each slot of the outline is, by the first bits; for a thread."""
        return self.view.outline.codes.share_bits(self.view.outline.coder, vector)

    async def list_found_beside(self, terms: Collection[str]) -> set[str]:
        """Which of these terms occur in what changed, or is shared."""
        async with self.store.reading() as rows:
            indexed = Indexed((), None, self._others)
            return {posting.term for posting in await rows.search.read_postings(indexed, terms)}

    async def list_terms(self, prefixes: Collection[str]) -> list[str]:
        """Terms that begin with one of the prefixes, in the diary or elsewhere with its writers."""
        known = await self.view.kept.list_terms(self.store, self.owners, prefixes)
        if not self._others:
            return known
        async with self.store.reading() as rows:
            indexed = Indexed((), None, self._others)
            return known + await rows.search.list_terms(indexed, prefixes)

    async def narrow(
        self,
        wanted: Wanted,
        terms: Mapping[str, Terms],
        weights: Weights,
        counted: Sequence[Unindexed],
    ) -> Narrowed:
        """Reads what is worth ranking; all of it, where that is little."""
        read = ChosenEntries(self.store, self.within, self.model, self.view.changed)
        forced = np.concatenate(
            [self.view.changed.ids, _packed([each.id for each in counted]), self.named]
        )
        await read.ask(forced)
        chosen, statistics = await self._choose(wanted, terms, weights, read)
        near = self.view.outline.ids[self._neighbours(chosen, weights)]
        await read.ask(near)
        worth = np.concatenate([forced, self.view.outline.ids[chosen], near])
        part = read.as_part(await read.with_heirs(worth), self.named)
        if not await self.may_read():
            return Narrowed(SearchedEntries(NO_PART, ()), NO_PART.named, (), {}, {}, None)
        left = self._count_left() - int((self.view.outline.find(part.documents.ids) >= 0).sum())
        totals = self._totals(part) if left > 0 else None
        entries = SearchedEntries(
            self.by_then(part), self.owners, self.within.diary, self.by_then(self.shared), totals
        )
        unindexed = [
            replace(each, index=int(index))
            for each in counted
            for index in entries.indices_of([each.id])
        ]
        found = await self._find(entries, wanted.words, terms, unindexed)
        chosen_ids = [self.view.outline.ids[chosen], self.shared.documents.ids]
        worth = np.isin(entries.packed_ids, np.concatenate([forced, *chosen_ids]))
        if totals is None:
            return Narrowed(entries, worth, unindexed, found, {}, None)
        frequencies = {term: len(occurrences[0]) for term, occurrences in found.items()}
        for term, where in terms.items():
            frequencies[term] = max(frequencies.get(term, 0), len(where.slots))
        statistics = replace(statistics, size=totals.size)
        return Narrowed(entries, worth, unindexed, found, frequencies, statistics)

    async def _choose(
        self,
        wanted: Wanted,
        terms: Mapping[str, Terms],
        weights: Weights,
        read: ChosenEntries,
    ) -> tuple[Integers, Statistics]:
        """The best slots that may be hits: of the best, else of all that pass the filters.

        The first are read with their neighbours at once: mostly they are enough.
        """
        order_by = partial(self._order, wanted, terms, weights)
        candidates = await anyio.to_thread.run_sync(order_by)
        order, statistics = candidates.slots, candidates.statistics
        ids = self.view.outline.ids
        await read.ask(ids[self._neighbours(order[: wanted.count], weights)])
        end = 0
        while end < len(order):
            end = 2 * end or wanted.count
            await read.ask(ids[order[:end]])
            self._forget(order[:end], read)
            if len(order) <= wanted.count:
                return order, statistics
            promising = order[:end][read.are_promising(ids[order[:end]])]
            if len(promising) >= wanted.count // 2:
                return promising, statistics
        if len(order) == wanted.most:
            return await self._choose_matching(wanted, order_by, read), statistics
        return order[read.are_promising(ids[order])], statistics

    async def _choose_matching(
        self,
        wanted: Wanted,
        order_by: Callable[[Flags], Candidates],
        read: ChosenEntries,
    ) -> Integers:
        """The best slots of all that pass the filters."""
        matching = self.view.outline.find(await read.list_matching())
        among = np.zeros(self.view.outline.size, dtype=np.bool_)
        among[matching[matching >= 0]] = True
        candidates = await anyio.to_thread.run_sync(partial(order_by, among))
        return candidates.slots[: wanted.count]

    def _order(
        self,
        wanted: Wanted,
        terms: Mapping[str, Terms],
        weights: Weights,
        among: Flags | None = None,
    ) -> Candidates:
        """The best slots, in order; more of them than are wanted."""
        outline = self.view.outline
        allowed = ~(self.view.hidden | self.view.kept.gone)
        if among is not None:
            allowed &= among
        if wanted.having:
            allowed &= outline.having_all(wanted.having, terms) | ~outline.worded
        for lacking in wanted.lacking:
            allowed &= ~outline.having_all(lacking, terms)
        candidates = choose_candidates(outline, wanted.sought, weights, allowed, wanted.most)
        if not wanted.newest:
            return candidates
        slots = np.flatnonzero(allowed)
        return replace(candidates, slots=slots[np.argsort(-outline.ages[slots])[: wanted.most]])

    def _forget(self, slots: Integers, read: ChosenEntries) -> None:
        """Of a diary that is searched whole, what is not there is gone."""
        if self.within.diary is None and self.within.reader.place is not None:
            return
        there = np.isin(self.view.outline.ids[slots], read.ids)
        self.view.kept.gone[slots[~there]] = True

    def _neighbours(self, chosen: Integers, weights: Weights) -> Integers:
        """What stands beside the chosen ones in their sessions, and beside what changed."""
        outline = self.view.outline
        copies = outline.find(self.view.changed.ids)
        centres = np.concatenate([chosen, copies[copies >= 0]])
        sessions = self.view.changed.sessions
        # What is new stands at the end of its session.
        ends = np.searchsorted(outline.sessions, sessions[sessions != 0], side="right")
        near = outline.around(np.concatenate([centres, ends[ends > 0] - 1]), weights)
        return near[~(self.view.hidden | self.view.kept.gone)[near]]

    async def _find(
        self,
        entries: SearchedEntries,
        words: Collection[str],
        terms: Mapping[str, Terms],
        unindexed: Sequence[Unindexed],
    ) -> Found:
        """Where each term occurs in what was read."""
        ids = entries.packed_ids
        slots = self.view.outline.find(ids)
        slots[np.isin(ids, self.view.changed.ids)] = -1
        found = {term: where.among(slots) for term, where in terms.items()}
        async with self.store.reading() as rows:
            indexed = Indexed((), None, self._others)
            beside = await rows.search.read_postings(indexed, words)
        return entries.find(beside, unindexed, found)

    def _count_left(self) -> int:
        return int(np.count_nonzero(~(self.view.hidden | self.view.kept.gone)))

    def _totals(self, part: Part) -> Totals:
        """How many there are in all, and of how many something is missing."""
        outline = self.view.outline
        others = ~(self.view.hidden | self.view.kept.gone)
        slots = outline.find(part.documents.ids)
        others[slots[slots >= 0]] = False
        return Totals(
            size=int(np.count_nonzero(others)) + part.documents.size + self.shared.documents.size,
            unworded=int(np.count_nonzero(others[outline.unworded])),
            without_vectors=int(np.count_nonzero(others[outline.codes.without])),
        )

    @property
    def _others(self) -> list[EntryId]:
        return as_entry_ids(np.concatenate([self.view.changed.ids, self.shared.documents.ids]))


def _packed(ids: Collection[EntryId]) -> Ids:
    return as_ids(b"".join(each.bytes for each in ids))
