"""Whether something like a new entry was written before, found by words.

Words and not vectors: a write never waits for a model, and two entries that contradict each other
mostly do so in the same words.
"""

import math
from collections import Counter
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import anyio
import anyio.to_thread
import structlog

from diary_mcp.domain.entry import SimilarEntry
from diary_mcp.domain.errors import UnavailableError
from diary_mcp.domain.fields import DiaryId, EntryId
from diary_mcp.domain.version import SearchText
from diary_mcp.service.index.tokenizer import WordCounts
from diary_mcp.service.ports.search import Candidates, SharedWords
from diary_mcp.service.ports.store import Reading, Store

_log: structlog.stdlib.BoundLogger = structlog.get_logger()

_LEAST_SIMILARITY = 0.6
_LEAST_SHARED = 0.42
"""Whatever shares a smaller part of a text's words is less similar to it, however short it is."""
# The author's name is one of them, mostly.
_FEWEST_TERMS = 3
_MAX_SHOWN = 3
_LONGEST_CONTENT = 20_000
_MAX_RAREST = 16
_DEADLINE_S = 1.0
_QUICK_CHARACTERS = 8_000
"""What is no longer is counted at once; a thread would cost more than it saves."""


@dataclass
class Look:
    """A look for entries that say nearly what a new one does."""

    text: SearchText
    counts: Counter[str]
    found: Candidates | None = None
    """`None` as long as nothing was read."""

    async def read(self, rows: Reading, diary_id: DiaryId | None) -> None:
        """Reads what is to be compared, in the diary where the entry is."""
        # Long words are rare ones; which are is not known before they are looked up.
        rarest = sorted(self.counts, key=lambda term: (-len(term), term))[:_MAX_RAREST]
        fewest = math.ceil(_LEAST_SHARED * self.counts.total())
        self.found = await rows.similar.list_candidates(
            self.text.owner, diary_id, self.text.id, self.counts, rarest, fewest=fewest
        )


class SimilarityService:
    """Looks through the earlier entries of one owner."""

    def __init__(self, store: Store, counts: WordCounts | None = None) -> None:
        self._store = store
        self._counts = counts or WordCounts()

    async def find_similar(
        self, text: SearchText, diary_id: DiaryId | None = None
    ) -> list[SimilarEntry]:
        """Earlier entries of its owner that say nearly the same, the most similar first.

        In the same diary, because projects do not mix. What nobody has superseded yet, at most
        three. Only entries made before it are looked at, so that asking again gives the same. Never
        raises, and never takes long: an entry that is long, or a database that is slow, is answered
        with none.
        """
        with anyio.move_on_after(_DEADLINE_S), _never_mind():
            look = await self.begin(text)
            if look is not None:
                async with self._store.reading() as rows:
                    await look.read(rows, diary_id)
            return await self.finish(look)
        return []

    async def begin(self, text: SearchText) -> Look | None:
        """What there is to look for, if there is; it is to be read, and then finished.

        Never raises.
        """
        if len(text.content) > _LONGEST_CONTENT:
            return None
        with _never_mind():
            counts = (await self._count([text]))[text.id]
            return Look(text, counts) if len(counts) >= _FEWEST_TERMS else None
        return None

    async def finish(self, look: Look | None) -> list[SimilarEntry]:
        """As `find_similar`; none, where nothing could be read."""
        if look is None or look.found is None:
            return []
        with _never_mind():
            theirs = await self._count(look.found.unindexed)
            compared = [
                _compare(look.counts, theirs[other.id], other) for other in look.found.unindexed
            ]
            return _most_similar(look.counts, look.found.indexed + compared)
        return []

    async def _count(self, texts: Sequence[SearchText]) -> Mapping[EntryId, Counter[str]]:
        uncounted = self._counts.list_uncounted(texts)
        if _characters(uncounted) <= _QUICK_CHARACTERS:
            return self._counts.count(texts)
        return await anyio.to_thread.run_sync(self._counts.count, texts)


@contextmanager
def _never_mind() -> Generator[None]:
    """An entry is stored whatever becomes of the look."""
    try:
        yield
    except UnavailableError as error:
        _log.warning("similar.unavailable", reason=str(error))
    except Exception:  # noqa: BLE001
        _log.exception("similar.failed")


def _most_similar(counts: Counter[str], found: Sequence[SharedWords]) -> list[SimilarEntry]:
    alike = [
        SimilarEntry(id=each.id, title=each.title, similarity=similarity)
        for each in found
        if each.shared_terms >= _FEWEST_TERMS
        and (similarity := _similarity(counts.total(), each)) >= _LEAST_SIMILARITY
    ]
    return sorted(alike, key=lambda each: (-each.similarity, each.id))[:_MAX_SHOWN]


def _similarity(words: int, other: SharedWords) -> float:
    """Dice's coefficient: how much of both texts together is in both."""
    return round(min(1.0, 2 * other.shared_words / (words + other.words)), 3)


def _compare(counts: Counter[str], theirs: Counter[str], other: SearchText) -> SharedWords:
    # Most of them share hardly a term, and to intersect counters looks at each term in Python.
    shared = counts.keys() & theirs.keys()
    shared_words = sum(min(counts[term], theirs[term]) for term in shared)
    return SharedWords(other.id, other.title, theirs.total(), len(shared), shared_words)


def _characters(texts: Sequence[SearchText]) -> int:
    return sum(len(text.content) for text in texts)
