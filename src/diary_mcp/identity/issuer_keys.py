"""The public keys of a token issuer: fetched when needed, kept for a while, rotated with it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from time import monotonic

import anyio
import httpx
import structlog
from joserfc.errors import JoseError
from joserfc.jwk import JWKRegistry, Key, OctKey, RSAKey
from pydantic import BaseModel

from diary_mcp.domain.errors import InvalidArgumentError, UnavailableError
from diary_mcp.outgoing_http import certificates_for, proxy_for

_log = structlog.get_logger()

_FRESH_S = 300
# How long the issuer may be away before its tokens are worth nothing here.
_USABLE_S = 3_600
# Anybody can send a token with a key id that nobody knows.
_BETWEEN_TRIES_S = 10
_FETCH_S = 5
_MAX_BYTES = 1 << 20
# RFC 7518, section 3.3.
_LEAST_RSA_BITS = 2_048


class _KeySet(BaseModel):
    """RFC 7517, section 5."""

    keys: list[dict[str, str | list[str]]]


@dataclass(frozen=True)
class _Fetched:
    keys: list[Key]
    at_s: float


class IssuerKeys:
    """Finds the key that a token says it is signed with."""

    def __init__(
        self, fetch: Callable[[], Awaitable[bytes]], *, now_s: Callable[[], float] = monotonic
    ) -> None:
        self._fetch = fetch
        self._now_s = now_s
        self._fetching = anyio.Lock()
        self._fetched: _Fetched | None = None
        self._failed_at_s: float | None = None
        self._searched_at_s: float | None = None

    async def find(self, kid: str | None) -> Key | None:
        """The key of this id; without an id, the only one there is.

        A key that is not known is looked for at the issuer, which may have rotated its keys.

        Raises:
            UnavailableError: the issuer has given no keys for too long.
        """
        key = _pick(await self._current(), kid)
        if key is None and not self._is_recent(self._searched_at_s, _BETWEEN_TRIES_S):
            async with self._fetching:
                if not self._is_recent(self._searched_at_s, _BETWEEN_TRIES_S):
                    self._searched_at_s = self._now_s()
                    await self._refresh()
            key = _pick(await self._current(), kid)
        return key

    async def _current(self) -> list[Key]:
        async with self._fetching:
            is_fresh = self._fetched is not None and self._is_recent(self._fetched.at_s, _FRESH_S)
            if not is_fresh and not self._is_recent(self._failed_at_s, _BETWEEN_TRIES_S):
                await self._refresh()
        if self._fetched is None or not self._is_recent(self._fetched.at_s, _USABLE_S):
            raise UnavailableError(
                "The issuer's keys cannot be fetched; check DIARY_MCP_JWT_JWKS_URL."
            )
        return self._fetched.keys

    async def _refresh(self) -> None:
        try:
            document = _KeySet.model_validate_json(await self._fetch())
        except InvalidArgumentError as error:
            self._failed_at_s = self._now_s()
            _log.warning("issuer.keys_not_fetched", reason=str(error))
            return
        except (OSError, httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            self._failed_at_s = self._now_s()
            _log.warning("issuer.keys_not_fetched", reason=type(error).__name__)
            return
        keys = [key for each in document.keys if (key := _read(each)) is not None]
        self._fetched = _Fetched(keys, self._now_s())

    def _is_recent(self, at_s: float | None, within_s: float) -> bool:
        return at_s is not None and self._now_s() - at_s < within_s


async def fetch_keys(url: str) -> bytes:
    """The document at `url`, if it is neither large nor slow nor elsewhere.

    Raises:
        httpx.HTTPError: it did not come.
        TimeoutError: nor did it in time.
        InvalidArgumentError: the environment names no usable way to it.
        ValueError: it is too large.
    """
    document = bytearray()
    with anyio.fail_after(_FETCH_S):
        async with (
            httpx.AsyncClient(
                proxy=proxy_for(url), verify=certificates_for(url), trust_env=False
            ) as client,
            client.stream("GET", url) as response,
        ):
            response.raise_for_status()
            async for chunk in response.aiter_bytes():
                document += chunk
                if len(document) > _MAX_BYTES:
                    raise ValueError("more than 1 MiB")
    return bytes(document)


def _read(jwk: dict[str, str | list[str]]) -> Key | None:
    """A key that verifies signatures; what else an issuer publishes is passed over."""
    if jwk.get("use", "sig") != "sig":
        return None
    try:
        key = JWKRegistry.import_key(jwk)
    except (JoseError, ValueError):
        return None
    if isinstance(key, RSAKey) and key.raw_value.key_size < _LEAST_RSA_BITS:
        _log.warning("issuer.key_too_short", kid=key.kid, bits=key.raw_value.key_size)
        return None
    return None if isinstance(key, OctKey) else key


def _pick(keys: list[Key], kid: str | None) -> Key | None:
    if kid is None:
        return keys[0] if len(keys) == 1 else None
    return next((key for key in keys if key.kid == kid), None)
