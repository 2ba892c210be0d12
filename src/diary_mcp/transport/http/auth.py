"""Bearer authentication: only agents that are signed in reach what is behind it.

Who is calling comes from the bearer token alone, which is looked up with every request, and
again before anything is sent on a stream that stayed open.
"""

from collections.abc import MutableMapping
from dataclasses import dataclass, field

import anyio
import anyio.lowlevel
import structlog
from mcp.server.auth.middleware.auth_context import AuthContextMiddleware
from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken
from mcp.server.context import ServerRequestContext
from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from diary_mcp.domain.errors import UnavailableError
from diary_mcp.domain.scopes import DIARY_CLAIM, TOKEN_SCOPES
from diary_mcp.service.agents.authentication import Identity, TokenReader, TokenRefusedError
from diary_mcp.transport.http.draining import end_stream, is_stream_start, service_unavailable
from diary_mcp.transport.http.protocol import CONNECTION, BoundedHttpProtocol

_log = structlog.get_logger()

_LOOK_UP_S = 15
_BEARER = "bearer "
_MAX_TOKEN_CHARACTERS = 16_384


class BearerAuthentication:
    """Lets an ASGI application answer signed-in agents only."""

    def __init__(self, app: ASGIApp, reader: TokenReader, metadata_url: str | None) -> None:
        """Puts itself in front of `app`.

        Args:
            app: What is behind; it finds the agent in `scope["user"]`.
            reader: Says who a token stands for.
            metadata_url: The protected-resource metadata, for clients that can get a token by
                themselves.
        """
        self._app = AuthContextMiddleware(app)
        self._reader = reader
        self._metadata_url = metadata_url

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        token = _bearer_token(scope)
        admitted = await self._admit(token)
        if isinstance(admitted, Response):
            await admitted(scope, receive, send)
            return
        if not sign_in_connection(scope, admitted.agent):
            refusal = service_unavailable("Too many requests of yours are under way.")
            await refusal(scope, receive, send)
            return
        with anyio.CancelScope() as work:
            reauthorizer = _StreamReauthorizer(self._reader, token or "", admitted, send, work)
            await self._app({**scope, "user": _user(admitted)}, receive, reauthorizer.send)

    async def _admit(self, token: str | None) -> Identity | Response:
        if token is None:
            return self._challenge(401)
        try:
            with anyio.fail_after(_LOOK_UP_S):
                identity = await self._reader.identify(token)
        except TokenRefusedError as error:
            _log.info("http.refused", reason=str(error))
            return self._challenge(401, "invalid_token", str(error))
        except (UnavailableError, TimeoutError) as error:
            _log.warning("http.token_unchecked", reason=str(error))
            return service_unavailable("The token cannot be checked at the moment. Try again.")
        if not identity.scopes:
            _log.info("http.refused", reason="no scope", agent=identity.agent)
            return self._challenge(
                403, "insufficient_scope", "The token has none of the diary's scopes."
            )
        return identity

    def _challenge(
        self, status: int, error: str | None = None, description: str | None = None
    ) -> Response:
        """A refusal that tells a client how to come back: RFC 6750, section 3, and RFC 9728."""
        attributes = {
            "realm": "diary-mcp",
            "scope": " ".join(TOKEN_SCOPES),
            "resource_metadata": self._metadata_url,
            "error": error,
            "error_description": description,
        }
        told = ", ".join(f'{name}="{value}"' for name, value in attributes.items() if value)
        return JSONResponse(
            {
                "error": error or "unauthorized",
                "error_description": description or "Send a token: Authorization: Bearer …",
            },
            status_code=status,
            headers={"WWW-Authenticate": f"Bearer {told}"},
        )


@dataclass
class _StreamReauthorizer:
    """Asks again before each part of a stream whether its reader is still signed in."""

    reader: TokenReader
    token: str = field(repr=False)
    identity: Identity
    send_message: Send
    work: anyio.CancelScope
    is_streaming: bool = False

    async def send(self, message: Message) -> None:
        if self.is_streaming and not await self._is_authorized():
            await end_stream(self.send_message)
            self.work.cancel()
            await anyio.lowlevel.checkpoint()
        self.is_streaming = self.is_streaming or is_stream_start(message)
        await self.send_message(message)

    async def _is_authorized(self) -> bool:
        try:
            with anyio.fail_after(_LOOK_UP_S):
                return await self.reader.identify(self.token) == self.identity
        except (TokenRefusedError, UnavailableError, TimeoutError) as error:
            _log.info("http.stream_ended", agent=self.identity.agent, reason=str(error))
            return False


def sign_in_connection(scope: Scope, agent: str) -> bool:
    """Keeps the connection of a request apart from those of strangers.

    `False` where the agent has too many already.
    """
    connection: object = scope.get("state", {}).get(CONNECTION)
    return not isinstance(connection, BoundedHttpProtocol) or connection.sign_in(agent)


@dataclass(frozen=True)
class OpenToEverybody:
    """An ASGI application where nobody has to sign in: no connection is a stranger's.

    A class, because a route takes a function for one from a request to its response.
    """

    app: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        sign_in_connection(scope, "")
        await self.app(scope, receive, send)


def agent_of(context: ServerRequestContext[object]) -> str:
    """Who has signed in with the request that is being answered; empty where everybody may."""
    request: object = context.request
    return agent_in(request.scope) if isinstance(request, HTTPConnection) else ""


def agent_in(scope: MutableMapping[str, object]) -> str:
    """The same of a request that has passed `BearerAuthentication`."""
    user = scope.get("user")
    return (user.access_token.subject or "") if isinstance(user, AuthenticatedUser) else ""


def _bearer_token(scope: Scope) -> str | None:
    """The token that came with a request; `None` where there is none, or more than one."""
    values = Headers(scope=scope).getlist("authorization")
    if len(values) != 1 or not values[0].lower().startswith(_BEARER):
        return None
    return values[0][len(_BEARER) :].strip()[:_MAX_TOKEN_CHARACTERS] or None


def _user(identity: Identity) -> AuthenticatedUser:
    claims: dict[str, object] = {"iss": identity.issuer} if identity.issuer else {}
    if identity.only is not None:
        claims[DIARY_CLAIM] = identity.only
    # The SDK binds what outlives a request, such as an SSE session, to these three. The token
    # itself goes no further than here.
    return AuthenticatedUser(
        AccessToken(
            token="",
            client_id=identity.agent,
            subject=identity.agent,
            scopes=sorted(identity.scopes),
            claims=claims or None,
        )
    )
