"""The default embedder: nothing of it is imported before it is needed, and then in a thread."""

from collections.abc import Sequence
from threading import Lock
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from diary_mcp.embeddings.minilm import MiniLm


class OfflineEmbedder:
    """`Embedder` with the model that comes inside a package."""

    name = "all-minilm-l6-v2-int8"

    def __init__(self) -> None:
        self._loading = Lock()
        self._model: MiniLm | None = None

    def embed(self, texts: Sequence[str]) -> list[bytes]:
        model = self._load()
        return [model.embed(text) for text in texts]

    def _load(self) -> "MiniLm":
        with self._loading:
            if self._model is None:
                from diary_mcp.embeddings.minilm import MiniLm  # noqa: PLC0415  # late, see above

                self._model = MiniLm()
            return self._model
