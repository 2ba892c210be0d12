"""The default embedder: the model that comes inside a package."""

from diary_mcp.embeddings.lazy import LateEmbedder
from diary_mcp.embeddings.model_process import ModelProcess


class OfflineEmbedder(LateEmbedder):
    """`Embedder` without a download, a GPU or a key; its model is in a process of its own."""

    def __init__(self) -> None:
        super().__init__("all-minilm-l6-v2-int8", ModelProcess)
