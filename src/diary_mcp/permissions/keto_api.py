"""Requests over HTTP to Ory Keto, which has one API to read and one to write."""

import socket
import ssl
import struct
import sys
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import TypeVar

import anyio
import httpx

from diary_mcp.domain.errors import PermissionBackendUnavailableError
from diary_mcp.permissions.circuit import CircuitBreaker
from diary_mcp.permissions.keto_wire import UndecidedError, UnusableAnswerError

FAILURES_TO_OPEN = 3
PAUSE_S = 2.0
# httpx's pool collapses at 16 concurrent requests: fewer a second than at 4.
_REQUESTS_AT_ONCE = 4
# A page of tuples takes some 200 KB.
_MAX_ANSWER_BYTES = 4 << 20
# What was given up must not be sent any more. A connection that is closed as usual goes on sending
# what the other end has not acknowledged for minutes: a change would be made long after it failed.
_FORGETTING = (
    socket.SOL_SOCKET,
    socket.SO_LINGER,
    struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0),
)

Answer = TypeVar("Answer")


@asynccontextmanager
async def open_api(name: str, url: str, timeout_s: float) -> AsyncGenerator["KetoApi"]:
    """One API for as long as the block runs; connects at first use.

    `timeout_s` bounds every request as a whole; connecting may take a quarter of it.
    """
    async with _client(url, timeout_s) as client:
        yield KetoApi(name, client, timeout_s)


class KetoApi:
    """One of Keto's two APIs: few requests at once, each bounded in time, failures counted."""

    def __init__(self, name: str, client: httpx.AsyncClient, timeout_s: float) -> None:
        self._name = name
        self._client = client
        self._timeout_s = timeout_s
        self._breaker = CircuitBreaker(failures=FAILURES_TO_OPEN, pause_s=PAUSE_S)
        self._limiter = anyio.CapacityLimiter(_REQUESTS_AT_ONCE)

    async def ask(
        self,
        method: str,
        path: str,
        read: Callable[[int, bytes], Answer],
        *,
        params: Mapping[str, str] | None = None,
        body: object = None,
    ) -> Answer:
        """What `read` makes of the answer's status and content.

        Raises:
            PermissionBackendUnavailableError: no answer in time, or `read` cannot use it.
        """
        async with self._limiter:
            if self._breaker.is_open():
                raise self._unavailable("it failed several times in a row just now")
            try:
                with anyio.fail_after(self._timeout_s):
                    status, content = await self._request(method, path, params, body)
                answer = read(status, content)
            except (httpx.TimeoutException, TimeoutError):
                raise self._failed("no answer in time") from None
            except httpx.HTTPError as error:
                raise self._failed(type(error).__name__) from error
            except UnusableAnswerError as error:
                raise self._failed(str(error)) from None
            except UndecidedError:
                raise self._unavailable("it reached a limit before it knew") from None
        self._breaker.record_success()
        return answer

    async def _request(
        self, method: str, path: str, params: Mapping[str, str] | None, body: object
    ) -> tuple[int, bytes]:
        content = bytearray()
        async with self._client.stream(method, path, params=params, json=body) as response:
            async for chunk in response.aiter_bytes():
                content += chunk
                if len(content) > _MAX_ANSWER_BYTES:
                    raise UnusableAnswerError("its answer is too large")
            return response.status_code, bytes(content)

    @contextmanager
    def in_time(self) -> Generator[None]:
        """Bounds everything that one question asks of Keto."""
        try:
            with anyio.fail_after(self._timeout_s):
                yield
        except TimeoutError:
            raise self._failed("no answer in time") from None

    def _failed(self, reason: str) -> PermissionBackendUnavailableError:
        self._breaker.record_failure()
        return self._unavailable(reason)

    def _unavailable(self, reason: str) -> PermissionBackendUnavailableError:
        return PermissionBackendUnavailableError(
            f"Ory Keto's {self._name} API gives no usable answer ({reason}). Try again in a "
            "moment; `diary-mcp status` shows what is wrong."
        )


def _client(url: str, timeout_s: float) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        base_url=url,
        transport=httpx.AsyncHTTPTransport(
            # Reading the system's certificates takes longer than a check.
            verify=ssl.create_default_context() if url.startswith("https:") else False,
            trust_env=False,
            socket_options=[_FORGETTING],
        ),
        # Everything but connecting is bounded as a whole, by the one that asks.
        timeout=httpx.Timeout(None, connect=timeout_s / 4),
        # The environment is read in one place, and a proxy in it is not meant for Keto.
        trust_env=False,
    )
