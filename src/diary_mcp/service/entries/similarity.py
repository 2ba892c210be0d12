"""Whether something like a new entry was written before, found by words.

Words and not vectors: a write never waits for a model, and two entries that contradict each other
mostly do so in the same words.
"""

from collections import Counter
from collections.abc import Mapping, Sequence

import anyio
import anyio.to_thread
import structlog

from diary_mcp.domain.entry import SimilarEntry
from diary_mcp.domain.errors import UnavailableError
from diary_mcp.domain.fields import DiaryId, EntryId
from diary_mcp.domain.version import SearchText
from diary_mcp.service.index.tokenizer import WordCounts
from diary_mcp.service.ports.search import SharedWords
from diary_mcp.service.ports.store import Store

_log: structlog.stdlib.BoundLogger = structlog.get_logger()

_LEAST_SIMILARITY = 0.6
# The author's name is one of them, mostly.
_FEWEST_TERMS = 3
_MAX_SHOWN = 3
_LONGEST_CONTENT = 20_000
_MAX_RAREST = 16
_DEADLINE_S = 1.0
_QUICK_CHARACTERS = 8_000
"""What is no longer is counted at once; a thread would cost more than it saves."""


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
        if len(text.content) > _LONGEST_CONTENT:
            return []
        try:
            with anyio.move_on_after(_DEADLINE_S):
                return await self._find(text, diary_id)
        except UnavailableError as error:
            _log.warning("similar.unavailable", reason=str(error))
        except Exception:  # noqa: BLE001  # an entry is stored all the same
            _log.exception("similar.failed")
        return []

    async def _find(self, text: SearchText, diary_id: DiaryId | None) -> list[SimilarEntry]:
        counts = (await self._count([text]))[text.id]
        if len(counts) < _FEWEST_TERMS:
            return []
        async with self._store.reading() as rows:
            # Long words are rare ones; which are is not known before they are looked up.
            rarest = sorted(counts, key=lambda term: (-len(term), term))[:_MAX_RAREST]
            found = await rows.similar.list_candidates(
                text.owner, diary_id, text.id, counts, rarest
            )
        theirs = await self._count(found.unindexed)
        compared = [_compare(counts, theirs[other.id], other) for other in found.unindexed]
        return _most_similar(counts, found.indexed + compared)

    async def _count(self, texts: Sequence[SearchText]) -> Mapping[EntryId, Counter[str]]:
        uncounted = self._counts.list_uncounted(texts)
        if _characters(uncounted) <= _QUICK_CHARACTERS:
            return self._counts.count(texts)
        return await anyio.to_thread.run_sync(self._counts.count, texts)


def _most_similar(counts: Counter[str], found: Sequence[SharedWords]) -> list[SimilarEntry]:
    alike = [
        SimilarEntry(id=each.id, title=each.title, similarity=similarity)
        for each in found
        if each.shared_terms >= _FEWEST_TERMS
        and (similarity := _similarity(counts.total(), each)) >= _LEAST_SIMILARITY
    ]
    # What is indexed at this very moment may have been found twice.
    once = {each.id: each for each in alike}
    return sorted(once.values(), key=lambda each: (-each.similarity, each.id))[:_MAX_SHOWN]


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
