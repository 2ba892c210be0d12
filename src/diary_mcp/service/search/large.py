"""Diaries too large to be kept whole: their outlines, and what changed since these were made.

The store is asked each time what changed since; that is read, kept and searched in full. Of all
else the outline tells what is worth reading, and what is gone by then is noticed as it is read.
"""

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, field
from functools import partial

import anyio
import anyio.to_thread
import numpy as np

from diary_mcp.domain.fields import AgentName
from diary_mcp.service.ports.outline import PagePosition
from diary_mcp.service.ports.search import (
    MAX_VOCABULARY,
    Indexed,
    PackedDocuments,
    Postings,
    Whose,
)
from diary_mcp.service.ports.store import Reading, Store
from diary_mcp.service.search.cache import (
    ID_BYTES,
    NO_DOCUMENTS,
    Documents,
    as_ids,
    as_integers,
    join,
    renew,
    unpack,
)
from diary_mcp.service.search.codes import Coder
from diary_mcp.service.search.outline import Columns, Outline, as_columns
from diary_mcp.service.search.ranking import Flags
from diary_mcp.service.search.terms import KeptTerms, Terms
from diary_mcp.service.search.together import together

LARGE_FROM = 50_000
"""From how many entries on a diary is searched by its outline."""
MAX_BYTES = 512 * 2**20
"""How much of outlines a process keeps at most; the last one it keeps in any case."""
SAMPLED = 4_000
"""How many entries stand for all where a mean and a deviation are to be known."""

_LEFT_AT_MOST = 1
"""How many outlines are kept half made, where the call had no time and nobody came back."""

_AT_ONCE = 5_000
_MOST_CHANGES = 20_000
_MERGED_FROM = 1_000

_ReadPage = Callable[[PagePosition | None], Awaitable[tuple[PackedDocuments, PagePosition | None]]]


@dataclass
class KeptOutline:
    """An outline, and what is known beside it."""

    outline: Outline
    horizon: str
    """When it began to be read: what was changed since then is not in it, or outdated."""
    gone: Flags
    """What was not there any more when it was to be read."""
    changed: Documents = NO_DOCUMENTS
    """What changed since, as far as it was read."""
    _terms: KeptTerms = field(default_factory=KeptTerms)
    _vocabulary: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    """By what terms begin with, `MAX_VOCABULARY` of them."""

    @property
    def size_bytes(self) -> int:
        return self.outline.size_bytes + self.changed.size_bytes

    async def look_up(
        self, store: Store, owners: Sequence[AgentName], terms: Collection[str]
    ) -> dict[str, Terms]:
        """Where each of these occurs; those that occur nowhere are left out."""
        known = self._terms.find(terms)
        missing = [term for term in terms if term not in known]
        if missing:
            async with store.reading() as rows:
                read = await rows.search.read_postings(Indexed(owners, None, ()), missing)
            found = await anyio.to_thread.run_sync(partial(self._unpack, read))
            found = {**dict.fromkeys(missing, Terms.nowhere()), **found}
            self._terms.put(found)
            known |= found
        return {term: where for term, where in known.items() if len(where.slots)}

    async def list_terms(
        self, store: Store, owners: Sequence[AgentName], prefixes: Collection[str]
    ) -> list[str]:
        """Terms that begin with one of the prefixes."""
        known = {each: self._vocabulary[each] for each in prefixes if each in self._vocabulary}
        missing = [prefix for prefix in prefixes if prefix not in known]
        if missing:
            async with store.reading() as rows:
                read = await rows.outlines.list_vocabulary(owners, missing)
            found = {each: [term for term in read if term.startswith(each)] for each in missing}
            if sum(map(len, self._vocabulary.values())) + len(read) > MAX_VOCABULARY:
                self._vocabulary.clear()
            self._vocabulary |= found
            known |= found
        return [term for terms in known.values() for term in terms]

    def _unpack(self, read: Sequence[Postings]) -> dict[str, Terms]:
        return {posting.term: self._as_terms(posting) for posting in read}

    def _as_terms(self, posting: Postings) -> Terms:
        slots, counts = self.outline.find(as_ids(posting.ids)), as_integers(posting.counts, ">i4")
        present = slots >= 0
        # The words of an entry that was changed are outdated until it is indexed again.
        if len(self.outline.unworded):
            present[present] = self.outline.worded[slots[present]]
        if not present.all():
            slots, counts = slots[present], counts[present]
        return Terms.at(slots, counts)


@dataclass(frozen=True)
class View:
    """What one search sees of a large diary."""

    kept: KeptOutline
    outline: Outline
    changed: Documents
    hidden: Flags
    """Slots that are gone, or that `changed` has in another state."""


