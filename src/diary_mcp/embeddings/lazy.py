"""A model that is loaded at first need: nothing of it is imported before, and then in a thread."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from threading import Lock, Thread
from time import monotonic
from typing import Protocol

from diary_mcp.domain.errors import EmbeddingUnavailableError

_LEAST_PAUSE_S = 15.0
_PAUSES_PER_ATTEMPT = 10.0


class Model(Protocol):
    """A sentence model that is there. Several threads use it at once."""

    def embed(self, texts: Sequence[str]) -> list[bytes]: ...


class LazyEmbedder:
    """`Embedder` whose model `load` brings when it is first asked.

    What could not be loaded is tried again after a pause, ten times as long as the attempt took:
    a download that fails takes a minute, in which every search would wait for it.
    """

    def __init__(
        self, name: str, load: Callable[[], Model], *, least_pause_s: float = _LEAST_PAUSE_S
    ) -> None:
        self.name = name
        self._load = load
        self._least_pause_s = least_pause_s
        self._loading = Lock()
        self._model: Model | None = None
        self._failure: EmbeddingUnavailableError | None = None
        self._try_again_at = float("-inf")

    def embed(self, texts: Sequence[str]) -> list[bytes]:
        """As `Embedder.embed`.

        Raises:
            EmbeddingUnavailableError: the model cannot be loaded, or does not answer.
        """
        return self._bring().embed(texts)

    @property
    def is_warm(self) -> bool:
        """As `Embedder.is_warm`."""
        return self._model is not None

    def warm_up(self) -> None:
        """As `Embedder.warm_up`."""
        if not self.is_warm and not self._loading.locked():
            Thread(target=self._warm_up, name="embedding-load", daemon=True).start()

    def _warm_up(self) -> None:
        # Whoever asks for a vector is told.
        with suppress(EmbeddingUnavailableError):
            self._bring()

    def _bring(self) -> Model:
        with self._loading:
            if self._model is None:
                self._model = self._load_unless_it_failed()
            return self._model

    def _load_unless_it_failed(self) -> Model:
        started = monotonic()
        if self._failure is not None and started < self._try_again_at:
            raise EmbeddingUnavailableError(str(self._failure)) from self._failure
        try:
            return self._load()
        except EmbeddingUnavailableError as error:
            self._failure = error
            now = monotonic()
            pause = max(self._least_pause_s, _PAUSES_PER_ATTEMPT * (now - started))
            self._try_again_at = now + pause
            raise
