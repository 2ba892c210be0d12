"""What indexing needs: a sentence model, and the index as rows to write."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Literal, NamedTuple, Protocol

from diary_mcp.domain.version import SearchText

IndexStage = Literal["words", "vectors"]


class Embedder(Protocol):
    """A sentence model. Blocks: it is called in threads, by several at once."""

    @property
    def name(self) -> str:
        """Names the model and its version; vectors of another name are computed again."""
        ...

    @property
    def is_warm(self) -> bool:
        """Whether the model is there, so that a text takes no longer than the model does."""
        ...

    def warm_up(self) -> None:
        """Begins to load the model where it is not there; returns at once, and never raises."""
        ...

    def embed(self, texts: Sequence[str]) -> list[bytes]:
        """One vector for each text, as 32-bit floats in little-endian order.

        Raises:
            EmbeddingUnavailableError: the model cannot be loaded, or does not answer.
        """
        ...


class WordsOfEntry(NamedTuple):
    """One entry's part of the word index."""

    text: SearchText
    counts: Mapping[str, int]
    is_question: bool


class VectorsOfEntry(NamedTuple):
    """One entry's vectors, packed."""

    text: SearchText
    vectors: bytes


class IndexClaim(Protocol):
    """Entries that nobody else indexes until the block ends or this process does.

    No row is locked: a write never waits for the index. What was changed or deleted meanwhile is
    left out of what is written.

    Raises (every method): DatabaseUnavailableError: PostgreSQL gives no answer in time.
    """

    @property
    def texts(self) -> Sequence[SearchText]: ...

    async def write_words(self, version: str, rows: Sequence[WordsOfEntry]) -> int:
        """Replaces the entries' postings; how many entries were written."""
        ...

    async def write_vectors(self, version: str, rows: Sequence[VectorsOfEntry]) -> int: ...


class IndexStore(Protocol):
    """Raises (every method): DatabaseUnavailableError: PostgreSQL gives no answer in time."""

    def claim(
        self, stage: IndexStage, version: str, limit: int
    ) -> AbstractAsyncContextManager[IndexClaim]:
        """Some entries whose words or vectors are not of `version`, the newest first."""
        ...

    async def request_if_waiting(self, words_version: str, model: str | None) -> int:
        """Schedules the indexing workflow if anything is left to index; how much, 1 or 0."""
        ...


WORDS_VERSION = "2"


PASSAGES_VERSION = "1"


def model_version(model: str) -> str:
    """What vectors depend on: the model, and how entries are cut for it."""
    return f"{model}/{PASSAGES_VERSION}"
