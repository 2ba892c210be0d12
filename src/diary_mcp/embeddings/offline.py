"""The default embedder: the model that comes inside a package."""

from diary_mcp.embeddings.late import LateEmbedder, Model


class OfflineEmbedder(LateEmbedder):
    """`Embedder` without a download, a GPU or a key."""

    def __init__(self) -> None:
        super().__init__("all-minilm-l6-v2-int8", _load)


def _load() -> Model:
    from diary_mcp.embeddings.minilm import load_minilm  # noqa: PLC0415  # late: it costs time

    return load_minilm()
