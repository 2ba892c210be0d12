"""The process that has the sentence model: `python -m diary_mcp.embeddings.worker`.

First it says that it is ready, or in a line what is wrong. A text comes in as one line of JSON; its
vector goes out as a line that says how many bytes follow, and the bytes. It ends with its stdin,
and by itself when nothing was asked for a while: whoever asks next starts another.
"""

import ctypes
import json
import os
import sys
import threading
from contextlib import suppress

from diary_mcp.domain.errors import EmbeddingUnavailableError
from diary_mcp.embeddings.minilm import load_minilm
from diary_mcp.embeddings.worker_words import READY

_IDLE_S = 60
_NICENESS = 5


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
    leaving = _leave_when_idle()
    for line in sys.stdin.buffer:
        leaving.cancel()
        (vector,) = model.embed([json.loads(line)])
        _write(str(len(vector)), vector)
        leaving = _leave_when_idle()


def _write(line: str, body: bytes = b"") -> None:
    sys.stdout.buffer.write(line.encode() + b"\n" + body)
    sys.stdout.buffer.flush()


def _leave_when_idle() -> threading.Timer:
    timer = threading.Timer(_IDLE_S, os._exit, [0])
    timer.daemon = True
    timer.start()
    return timer


def _give_back_memory() -> None:
    """Loading takes a third more than the model does, and glibc would keep it."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


if __name__ == "__main__":
    main()
