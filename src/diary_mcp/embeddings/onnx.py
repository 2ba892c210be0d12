"""Sentence models in ONNX, as `onnxruntime` runs them on the processor."""

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Literal, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from diary_mcp.domain.errors import EmbeddingUnavailableError

Pooling = Literal["mean", "cls"]

_POOLED = "sentence_embedding"


class _Named(Protocol):
    name: str


class Session(Protocol):
    """What is used of onnxruntime's `InferenceSession`; it ships no types."""

    def get_inputs(self) -> Sequence[_Named]: ...

    def get_outputs(self) -> Sequence[_Named]: ...

    def run(
        self, output_names: Sequence[str], input_feed: Mapping[str, NDArray[np.int64]]
    ) -> list[NDArray[np.float32]]: ...


class OnnxModel:
    """Embeds one text at a time: in a batch, an 8-bit model would give each a bit of the others."""

    def __init__(
        self, session: Session, encode: Callable[[str], Sequence[int]], pooling: Pooling
    ) -> None:
        self._session = session
        self._encode = encode
        self._pooling = pooling
        self._inputs = [each.name for each in session.get_inputs()]
        outputs = [each.name for each in session.get_outputs()]
        self._output = _POOLED if _POOLED in outputs else outputs[0]

    def embed(self, texts: Sequence[str]) -> list[bytes]:
        """One vector for each text, as 32-bit floats in little-endian order."""
        return [self._embed(text) for text in texts]

    def _embed(self, text: str) -> bytes:
        ids = np.array([self._encode(text)], dtype=np.int64)
        masks = {"attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
        feed = {name: masks.get(name, ids) for name in self._inputs}
        output = self._session.run([self._output], feed)[0][0]
        if output.ndim > 1:
            output = output.mean(axis=0) if self._pooling == "mean" else output[0]
        return output.astype("<f4").tobytes()


def open_session(path: str) -> Session:
    """The model in a file. One thread: the machine is the agent's.

    Raises:
        EmbeddingUnavailableError: onnxruntime is not there, or does not take the model.
    """
    try:
        runtime = import_module("onnxruntime")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        return cast(
            "Session", runtime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        )
    # Native libraries fail in their own ways where they do not fit the machine or the file.
    except Exception as error:
        raise EmbeddingUnavailableError(f"The embedding model cannot be loaded: {error}") from error
