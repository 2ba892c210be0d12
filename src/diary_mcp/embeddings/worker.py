"""The process that has the sentence model: `python -m diary_mcp.embeddings.worker`.

A text comes in as one line of JSON. Its vector goes out as a line of JSON that says how many bytes
follow, and the bytes; or as a line that says what is wrong. It ends with its stdin, and by itself
when nothing was asked for a while: whoever asks next starts another.
"""

import ctypes
import json
import os
import sys
import threading
from contextlib import suppress

from diary_mcp.domain.errors import EmbeddingUnavailableError
from diary_mcp.embeddings.minilm import load_minilm

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
        _write({"error": str(error)})
        return
    _give_back_memory()
    leaving = _leave_when_idle()
    for line in sys.stdin.buffer:
        leaving.cancel()
        (vector,) = model.embed([json.loads(line)])
        _write({"bytes": len(vector)}, vector)
        leaving = _leave_when_idle()


def _write(head: dict[str, object], body: bytes = b"") -> None:
    sys.stdout.buffer.write(json.dumps(head).encode() + b"\n" + body)
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