class Outlines:
    """What this process keeps of large diaries."""

    def __init__(self, large_from: int = LARGE_FROM, most_bytes: int = MAX_BYTES) -> None:
        self.large_from = large_from
        self._most_bytes = most_bytes
        self._kept: OrderedDict[Whose, KeptOutline] = OrderedDict()
        self._makings: dict[Whose, _Making] = {}
        self._locks: dict[Whose, anyio.Lock] = {}

    def has(self, whose: Whose) -> bool:
        return whose in self._kept

    async def look(
        self, rows: Reading, whose: Whose, model: str | None, dimensions: int | None
    ) -> View:
        """The outline, with all that changed since.

        Made by the first that needs it, with codes where `dimensions` says how long the vectors
        are; others wait for it, and go on with it where its time was up.
        """
        async with self._locks.setdefault(whose, anyio.Lock()):
            kept = self._kept.get(whose)
            if kept is None or not _serves(kept.outline.coder, dimensions):
                kept = await self._make(rows, whose, model, dimensions)
            changes = await rows.outlines.list_changes(whose, kept.horizon, _MOST_CHANGES)
            # Time that goes back is that of another server, put in the place of the one before.
            is_other = int(changes.horizon) < int(kept.horizon)
            if is_other or len(changes.ids) >= ID_BYTES * _MOST_CHANGES:
                kept = await self._make(rows, whose, model, dimensions)
                changes = await rows.outlines.list_changes(whose, kept.horizon, _MOST_CHANGES)
            revisions = as_integers(changes.revisions, ">i8")
            kept.changed = await renew(
                rows.search, kept.changed, as_ids(changes.ids), revisions, model
            )
            if changes.settled >= _MERGED_FROM:
                kept = await anyio.to_thread.run_sync(_merge, kept, changes.horizon)
            self._keep(whose, kept)
            hidden = kept.gone.copy()
            slots = kept.outline.find(kept.changed.ids)
            hidden[slots[slots >= 0]] = True
            return View(kept, kept.outline, kept.changed, hidden)

    async def _make(
        self, rows: Reading, whose: Whose, model: str | None, dimensions: int | None
    ) -> KeptOutline:
        making = self._makings.pop(whose, None)
        if making is None or making.dimensions != dimensions:
            making = _Making(dimensions)
        self._makings[whose] = making
        left = [each for each in self._makings if not self._locks[each].locked()]
        for each in left[: len(left) - _LEFT_AT_MOST]:
            del self._makings[each]
        made = await making.finish(rows, whose, model)
        del self._makings[whose]
        return made

    def _keep(self, whose: Whose, kept: KeptOutline) -> None:
        self._kept[whose] = kept
        self._kept.move_to_end(whose)
        while (
            len(self._kept) > 1
            and sum(each.size_bytes for each in self._kept.values()) > self._most_bytes
        ):
            dropped, _ = self._kept.popitem(last=False)
            self._locks.pop(dropped, None)


def _serves(coder: Coder, dimensions: int | None) -> bool:
    """Whether vectors so long can be compared; where none are, any will do."""
    return dimensions is None or len(coder.mean) == dimensions


class _Making:
    """An outline in the making, portion by portion.

    A call may have no time for all of it: whoever comes next goes on where it was left.
    """

    def __init__(self, dimensions: int | None) -> None:
        self.dimensions = dimensions
        self._horizon: str | None = None
        self._end: PagePosition | None = None
        self._coder: Coder | None = None
        self._parts: list[Columns] = []
        self._sample = NO_DOCUMENTS
        self._size = 0

    async def finish(self, rows: Reading, whose: Whose, model: str | None) -> KeptOutline:
        """Reads what is left of it."""
        if self._horizon is None:
            self._horizon = (await rows.outlines.list_changes(whose, "0", 0)).horizon
        with_vectors = None if self.dimensions is None else model
        read = partial(rows.outlines.read_page, whose, limit=_AT_ONCE, model=with_vectors)
        documents, end = await read(self._end)
        while end is not None:
            documents, end = await self._put_in(documents, end, read)
        outline = await anyio.to_thread.run_sync(self._join)
        return KeptOutline(outline, self._horizon, np.zeros(outline.size, dtype=np.bool_))

    async def _put_in(
        self, documents: PackedDocuments, end: PagePosition, read: _ReadPage
    ) -> tuple[PackedDocuments, PagePosition | None]:
        """Puts in a portion while the next one is read, and gives that.

        A call that is called off waits for the thread.
        """
        put_in = partial(anyio.to_thread.run_sync, partial(self._add, documents, end))
        _, following = await together(put_in, partial(read, end))
        return following

    def _add(self, packed: PackedDocuments, end: PagePosition) -> None:
        documents = unpack(packed)
        if self._coder is None:
            self._coder = Coder.of(documents.vectors, self.dimensions or 0)
        self._parts.append(as_columns(documents, self._coder))
        self._sample = sampled(self._sample, documents, self._size)
        self._size += documents.size
        self._end = end

    def _join(self) -> Outline:
        coder = self._coder or Coder.of(b"", self.dimensions or 0)
        return Outline(self._parts, coder, self._sample)


def sampled(sample: Documents, more: Documents, size: int) -> Documents:
    """A sample of so many and of these: each entry is as likely to be in it."""
    total = size + more.size
    if total <= SAMPLED:
        return join([each for each in (sample, more) if each.size] or [more])
    of_more = round(SAMPLED * more.size / total)
    of_before = min(SAMPLED - of_more, sample.size)
    randomly = np.random.default_rng(total)
    return join(
        [
            each.take(_some(each.size, count, randomly))
            for each, count in ((sample, of_before), (more, of_more))
            if count
        ]
    )


# Quoted: numpy imports `random` when it is first asked for, which few searches do.
def _some(size: int, count: int, randomly: "np.random.Generator") -> Flags:
    chosen = np.zeros(size, dtype=np.bool_)
    chosen[randomly.permutation(size)[:count]] = True
    return chosen


def _merge(kept: KeptOutline, horizon: str) -> KeptOutline:
    """An outline with what changed in it."""
    outline, changed = kept.outline, kept.changed
    still = ~kept.gone
    slots = outline.find(changed.ids)
    still[slots[slots >= 0]] = False
    sample = outline.sample.take(still[outline.find(outline.sample.ids)])
    merged = Outline(
        [outline.columns(still), as_columns(changed, outline.coder)],
        outline.coder,
        sampled(sample, changed, int(still.sum())),
    )
    return KeptOutline(merged, horizon, np.zeros(merged.size, dtype=np.bool_), changed)
