"""A sentence transformer in a folder of files, as model hubs give it out."""

import json
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Protocol, cast

from diary_mcp.domain.errors import EmbeddingUnavailableError
from diary_mcp.embeddings.onnx import OnnxModel, Pooling, open_session
from diary_mcp.embeddings.onnx_files import MODEL_FILES, find_model
from diary_mcp.embeddings.wordpiece import WordPiece

_TOKENIZER = "tokenizer.json"
_VOCABULARY = "vocab.txt"
_TOKENS = 256
_MAX_TOKENS = 512


class _Encoding(Protocol):
    ids: list[int]


class _Tokenizer(Protocol):
    def enable_truncation(self, max_length: int) -> None: ...

    def no_padding(self) -> None: ...

    def encode(self, sequence: str) -> _Encoding: ...


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
