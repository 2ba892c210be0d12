"""An OpenAI-compatible endpoint: `POST {url}/embeddings`, as many servers offer it."""

import re
from collections.abc import Sequence
from threading import Lock
from time import monotonic

import httpx
import numpy as np
from pydantic import BaseModel, ValidationError

from diary_mcp.domain.errors import EmbeddingUnavailableError, InvalidArgumentError
from diary_mcp.outgoing_http import certificates_for, proxy_for, without_user

_TIMEOUT = httpx.Timeout(20.0, connect=5.0)
_AT_ONCE = 64
_PAUSE_S = 15.0
_REFUSALS = frozenset({400, 413, 422})


class _Embedding(BaseModel):
    index: int
    embedding: list[float]


class _Answer(BaseModel):
    data: list[_Embedding]


class _Problem(BaseModel):
    code: str | int | None = None
    type: str | None = None


class _ErrorBody(BaseModel):
    error: _Problem


class _RefusedError(Exception):
    """The endpoint does not take these texts, whoever asks again."""


class EndpointModel:
    """Asks the endpoint, and after a failure leaves it alone for `pause_s` seconds.

    A search that finds it down goes on by words at once, so an outage costs one search its time.
    """

    def __init__(
        self,
        url: str,
        model: str,
        api_key: str | None,
        *,
        timeout: httpx.Timeout = _TIMEOUT,
        pause_s: float = _PAUSE_S,
    ) -> None:
        """Makes it ready; nothing is asked yet.

        Raises:
            EmbeddingUnavailableError: the environment names no usable way to it.
        """
        self._url = f"{url.rstrip('/')}/embeddings"
        self._told = without_user(self._url)
        self._model = model
        headers = {} if api_key is None else {"Authorization": f"Bearer {api_key}"}
        try:
            self._client = httpx.Client(
                headers=headers,
                timeout=timeout,
                proxy=proxy_for(url),
                verify=certificates_for(url),
                trust_env=False,
            )
        except (InvalidArgumentError, ValueError, httpx.InvalidURL) as error:
            raise EmbeddingUnavailableError(
                f"The embedding endpoint cannot be asked: {error}"
            ) from error
        self._pause_s = pause_s
        self._lock = Lock()
        self._failed_at = float("-inf")
        self._failure = ""
        self._dimensions = 0

    def embed(self, texts: Sequence[str]) -> list[bytes]:
        """One vector for each text; of nothing but zeros where it refuses that one for good.

        Raises:
            EmbeddingUnavailableError: it does not answer, or not with usable vectors.
        """
        vectors: list[bytes] = []
        for start in range(0, len(texts), _AT_ONCE):
            vectors += self._embed(texts[start : start + _AT_ONCE])
        return vectors

    def _embed(self, texts: Sequence[str]) -> list[bytes]:
        try:
            return self._ask(texts)
        except _RefusedError as error:
            if len(texts) > 1:
                return [vector for text in texts for vector in self._embed([text])]
            # It has taken others, so it is this text: nothing else may wait for it.
            if self._dimensions:
                return [np.zeros(self._dimensions, dtype="<f4").tobytes()]
            raise EmbeddingUnavailableError(str(error)) from error

    def _ask(self, texts: Sequence[str]) -> list[bytes]:
        with self._lock:
            if monotonic() < self._failed_at + self._pause_s:
                raise EmbeddingUnavailableError(self._failure)
        try:
            return self._read(self._post(texts), len(texts))
        except (httpx.HTTPError, httpx.InvalidURL, ValidationError, ValueError) as error:
            failure = f"The embedding endpoint {self._told} gave no usable answer: {_say(error)}"
            with self._lock:
                self._failed_at, self._failure = monotonic(), failure
            raise EmbeddingUnavailableError(failure) from error

    def _post(self, texts: Sequence[str]) -> bytes:
        # Endpoints refuse an empty text.
        body = {
            "model": self._model,
            "input": [text or " " for text in texts],
            "encoding_format": "float",
        }
        response = self._client.post(self._url, json=body)
        if response.status_code in _REFUSALS:
            raise _RefusedError(
                f"The embedding endpoint {self._told} refuses a text for {self._model!r}: "
                f"{_status(response)}"
            )
        return response.raise_for_status().content

    def _read(self, content: bytes, count: int) -> list[bytes]:
        data = sorted(_Answer.model_validate_json(content).data, key=lambda each: each.index)
        sizes = {len(each.embedding) for each in data}
        if [each.index for each in data] != list(range(count)) or len(sizes) != 1:
            raise ValueError(f"{len(data)} vectors of {sorted(sizes)} numbers for {count} texts")
        vectors = np.array([each.embedding for each in data], dtype="<f4")
        if not vectors.size or not np.isfinite(vectors).all():
            raise ValueError("vectors without numbers")
        self._dimensions = vectors.shape[1]
        return [vector.tobytes() for vector in vectors]


def _status(response: httpx.Response) -> str:
    """The status and the endpoint's word for it; not its text, which may quote an entry."""
    try:
        problem = _ErrorBody.model_validate_json(response.content).error
    except ValidationError:
        return f"status {response.status_code}"
    word = re.sub(r"[^\w.-]", "", str(problem.code or problem.type or ""))[:64]
    return f"status {response.status_code} {word}".rstrip()


def _say(error: Exception) -> str:
    if isinstance(error, httpx.HTTPStatusError):
        return _status(error.response)
    if isinstance(error, ValidationError):
        return "it is not what an embedding endpoint answers"
    return str(error) or type(error).__name__
