"""The sentence model in a process of its own, which is there only while it is used.

It takes 150 MiB and most of a processor: in the server's process it would stay for good, and
compete with tool calls for the interpreter.
"""

import json
import subprocess
import sys
import weakref
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import IO

from diary_mcp.domain.errors import EmbeddingUnavailableError

# The worker ends when it is idle, perhaps at this very moment.
_ATTEMPTS = 2


class ModelProcess:
    """`Model` that starts its process when it is asked; the process ends with this object."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        # Texts wait in one line, one of each caller at a time: a question that somebody waits for
        # is not behind all that is being indexed.
        self._line = ThreadPoolExecutor(1, thread_name_prefix="embedding")

    def embed(self, texts: Sequence[str]) -> list[bytes]:
        """One vector for each text.

        Raises:
            EmbeddingUnavailableError: the model cannot be loaded, or its process started.
        """
        return [self._line.submit(self._embed, text).result() for text in texts]

    def _embed(self, text: str) -> bytes:
        reason = ""
        for _ in range(_ATTEMPTS):
            try:
                return self._ask(text)
            except (EOFError, OSError) as error:
                self._end()
                reason = str(error)
        raise EmbeddingUnavailableError(f"The embedding model's process does not stay: {reason}")

    def _ask(self, text: str) -> bytes:
        requests, answers = self._pipes()
        requests.write(json.dumps(text).encode() + b"\n")
        requests.flush()
        head = answers.readline()
        if not head:
            raise EOFError("it has ended")
        told: dict[str, object] = json.loads(head)
        size = told.get("bytes")
        if not isinstance(size, int):
            self._end()
            raise EmbeddingUnavailableError(str(told.get("error")))
        vector = answers.read(size)
        if len(vector) < size:
            raise EOFError("it ended while it answered")
        return vector

    def _pipes(self) -> tuple[IO[bytes], IO[bytes]]:
        if self._process is None:
            # A session of its own: Ctrl-C is for the server, whose end ends this.
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "diary_mcp.embeddings.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
            weakref.finalize(self, _kill, self._process)
        assert self._process.stdin is not None, "asked for"  # noqa: S101  # an invariant
        assert self._process.stdout is not None, "asked for"  # noqa: S101  # an invariant
        return self._process.stdin, self._process.stdout

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            _kill(process)


def _kill(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.communicate()
