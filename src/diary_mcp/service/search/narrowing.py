"""One search in a large diary: what of it is worth ranking, and is read.

A few hundred entries, the best by the outline, with their neighbours, what supersedes them, and
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
    as_flags,
    as_ids,
    join,
    unpack,
)
from diary_mcp.service.search.candidates import Candidates, Sought, choose_candidates
from diary_mcp.service.search.corpus import (
    MAX_STEPS,
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

_ROUNDS = 8


@dataclass(frozen=True)
class Wanted:
    """Which entries are worth reading."""

    sought: Sought
    words: Collection[str]
    """Terms of which it is to be known where they occur."""
    count: int
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

    async def list_found_beside(self, terms: Collection[str]) -> set[str]:
        """Which of these terms occur in what changed, or is shared."""
        async with self.store.reading() as rows:
            indexed = Indexed((), None, self._others)
            return {posting.term for posting in await rows.search.read_postings(indexed, terms)}

    async def list_terms(self, prefixes: Collection[str]) -> list[str]:
        """Terms that begin with one of the prefixes, in the diary or elsewhere with its writers."""
        async with self.store.reading() as rows:
            known = await rows.outlines.list_vocabulary(self.owners, prefixes)
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
        standings = _Standings(self.store, self.within)
        forced = np.concatenate(
            [self.view.changed.ids, _packed([each.id for each in counted]), self.named]
        )
        await standings.ask(forced)
        chosen, statistics = await self._choose(wanted, terms, weights, standings)
        near = self.view.outline.ids[self._neighbours(chosen, weights)]
        await standings.ask(near)
        worth = np.concatenate([forced, self.view.outline.ids[chosen], near])
        part = await self._read(standings, await standings.with_heirs(worth))
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
        standings: "_Standings",
    ) -> tuple[Integers, Statistics]:
        """The best slots that may be hits: of the best, else of all that pass the filters."""
        order_by = partial(self._order, wanted, terms, weights)
        candidates = await anyio.to_thread.run_sync(order_by)
        order, statistics = candidates.slots, candidates.statistics
        ids, end = self.view.outline.ids, 0
        for end in range(wanted.count, len(order) + wanted.count, wanted.count):
            portion = order[end - wanted.count : end]
            await standings.ask(ids[portion])
            self._forget(portion, standings)
            if end == wanted.count and len(order) <= end:
                return order, statistics
            if len(standings.promising) >= wanted.count // 2:
                break
        else:
            if len(order) == _ROUNDS * wanted.count:
                return await self._choose_matching(wanted, order_by, standings), statistics
        asked = order[:end]
        return asked[np.isin(ids[asked], standings.promising)], statistics

    async def _choose_matching(
        self,
        wanted: Wanted,
        order_by: Callable[[Flags], Candidates],
        standings: "_Standings",
    ) -> Integers:
        """The best slots of all that pass the filters."""
        matching = self.view.outline.find(await standings.list_matching())
        among = np.zeros(self.view.outline.size, dtype=np.bool_)
        among[matching[matching >= 0]] = True
        candidates = await anyio.to_thread.run_sync(partial(order_by, among))
        best = candidates.slots[: wanted.count]
        await standings.ask(self.view.outline.ids[best])
        return best

    def _order(
        self,
        wanted: Wanted,
        terms: Mapping[str, Terms],
        weights: Weights,
        among: Flags | None = None,
    ) -> Candidates:
        """The best slots, in order; some rounds more of them than are wanted."""
        outline = self.view.outline
        allowed = ~(self.view.hidden | self.view.kept.gone)
        if among is not None:
            allowed &= among
        if wanted.having:
            allowed &= outline.having_all(wanted.having, terms) | ~outline.worded
        for lacking in wanted.lacking:
            allowed &= ~outline.having_all(lacking, terms)
        most = _ROUNDS * wanted.count
        candidates = choose_candidates(outline, wanted.sought, weights, allowed, most)
        if not wanted.newest:
            return candidates
        slots = np.flatnonzero(allowed)
        return replace(candidates, slots=slots[np.argsort(-outline.ages[slots])[:most]])

    def _forget(self, slots: Integers, standings: "_Standings") -> None:
        """Of a diary that is searched whole, what is not there is gone."""
        if self.within.diary is None and self.within.reader.place is not None:
            return
        there = np.isin(self.view.outline.ids[slots], standings.ids)
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

    async def _read(self, standings: "_Standings", worth: Ids) -> Part:
        ids = standings.ids[np.isin(standings.ids, worth)]
        changed = self.view.changed
        missing = ids[~np.isin(ids, changed.ids)].tobytes()
        async with self.store.reading() as rows:
            read = unpack(await rows.search.read_documents(missing, self.model))
        still = changed.take(np.isin(changed.ids, ids))
        documents = join([each for each in (read, still) if each.size] or [read])
        at = documents.indices_of(standings.ids)
        eligible = np.zeros(documents.size, dtype=np.bool_)
        eligible[at[at >= 0]] = standings.eligible[at >= 0]
        superseded_by = np.zeros(documents.size, dtype=documents.ids.dtype)
        superseded_by[at[at >= 0]] = standings.superseded_by[at >= 0]
        return Part(documents, eligible, np.isin(documents.ids, self.named), superseded_by)

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


class _Standings:
    """Which entries are where it is searched, and may be hits; each is asked about once."""

    def __init__(self, store: Store, within: Within) -> None:
        self._store = store
        self._within = within
        self._asked = as_ids(b"")
        self.ids = as_ids(b"")
        self.eligible = as_flags(b"")
        self.superseded_by = as_ids(b"")

    @property
    def promising(self) -> Ids:
        """Those that may be hits, or that another stands for."""
        return self.ids[self.eligible | (self.superseded_by != b"")]

    async def ask(self, wanted: Ids) -> None:
        """Asks about those that were not asked about yet."""
        ids = np.setdiff1d(wanted, self._asked)
        if not len(ids):
            return
        self._asked = np.concatenate([self._asked, ids])
        async with self._store.reading() as rows:
            standing = await rows.outlines.read_standing(self._within, ids.tobytes())
        self.ids = np.concatenate([self.ids, as_ids(standing.ids)])
        self.eligible = np.concatenate([self.eligible, as_flags(standing.eligible)])
        superseded_by = as_ids(standing.superseded_by)
        self.superseded_by = np.concatenate([self.superseded_by, superseded_by])

    async def with_heirs(self, ids: Ids) -> Ids:
        """These with what supersedes them, and that."""
        for _ in range(MAX_STEPS):
            heirs = self.superseded_by[np.isin(self.ids, ids)]
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


def _packed(ids: Collection[EntryId]) -> Ids:
    return as_ids(b"".join(each.bytes for each in ids))
