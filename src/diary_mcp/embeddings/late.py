"""A model that is loaded at first need: nothing of it is imported before, and then in a thread."""

from collections.abc import Callable, Sequence
from threading import Lock
from typing import Protocol


class Model(Protocol):
    """A sentence model that is there. Several threads use it at once."""

    def embed(self, texts: Sequence[str]) -> list[bytes]: ...


class LateEmbedder:
    """`Embedder` whose model `load` brings when it is first asked; what fails is tried again."""

    def __init__(self, name: str, load: Callable[[], Model]) -> None:
        self.name = name
        self._load = load
        self._loading = Lock()
        self._model: Model | None = None

    def embed(self, texts: Sequence[str]) -> list[bytes]:
        """As `Embedder.embed`.

        Raises:
            EmbeddingUnavailableError: the model cannot be loaded, or does not answer.
        """
        with self._loading:
            if self._model is None:
                self._model = self._load()
        return self._model.embed(texts)
