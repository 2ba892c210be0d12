"""Indexing: words and vectors of whatever entries lack them, after the commit.

Level-triggered, as settling is: whatever was asked, a run takes what is not indexed now, in
batches, so that a burst of writes becomes a few of them. Running it twice does nothing.
"""

import math
import struct
import time
from array import array
from collections.abc import Sequence
from functools import partial

import anyio
import anyio.to_thread
import structlog

from diary_mcp.domain.errors import UnavailableError
from diary_mcp.domain.version import SearchText
from diary_mcp.service.activity import Activity
from diary_mcp.service.index.passages import is_question, list_passages
from diary_mcp.service.index.tokenizer import WordCounts
from diary_mcp.service.ports.index import (
    WORDS_VERSION,
    Embedder,
    IndexStore,
    VectorsOfEntry,
    WordsOfEntry,
    model_version,
)

_log: structlog.stdlib.BoundLogger = structlog.get_logger()

_WORDS_AT_ONCE = 64
_VECTORS_AT_ONCE = 4
_PAUSE_S = 0.1
# While changes come in, words of several are indexed together: a batch of one needs all the
# statements that one of fifty does. A search reads what is not indexed yet.
_GATHER_S = 1.0
# The model's share of the time while changes come in is an eighth, for two minutes of a run.
_REST = 7
_COURTESY_S = 120.0

_STEPS = 127


class EntryIndexer:
    """Indexes until nothing waits. Without an embedder it leaves vectors alone."""

    def __init__(
        self,
        store: IndexStore,
        embedder: Embedder | None,
        activity: Activity | None = None,
        counts: WordCounts | None = None,
    ) -> None:
        self._store = store
        self._embedder = embedder
        self._activity = activity or Activity()
        self._counts = counts or WordCounts()
        self._runs = 0
        self._idle = anyio.Event()

    @property
    def is_warm(self) -> bool:
        """Whether a vector takes no longer than the model does."""
        return self._embedder is not None and self._embedder.is_warm

    async def index_waiting(self) -> int:
        """Indexes everything that waits and that nobody else is at; how many steps that were.

        Words go first, also those that are written meanwhile: they are quick, and without them an
        old entry is not found at all. The model rests while changes come in, but not for ever.

        Raises:
            EmbeddingUnavailableError: there is no usable model; the words are indexed.
            DatabaseUnavailableError: PostgreSQL gives no answer; what was written stays.
        """
        self._runs += 1
        try:
            return await self._index_waiting()
        finally:
            self._runs -= 1
            self._idle.set()

    async def wait_until_idle(self) -> None:
        """Returns once nothing is being indexed in this process."""
        while self._runs:
            self._idle = anyio.Event()
            await self._idle.wait()

    async def _index_waiting(self) -> int:
        indexed = await self._index_all_words()
        started = time.monotonic()
        courteous_until = started + _COURTESY_S
        while count := await self._index_vectors():
            worked_s = time.monotonic() - started
            indexed += count + await self._index_all_words()
            indexed += await self._rest(min(time.monotonic() + _REST * worked_s, courteous_until))
            started = time.monotonic()
        return indexed

    async def index_at_once(self) -> None:
        """The same beside the workflow, to which is left what fails."""
        try:
            await self.index_waiting()
        except UnavailableError as error:
            _log.info("indexing.left_to_workflow", reason=str(error))

    async def request_if_waiting(self) -> int:
        """Schedules a run if there is anything to do, as after a change of the model."""
        model = None if self._embedder is None else model_version(self._embedder.name)
        return await self._store.request_if_waiting(WORDS_VERSION, model)

    async def _rest(self, until: float) -> int:
        """Leaves the model alone until then, or until nobody writes; indexes words meanwhile."""
        indexed = 0
        while self._activity.is_lively and time.monotonic() < until:
            await self._activity.pause(_PAUSE_S)
            indexed += await self._index_all_words()
        return indexed

    async def _index_all_words(self) -> int:
        indexed = 0
        while count := await self._index_words():
            indexed += count
            if count < _WORDS_AT_ONCE:
                await self._gather()
        return indexed

    async def _gather(self) -> None:
        until = time.monotonic() + _GATHER_S
        while self._activity.is_lively and time.monotonic() < until:
            await self._activity.pause(_PAUSE_S)

    async def _index_words(self) -> int:
        async with self._store.claim("words", WORDS_VERSION, _WORDS_AT_ONCE) as claim:
            if not claim.texts:
                return 0
            # The model takes longer to load than the words to be indexed.
            if self._embedder is not None:
                self._embedder.warm_up()
            rows = await anyio.to_thread.run_sync(self._count_words, claim.texts)
            written = await claim.write_words(WORDS_VERSION, rows)
        return await _unless_none(written, len(claim.texts))

    def _count_words(self, texts: Sequence[SearchText]) -> list[WordsOfEntry]:
        counts = self._counts.count(texts)
        return [WordsOfEntry(text, counts[text.id], is_question(text)) for text in texts]

    async def _index_vectors(self) -> int:
        if self._embedder is None:
            return 0
        version = model_version(self._embedder.name)
        async with self._store.claim("vectors", version, _VECTORS_AT_ONCE) as claim:
            if not claim.texts:
                return 0
            rows = list[VectorsOfEntry]()
            for text in claim.texts:
                embed = partial(_embed, self._embedder, text)
                # A model that is being loaded must not keep the process from ending.
                rows.append(await anyio.to_thread.run_sync(embed, abandon_on_cancel=True))
                # What is not written by then is lost.
                if self._activity.has_ended:
                    break
            written = await claim.write_vectors(version, rows)
        return await _unless_none(written, len(claim.texts))


async def _unless_none(written: int, claimed: int) -> int:
    """Waits a little where somebody was changing every one of them."""
    if not written:
        await anyio.sleep(_PAUSE_S)
    return claimed


def _embed(embedder: Embedder, text: SearchText) -> VectorsOfEntry:
    return VectorsOfEntry(text, pack_vectors(embedder.embed(list_passages(text))))


def pack_vectors(vectors: Sequence[bytes]) -> bytes:
    """The vectors, each as a scale to length 1 and a signed byte a number, one after the other.

    In plain Python, which is quick beside the model: a server that writes and does not search needs
    no numpy. `SearchedEntries.compare` reads them.
    """
    return b"".join(map(_pack, vectors))


def _pack(vector: bytes) -> bytes:
    values: tuple[float, ...] = struct.unpack(f"<{len(vector) // 4}f", vector)
    largest = max(map(abs, values), default=0.0) or 1.0
    steps = array("b", [round(value * _STEPS / largest) for value in values])
    length = math.sqrt(sum(step * step for step in steps)) or 1.0
    return struct.pack("<f", 1 / length) + steps.tobytes()
