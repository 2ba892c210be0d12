"""Phrases: what must stand in a hit as it is written, looked for in the texts of the best hits.

What is looked through is bounded by counting, whatever is asked: so many entries, and so many
characters in all. Entries that lack a word of the phrase are passed over by the index.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import anyio.to_thread
import numpy as np

from diary_mcp.domain.fields import EntryId
from diary_mcp.domain.version import SearchText
from diary_mcp.service.index.tokenizer import fold, list_terms
from diary_mcp.service.ports.store import Store
from diary_mcp.service.search.corpus import Found, SearchedEntries, having_all
from diary_mcp.service.search.ranking import Flags, Floats

MAX_LOOKED_THROUGH = 2_000
"""In how many entries a phrase is looked for at most, the best first."""
MAX_LOOKED_THROUGH_LITERALLY = 200
"""And in how many, the newest, where no word of it counts: "the", or "??"."""
MAX_CHARACTERS = 4_000_000
"""How much text is looked through at most, once for each phrase."""

_AT_ONCE = 100
_CHARACTERS_AT_ONCE = 200_000


@dataclass(frozen=True)
class Looked:
    """Entries that have what was looked for, in the order in which it was looked for."""

    indices: list[int]
    is_all: bool
    """Whether nothing was left out that may have it too."""


class Texts:
    """The texts of the entries of one search, read as far as they are needed."""

    def __init__(self, store: Store, entries: SearchedEntries, lengths: Floats) -> None:
        self._store = store
        self._entries = entries
        self._lengths = lengths

    def may_have(self, phrases: Collection[str], known: Collection[str], found: Found) -> Flags:
        """Which entries may have all phrases, by those of their terms that were looked up."""
        terms = inner_terms(phrases, known)
        return having_all(terms, found, self._entries.size) | ~self._entries.worded

    def newest(self, hits: Flags) -> Flags:
        """The newest of the hits, `MAX_LOOKED_THROUGH_LITERALLY` of them."""
        kept = np.zeros(self._entries.size, dtype=np.bool_)
        newest = self._entries.newest(np.flatnonzero(hits))
        kept[newest[:MAX_LOOKED_THROUGH_LITERALLY]] = True
        return kept

    async def look_through(
        self, order: Sequence[int], phrases: Collection[str], enough: int
    ) -> Looked:
        """Those of `order` that have every phrase, until they are enough or too much was read."""
        having: list[int] = []
        looked_at, characters = 0, 0.0
        for batch in self._batches(order[:MAX_LOOKED_THROUGH]):
            ids = {self._entries.id_at(index): index for index in batch}
            async with self._store.reading() as rows:
                texts = await rows.search.read_texts(list(ids))
            work = partial(_having_phrases, texts, phrases)
            present = await anyio.to_thread.run_sync(work, abandon_on_cancel=True)
            having += [index for entry_id, index in ids.items() if entry_id in present]
            looked_at += len(batch)
            characters += sum(len(text.content) for text in texts) * len(phrases)
            if len(having) >= enough or characters >= MAX_CHARACTERS:
                break
        return Looked(having[:enough], len(having) >= enough or looked_at == len(order))

    def _batches(self, order: Sequence[int]) -> Iterator[list[int]]:
        batch: list[int] = []
        characters = 0.0
        for index in order:
            batch.append(index)
            characters += float(self._lengths[index])
            if len(batch) >= _AT_ONCE or characters >= _CHARACTERS_AT_ONCE:
                yield batch
                batch, characters = [], 0.0
        if batch:
            yield batch


def inner_terms(phrases: Collection[str], known: Collection[str]) -> list[str]:
    """The known terms of phrases that what has the phrases has.

    The first and the last word of a phrase may be parts of words; those between are whole.
    """
    inner = [term for phrase in phrases for term in list_terms(" ".join(phrase.split()[1:-1]))]
    return [term for term in inner if term in known]


def _having_phrases(texts: Sequence[SearchText], phrases: Collection[str]) -> set[EntryId]:
    having: set[EntryId] = set()
    for text in texts:
        folded = fold(f"{text.title or ''}\n{text.content}")
        if all(phrase in folded for phrase in phrases):
            having.add(text.id)
    return having
