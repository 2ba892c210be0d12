"""Which embedder the settings ask for. What it needs is imported when it is first asked."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, assert_never

from diary_mcp.embeddings.lazy import LateEmbedder, Model
from diary_mcp.embeddings.offline import OfflineEmbedder
from diary_mcp.embeddings.onnx_files import folder_name

EmbedderKind = Literal["default", "none", "static", "onnx", "fastembed", "openai"]


@dataclass(frozen=True)
class EmbedderChoice:
    """The settings of one embedder; `model` is a name, or for `onnx` a folder."""

    kind: EmbedderKind
    model: str = ""
    url: str = ""
    api_key: str | None = None


def choose_embedder(choice: EmbedderChoice) -> LateEmbedder | None:
    """The embedder, nothing of it loaded; `None` where there is to be none."""
    match choice.kind:
        case "none":
            return None
        case "default":
            return OfflineEmbedder()
        case "static":
            return LateEmbedder("wordllama-l2-supercat-256", _load_static)
        case "fastembed":
            return LateEmbedder(f"fastembed:{choice.model}", _load_fastembed(choice))
        case "onnx":
            return _onnx_embedder(Path(choice.model))
        case "openai":
            return LateEmbedder(f"openai:{choice.model}", _open_endpoint(choice))
        case _:
            assert_never(choice.kind)


def _onnx_embedder(folder: Path) -> LateEmbedder:
    def load() -> Model:
        from diary_mcp.embeddings.onnx_folder import load_folder  # noqa: PLC0415  # late, see above

        return load_folder(folder)

    return LateEmbedder(folder_name(folder), load)


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
