"""Which embedder the settings ask for. What it needs is imported when it is first asked."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Literal, NamedTuple, assert_never

from diary_mcp.embeddings.lazy import LazyEmbedder, Model
from diary_mcp.embeddings.model_files import find_model
from diary_mcp.embeddings.model_process import OfflineEmbedder

EmbedderKind = Literal["default", "none", "static", "onnx", "fastembed", "openai"]

_HASHED_BYTES = 1 << 20


class EmbedderChoice(NamedTuple):
    """The settings of one embedder; `model` is a name, or for `onnx` a folder."""

    kind: EmbedderKind
    model: str = ""
    url: str = ""
    api_key: str | None = None


def choose_embedder(choice: EmbedderChoice) -> LazyEmbedder | None:
    """The embedder, nothing of it loaded; `None` where there is to be none."""
    match choice.kind:
        case "none":
            return None
        case "default":
            return OfflineEmbedder()
        case "static":
            return LazyEmbedder("wordllama-l2-supercat-256", _load_static)
        case "fastembed":
            return LazyEmbedder(f"fastembed:{choice.model}", _load_fastembed(choice))
        case "onnx":
            return _onnx_embedder(Path(choice.model))
        case "openai":
            return LazyEmbedder(f"openai:{choice.model}", _open_endpoint(choice))
        case _:
            assert_never(choice.kind)


def folder_name(folder: Path) -> str:
    """Names the model by its folder and by what is in it, the same on every machine.

    A model may be large, and its name is asked for at the start: its size, its beginning and its
    end stand for all of it.
    """
    digest = hashlib.sha256()
    path = find_model(folder)
    if path is not None:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            digest.update(str(size).encode())
            for start in (0, max(0, size - _HASHED_BYTES)):
                file.seek(start)
                digest.update(file.read(_HASHED_BYTES))
    return f"onnx:{folder.resolve().name}:{digest.hexdigest()[:12]}"


def _onnx_embedder(folder: Path) -> LazyEmbedder:
    def load() -> Model:
        from diary_mcp.embeddings.onnx import load_folder  # noqa: PLC0415  # late, see above

        return load_folder(folder)

    return LazyEmbedder(folder_name(folder), load)


def _load_static() -> Model:
    from diary_mcp.embeddings.packages import load_wordllama  # noqa: PLC0415  # late, see above

    return load_wordllama()


def _load_fastembed(choice: EmbedderChoice) -> Callable[[], Model]:
    def load() -> Model:
        from diary_mcp.embeddings.packages import load_fastembed  # noqa: PLC0415  # late, see above

        return load_fastembed(choice.model)

    return load


def _open_endpoint(choice: EmbedderChoice) -> Callable[[], Model]:
    def load() -> Model:
        from diary_mcp.embeddings.endpoint import EndpointModel  # noqa: PLC0415  # late, see above

        return EndpointModel(choice.url, choice.model, choice.api_key)

    return load
