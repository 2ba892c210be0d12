"""Sentence models in ONNX: run by `onnxruntime`, and read from the folders that hubs give out."""

import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Literal, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from diary_mcp.domain.errors import EmbeddingUnavailableError
from diary_mcp.embeddings.model_files import MODEL_FILES, find_model
from diary_mcp.embeddings.wordpiece import WordPiece

Pooling = Literal["mean", "cls"]

_POOLED = "sentence_embedding"
_TOKENIZER = "tokenizer.json"
_VOCABULARY = "vocab.txt"
_TOKENS = 256
_MAX_TOKENS = 512
# Texts of a batch are filled up to the longest, and what they are filled with is calculated too.
_MOST_FILLED = 4


class _Named(Protocol):
    name: str


class InferenceSession(Protocol):
    """What is used of onnxruntime's `InferenceSession`; it ships no types."""

    def get_inputs(self) -> Sequence[_Named]: ...

    def get_outputs(self) -> Sequence[_Named]: ...

    def run(
        self, output_names: Sequence[str], input_feed: Mapping[str, NDArray[np.int64]]
    ) -> list[NDArray[np.float32]]: ...


class _Encoding(Protocol):
    ids: list[int]


class _Tokenizer(Protocol):
    def enable_truncation(self, max_length: int) -> None: ...

    def no_padding(self) -> None: ...

    def encode(self, sequence: str) -> _Encoding: ...


class OnnxModel:
    """Embeds one text at a time: in a batch, an 8-bit model would give each a bit of the others."""

    def __init__(
        self, session: InferenceSession, encode: Callable[[str], Sequence[int]], pooling: Pooling
    ) -> None:
        self._session = session
        self._encode = encode
        self._pooling = pooling
        self._inputs = [each.name for each in session.get_inputs()]
        outputs = [each.name for each in session.get_outputs()]
        self._output = _POOLED if _POOLED in outputs else outputs[0]

    def embed(self, texts: Sequence[str]) -> list[bytes]:
        """One vector for each text, as 32-bit floats in little-endian order."""
        return [self._run([self._encode(text)])[0] for text in texts]

    def embed_together(self, texts: Sequence[str]) -> list[bytes]:
        """The same of a model that calculates in floats: texts of nearly one length in a batch.

        For a short text such a model does little else than read its own weights.
        """
        encoded = [self._encode(text) for text in texts]
        batches: defaultdict[int, list[int]] = defaultdict(list)
        for place, ids in enumerate(encoded):
            batches[len(ids) // _MOST_FILLED].append(place)
        vectors = dict[int, bytes]()
        for places in batches.values():
            found = self._run([encoded[place] for place in places])
            vectors.update(zip(places, found, strict=True))
        return [vectors[place] for place in range(len(texts))]

    def _run(self, encoded: Sequence[Sequence[int]]) -> list[bytes]:
        ids = np.zeros((len(encoded), max(map(len, encoded))), dtype=np.int64)
        mask = np.zeros_like(ids)
        for row, each in enumerate(encoded):
            ids[row, : len(each)] = each
            mask[row, : len(each)] = 1
        special = {"attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        feed = {name: special.get(name, ids) for name in self._inputs}
        outputs = self._session.run([self._output], feed)[0]
        return [
            self._pool(output, len(each)) for output, each in zip(outputs, encoded, strict=True)
        ]

    def _pool(self, output: NDArray[np.float32], tokens: int) -> bytes:
        if output.ndim > 1:
            of_tokens = output[:tokens]
            output = of_tokens.mean(axis=0) if self._pooling == "mean" else of_tokens[0]
        return output.astype("<f4").tobytes()


def open_session(path: str) -> InferenceSession:
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
            "InferenceSession",
            runtime.InferenceSession(path, options, providers=["CPUExecutionProvider"]),
        )
    # Native libraries fail in their own ways where they do not fit the machine or the file.
    except Exception as error:
        raise EmbeddingUnavailableError(f"The embedding model cannot be loaded: {error}") from error


def load_folder(folder: Path) -> OnnxModel:
    """The model of a folder.

    Raises:
        EmbeddingUnavailableError: a file is missing or damaged, or nothing here can read it.
    """
    path = find_model(folder)
    if path is None:
        raise EmbeddingUnavailableError(f"{folder} has no {MODEL_FILES[0]} any more.")
    return OnnxModel(open_session(str(path)), _load_tokenizer(folder), _pooling(folder))


def _load_tokenizer(folder: Path) -> Callable[[str], Sequence[int]]:
    limit = _token_limit(folder)
    path = folder / _TOKENIZER
    if path.is_file():
        return _load_tokenizers(path, limit)
    try:
        vocabulary = (folder / _VOCABULARY).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise EmbeddingUnavailableError(
            f"{folder} has neither {_TOKENIZER} nor a readable {_VOCABULARY}."
        ) from error
    return WordPiece(vocabulary, limit).encode


def _load_tokenizers(path: Path, limit: int) -> Callable[[str], Sequence[int]]:
    try:
        tokenizer = cast("_Tokenizer", import_module("tokenizers").Tokenizer.from_file(str(path)))
    # The library raises plain `Exception` for a file that it cannot read.
    except Exception as error:
        raise EmbeddingUnavailableError(f"{path} cannot be read: {error}") from error
    tokenizer.no_padding()
    tokenizer.enable_truncation(limit)
    return lambda text: tokenizer.encode(text).ids


def _token_limit(folder: Path) -> int:
    limit = _read_json(folder / "sentence_bert_config.json").get("max_seq_length")
    return min(limit, _MAX_TOKENS) if isinstance(limit, int) and limit > 0 else _TOKENS


def _pooling(folder: Path) -> Pooling:
    config = _read_json(folder / "1_Pooling" / "config.json")
    return "cls" if config.get("pooling_mode_cls_token") is True else "mean"


def _read_json(path: Path) -> dict[str, object]:
    try:
        value = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise EmbeddingUnavailableError(f"{path} cannot be read: {error}") from error
    return cast("dict[str, object]", value) if isinstance(value, dict) else {}
