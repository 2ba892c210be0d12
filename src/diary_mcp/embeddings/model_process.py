"""The sentence model in a process of its own, which is there only while it is used.

It takes 150 MiB and most of a processor: in the server's process it would stay for good, and
compete with tool calls for the interpreter.
"""

import json
import os
import subprocess
import sys
import weakref
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import suppress
from threading import Lock, Thread
from typing import IO, NoReturn

from diary_mcp.domain.errors import EmbeddingUnavailableError
from diary_mcp.embeddings.lazy import LazyEmbedder
from diary_mcp.embeddings.ready import READY

# The worker ends when it is idle, perhaps at this very moment.
_ATTEMPTS = 2
# Questions are short; for a passage, the model has so much to do that others save nothing.
_SHORT_CHARACTERS = 120
_SHORT_AT_ONCE = 8
# numpy comes with a library that would start a thread for each processor, which takes as long as
# all the rest of numpy's import; the model has no use for them.
_ENVIRONMENT = {"OPENBLAS_NUM_THREADS": "1"}


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
        self._line = deque[tuple[str, Future[bytes]]]()
        self._asking = Lock()
        self._pipes()

    def embed(self, texts: Sequence[str]) -> list[bytes]:
        """One vector for each text.

        Raises:
            EmbeddingUnavailableError: its process has ended, and cannot be started again.
        """
        return [self._embed_in_turn(text) for text in texts]

    @property
    def is_running(self) -> bool:
        """Whether its process is there, with the model loaded."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Starts the process again where it has ended.

        Raises:
            EmbeddingUnavailableError: it cannot be started.
        """
        with self._asking:
            self._pipes()

    def _embed_in_turn(self, text: str) -> bytes:
        place = Future[bytes]()
        self._line.append((text, place))
        # Whoever waits serves the first in the line: a thread for that would be woken up each time.
        while not place.done():
            with self._asking:
                if not place.done():
                    self._serve_next()
        return place.result()

    def _serve_next(self) -> None:
        """Serves the first in the line, and with a short text those that follow and are short."""
        served = list[tuple[str, Future[bytes]]]()
        while self._line and len(served) < _SHORT_AT_ONCE:
            if served and max(len(served[0][0]), len(self._line[0][0])) > _SHORT_CHARACTERS:
                break
            served.append(self._line.popleft())
        try:
            vectors = self._embed([text for text, _ in served])
        except Exception as error:  # noqa: BLE001  # whatever it is, those who wait are told
            for _, place in served:
                place.set_exception(error)
        else:
            for (_, place), vector in zip(served, vectors, strict=True):
                place.set_result(vector)

    def _embed(self, texts: Sequence[str]) -> list[bytes]:
        reason = ""
        for _ in range(_ATTEMPTS):
            try:
                return self._ask(texts)
            except (EOFError, OSError) as error:
                self._end()
                reason = str(error)
        raise EmbeddingUnavailableError(f"The embedding model's process keeps ending: {reason}")

    def _ask(self, texts: Sequence[str]) -> list[bytes]:
        requests, answers = self._pipes()
        requests.write(json.dumps(texts).encode() + b"\n")
        requests.flush()
        size = int(answers.readline() or _no_answer())
        vectors = [answers.read(size) for _ in texts]
        return vectors if len(vectors[-1]) == size else _no_answer()

    def _pipes(self) -> tuple[IO[bytes], IO[bytes]]:
        if not self.is_running:
            self._end()
            self._process = self._start()
        assert self._process is not None, "started"  # noqa: S101  # an invariant
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
                env={**os.environ, **_ENVIRONMENT},
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
        # Where it has ended by itself, nobody may ask for a long time: it would be a zombie.
        Thread(target=process.wait, name="model-end", daemon=True).start()
        return process

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            _kill(process)


class OfflineEmbedder(LazyEmbedder):
    """`Embedder` without a download, a GPU or a key; its model is in a process of its own."""

    def __init__(self) -> None:
        super().__init__("all-minilm-l6-v2-int8", ModelProcess)

    @property
    def is_warm(self) -> bool:
        """As `Embedder.is_warm`; not where the process was idle for long, and has ended."""
        return isinstance(self._model, ModelProcess) and self._model.is_running

    def _warm_up(self) -> None:
        with suppress(EmbeddingUnavailableError):
            model = self._bring()
            if isinstance(model, ModelProcess):
                model.start()


def _no_answer() -> NoReturn:
    raise EOFError("it has ended")


def _kill(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.communicate()
