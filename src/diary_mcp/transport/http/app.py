"""MCP over HTTP: streamable HTTP at `/mcp`, and the legacy SSE transport where it is asked for.

Stateless: every request stands for itself, so any replica can answer it. The order in which a
request is looked at is chosen so that a stranger costs little: its Host and Origin, then its
token, and only then its body.
"""

import re
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from mcp.server.auth.routes import build_resource_metadata_url, create_protected_resource_routes
from mcp.server.auth.settings import AuthSettings
from mcp.server.sse import SseServerTransport
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.server.transport_security import TransportSecuritySettings
from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from diary_mcp.domain.scopes import TOKEN_SCOPES
from diary_mcp.server.build import DiaryServer
from diary_mcp.service.agents.authentication import TokenReader
from diary_mcp.transport.http.auth import BearerAuthentication, OpenToEverybody, agent_in
from diary_mcp.transport.http.bodies import MAX_BODY_BYTES, BodyLimit, LongBodies
from diary_mcp.transport.http.direct_calls import DirectCalls
from diary_mcp.transport.http.draining import ConnectionDrain, service_unavailable
from diary_mcp.transport.http.health import Readiness, health_routes
from diary_mcp.transport.http.hosts import HostCheck
from diary_mcp.transport.inflight import InFlight

SSE_PATH = "/sse"
_METADATA = "/.well-known/"
_OPEN_PATHS = frozenset({"/health", "/ready"})


@dataclass(frozen=True)
class Surface:
    """What is offered over HTTP, and to whom."""

    security: TransportSecuritySettings
    reader: TokenReader | None
    """`None` lets everybody in."""

    issuer: AuthSettings | None
    """Who else issues tokens for this server, for the protected-resource metadata."""

    with_sse: bool
    look: Callable[[], Awaitable[Readiness]]
    page: ASGIApp | None = None
    """What people see at every other path."""


@asynccontextmanager
async def http_app(
    server: DiaryServer, surface: Surface, connection_drain: ConnectionDrain, in_flight: InFlight
) -> AsyncGenerator[ASGIApp]:
    """The ASGI application, which answers for as long as the block runs."""
    manager = StreamableHTTPSessionManager(
        app=server,
        json_response=True,
        stateless=True,
        security_settings=surface.security,
        max_request_body_size=MAX_BODY_BYTES,
    )
    long_bodies = LongBodies()

    def authenticated(app: ASGIApp) -> ASGIApp:
        whole = BodyLimit(app, long_bodies)
        if surface.reader is None:
            return OpenToEverybody(whole)
        return BearerAuthentication(whole, surface.reader, _metadata_url(surface.issuer))

    async with server.lifespan(server) as state, manager.run():
        messages = authenticated(DirectCalls(manager.handle_request, server, state))
        routes: list[BaseRoute] = [
            *health_routes(surface.look),
            *_metadata_routes(surface.issuer),
            # Both: behind TLS a redirect to the other would name plain http.
            Route("/mcp", messages, methods=["POST"]),
            Route("/mcp/", messages, methods=["POST"]),
        ]
        if surface.with_sse:
            routes += _sse_routes(server, surface.security, authenticated, in_flight)
        app = Starlette(routes=routes)
        app.router.redirect_slashes = False
        if surface.page is not None:
            # Not a route: that would also take what other paths refuse by their method.
            app.router.default = surface.page
        for_web_pages = _for_web_pages(_unstored(app), surface.security)
        yield HostCheck(connection_drain.watch(for_web_pages), surface.security, _OPEN_PATHS)


def _for_web_pages(app: ASGIApp, security: TransportSecuritySettings) -> ASGIApp:
    """`app`, which pages of an allowed origin may ask from a browser."""
    origins = (re.escape(origin).replace(r":\*", r":\d+") for origin in security.allowed_origins)
    return CORSMiddleware(
        app,
        allow_origin_regex="|".join(origins),
        allow_methods=["GET", "POST", "DELETE"],
        allow_headers=["*"],
        expose_headers=["Mcp-Session-Id", "MCP-Protocol-Version", "WWW-Authenticate"],
    )


def _unstored(app: ASGIApp) -> ASGIApp:
    """`app`, of whose answers no cache keeps any, but the metadata that everybody may read."""

    async def asked(scope: Scope, receive: Receive, send: Send) -> None:
        async def send_unstored(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                is_kept_whole = "no-transform" in headers.get("cache-control", "")
                headers["Cache-Control"] = "no-store" + ", no-transform" * is_kept_whole
            await send(message)

        is_public = scope["type"] != "http" or scope["path"].startswith(_METADATA)
        await app(scope, receive, send if is_public else send_unstored)

    return asked


def _metadata_url(issuer: AuthSettings | None) -> str | None:
    if issuer is None or issuer.resource_server_url is None:
        return None
    return str(build_resource_metadata_url(issuer.resource_server_url))


def _metadata_routes(issuer: AuthSettings | None) -> list[Route]:
    if issuer is None or issuer.resource_server_url is None:
        return []
    return create_protected_resource_routes(
        resource_url=issuer.resource_server_url,
        authorization_servers=[issuer.issuer_url],
        scopes_supported=list(TOKEN_SCOPES),
        resource_name="diary-mcp",
    )


def _sse_routes(
    server: DiaryServer,
    security: TransportSecuritySettings,
    authenticated: Callable[[ASGIApp], ASGIApp],
    in_flight: InFlight,
) -> list[BaseRoute]:
    transport = SseServerTransport("/messages/", security_settings=security)

    async def take_message(scope: Scope, receive: Receive, send: Send) -> None:
        # Its answer goes to a stream that its client may not read.
        if in_flight.is_full_of(agent_in(scope)):
            await service_unavailable("Too many requests are under way.")(scope, receive, send)
        else:
            await transport.handle_post_message(scope, receive, send)

    async def serve_stream(scope: Scope, receive: Receive, send: Send) -> None:
        async with transport.connect_sse(scope, receive, send) as (read, write):
            options = server.create_initialization_options()
            await server.run(read, in_flight.counted(write, agent_in(scope)), options)

    return [
        Route(SSE_PATH, authenticated(serve_stream), methods=["GET"]),
        Mount("/messages/", app=authenticated(take_message)),
    ]
