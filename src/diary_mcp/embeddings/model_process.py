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
from typing import IO, NoReturn

from diary_mcp.domain.errors import EmbeddingUnavailableError
from diary_mcp.embeddings.lazy import LazyEmbedder

READY = "ready"
"""What the process says first, when the model is loaded; any other line is a reason."""

# The worker ends when it is idle, perhaps at this very moment.
_ATTEMPTS = 2


class ModelProcess:
    """`Model` in a process that is started again when it has ended, and ends with this object."""

    def __init__(self) -> None:
        """Starts it.

        Raises:
            EmbeddingUnavailableError: the model cannot be loaded, or its process started.
        """
        self._process: subprocess.Popen[bytes] | None = None
        # Texts wait in one line, one of each caller at a time: a question that somebody waits for
        # is not behind all that is being indexed.
        self._line = ThreadPoolExecutor(1, thread_name_prefix="embedding")
        self._pipes()

    def embed(self, texts: Sequence[str]) -> list[bytes]:
        """One vector for each text.

        Raises:
            EmbeddingUnavailableError: its process has ended, and cannot be started again.
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
        raise EmbeddingUnavailableError(f"The embedding model's process keeps ending: {reason}")

    def _ask(self, text: str) -> bytes:
        requests, answers = self._pipes()
        requests.write(json.dumps(text).encode() + b"\n")
        requests.flush()
        size = int(answers.readline() or _no_answer())
        vector = answers.read(size)
        return vector if len(vector) == size else _no_answer()

    def _pipes(self) -> tuple[IO[bytes], IO[bytes]]:
        if self._process is None:
            self._process = self._start()
        assert self._process.stdin is not None, "asked for"  # noqa: S101  # an invariant
        assert self._process.stdout is not None, "asked for"  # noqa: S101  # an invariant
        return self._process.stdin, self._process.stdout

    def _start(self) -> subprocess.Popen[bytes]:
        try:
            # A session of its own: Ctrl-C is for the server, whose end ends this.
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "diary_mcp.embeddings.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        except OSError as error:
            raise EmbeddingUnavailableError(f"The model's process cannot run: {error}") from error
        weakref.finalize(self, _kill, process)
        assert process.stdout is not None, "asked for"  # noqa: S101  # an invariant
        told = process.stdout.readline().decode().strip()
        if told != READY:
            _kill(process)
            raise EmbeddingUnavailableError(told or "The embedding model's process does not start.")
        return process

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            _kill(process)


class OfflineEmbedder(LazyEmbedder):
    """`Embedder` without a download, a GPU or a key; its model is in a process of its own."""

    def __init__(self) -> None:
        super().__init__("all-minilm-l6-v2-int8", ModelProcess)


def _no_answer() -> NoReturn:
    raise EOFError("it has ended")


def _kill(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.communicate()
