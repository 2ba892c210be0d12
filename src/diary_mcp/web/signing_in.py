"""Who may see the page: whoever brings a secret, which is exchanged for a cookie."""

import hmac
import secrets
from dataclasses import dataclass, field
from typing import Protocol

import anyio
from starlette.requests import Request
from starlette.responses import Response

from diary_mcp.domain.errors import UnavailableError
from diary_mcp.server.caller import Caller
from diary_mcp.service.agents.authentication import TokenReader, TokenRefusedError

_COOKIE = "diary"
_SECRET_BYTES = 32
_LOOK_UP_S = 15


class Door(Protocol):
    """Decides who comes in."""

    @property
    def takes_tokens(self) -> bool:
        """Whether whoever has a token may sign in; else a link is needed."""
        ...

    async def exchange(self, secret: str) -> str | None:
        """The value of the cookie for whoever brings this secret; `None` refuses it."""
        ...

    async def identify(self, cookie: str) -> Caller | None:
        """Whose cookie this is; `None` where it is nobody's."""
        ...


@dataclass
class LinkDoor:
    """Lets one browser in, as one agent, by a link that works once."""

    caller: Caller
    secret: str = field(default_factory=lambda: secrets.token_urlsafe(_SECRET_BYTES), repr=False)
    takes_tokens = False
    _session: str | None = field(default=None, repr=False)

    async def exchange(self, secret: str) -> str | None:
        if self._session is not None or not _is_same(secret, self.secret):
            return None
        self._session = secrets.token_urlsafe(_SECRET_BYTES)
        return self._session

    async def identify(self, cookie: str) -> Caller | None:
        is_known = self._session is not None and _is_same(cookie, self._session)
        return self.caller if is_known else None


@dataclass(frozen=True)
class TokenDoor:
    """Lets agents in by their bearer tokens, each of which is looked up with every request.

    The token itself is the cookie: a replica that never saw the sign-in reads it too, and it is
    worth nothing from the moment on in which it is revoked.
    """

    reader: TokenReader
    session: str | None = None
    diary: str | None = None
    takes_tokens = True

    async def exchange(self, secret: str) -> str | None:
        return None if await self.identify(secret) is None else secret

    async def identify(self, cookie: str) -> Caller | None:
        try:
            with anyio.fail_after(_LOOK_UP_S):
                identity = await self.reader.identify(cookie)
        except TokenRefusedError:
            return None
        except TimeoutError as error:
            raise UnavailableError(
                "The token cannot be checked at the moment. Try again."
            ) from error
        # The page is about all that an agent may read.
        if not identity.scopes or identity.only is not None:
            return None
        return Caller(identity.agent, identity.scopes, self.session, self.diary)


def cookie_of(request: Request) -> str | None:
    """The cookie that came with a request."""
    return request.cookies.get(_COOKIE)


def keep_cookie(response: Response, value: str, base: str, *, is_secure: bool = False) -> None:
    """Hands the browser its cookie: no script reads it, and no other site's page sends it.

    Browsers send a cookie to every port of a host, so another user's server on this machine could
    collect it; they send it to no other path, and `base` is not to be guessed.
    """
    response.set_cookie(
        _COOKIE, value, path=base or "/", secure=is_secure, httponly=True, samesite="strict"
    )


def drop_cookie(response: Response, base: str) -> None:
    """Lets the browser forget who it was."""
    response.delete_cookie(_COOKIE, path=base or "/", httponly=True, samesite="strict")


def csrf_token(cookie: str) -> str:
    """What every form of whoever has this cookie brings along, and no other page knows."""
    return hmac.digest(cookie.encode(), b"diary-mcp form", "sha256").hex()


def is_csrf_token(token: str, cookie: str) -> bool:
    return _is_same(token, csrf_token(cookie))


def _is_same(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "replace"), expected.encode())
