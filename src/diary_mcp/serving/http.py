"""Serving over HTTP: who may come in, and on which address."""

import logging
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from socket import AF_INET6, socket

import anyio
import structlog
from mcp.server.auth.settings import AuthSettings
from mcp.server.context import ServerRequestContext
from pydantic import ValidationError
from starlette.types import ASGIApp

from diary_mcp.domain.errors import DiaryError, InvalidArgumentError
from diary_mcp.identity.issuer_keys import IssuerKeys, fetch_keys
from diary_mcp.identity.issuer_tokens import Issuer, IssuerTokenReader
from diary_mcp.logs import configure_logs
from diary_mcp.server.build import build_server, surround
from diary_mcp.server.caller import Caller
from diary_mcp.server.dispatch import CallerOf, Dispatcher
from diary_mcp.server.resources.watchers import Watchers
from diary_mcp.server.signed_in import signed_in_caller
from diary_mcp.server.telemetry import observe
from diary_mcp.service.agents.authentication import AnyTokenReader, IssuedTokenReader, TokenReader
from diary_mcp.service.telemetry import Telemetry
from diary_mcp.serving.host import DiaryHost
from diary_mcp.settings import Settings
from diary_mcp.telemetry.opening import open_telemetry
from diary_mcp.transport.http.app import Surface, http_app
from diary_mcp.transport.http.auth import agent_of, sign_in_connection
from diary_mcp.transport.http.draining import ConnectionDrain
from diary_mcp.transport.http.hosts import security_settings
from diary_mcp.transport.http.listening import is_loopback, listen, serve_http
from diary_mcp.transport.inflight import InFlight
from diary_mcp.web.app import page_app
from diary_mcp.web.changes import Changes
from diary_mcp.web.page_requests import Desk
from diary_mcp.web.signing_in import TokenDoor

_log = structlog.get_logger()

_WEB = ("https://", "http://")


@dataclass(frozen=True)
class HttpOptions:
    """How the server is to be reached."""

    host: str
    port: int
    allowed_hosts: Sequence[str] = ()
    with_sse: bool = False
    without_auth: bool = False


async def serve_over_http(settings: Settings, options: HttpOptions) -> int:
    """Serves until a signal comes; returns the process's exit status.

    Raises:
        InvalidArgumentError: the address cannot be listened on, or must not without sign-in.
        UnavailableError: the port is taken.
    """
    configure_logs(logging.INFO)
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    _refuse_open_door(settings, options)
    with listen(options.host, options.port) as listeners:
        async with open_telemetry(os.environ) as telemetry:
            return await _serve(settings, options, listeners, telemetry)


async def _serve(
    settings: Settings, options: HttpOptions, listeners: list[socket], telemetry: Telemetry
) -> int:
    host = DiaryHost(settings, telemetry)
    now = anyio.Event()
    now.set()
    connection_drain, in_flight = ConnectionDrain(), InFlight(agent_of)
    watchers = Watchers(host)
    caller_of = _caller_of(settings, options)
    server = build_server(host, caller_of, watchers, has_keys=False)
    surround(server, in_flight.middleware)
    observe(server, telemetry, caller_of)
    surface = _surface(host, settings, options, watchers)
    status = 0
    refusal: DiaryError | None = None
    async with anyio.create_task_group() as background:
        background.start_soon(host.run, now, in_flight.wait_until_idle)
        background.start_soon(watchers.run)
        refusal = await _find_refusal(host, settings, options)
        if refusal is None:
            _tell_address(settings, options, _url(listeners[0]))
            async with http_app(server, surface, connection_drain, in_flight) as app:
                status = await serve_http(app, listeners, connection_drain, in_flight)
        background.cancel_scope.cancel()
    # Raised inside, it would come as a group.
    if refusal is not None:
        raise refusal
    return status


def _refuse_open_door(settings: Settings, options: HttpOptions) -> None:
    """Nobody but this machine comes near a server that lets everybody in.

    Raises:
        InvalidArgumentError: they would.
    """
    if options.without_auth and not is_loopback(options.host):
        raise InvalidArgumentError(
            f"--no-auth on {options.host} would let everybody on the network read and write the "
            f"diary of {settings.agent}. Leave it out, or listen on 127.0.0.1."
        )


async def _find_refusal(
    host: DiaryHost, settings: Settings, options: HttpOptions
) -> DiaryError | None:
    """Why a server that the network can reach should not be started: nobody could sign in."""
    if settings.jwt_issuer is not None or is_loopback(options.host):
        return None
    try:
        if await (await host.tokens()).list_active():
            return None
    except DiaryError as error:
        return error
    return InvalidArgumentError(
        f"Not listening on {options.host}: no agent could sign in. Make a token with "
        "`diary-mcp agent token NAME`, or set DIARY_MCP_JWT_ISSUER; or listen on 127.0.0.1."
    )


def _tell_address(settings: Settings, options: HttpOptions, url: str) -> None:
    if sys.stdin.isatty():
        _greet(settings, options, url)
    _log.info("http.listening", url=url)
    if not is_loopback(options.host):
        _log.warning("http.unencrypted", advice="Put TLS in front: tokens travel in the clear.")
    if options.without_auth:
        _log.warning(
            "http.no_auth", agent=settings.agent, advice="Whoever reaches this acts as the agent."
        )


def _caller_of(settings: Settings, options: HttpOptions) -> CallerOf:
    diary = settings.current_diary
    if not options.without_auth:
        return partial(signed_in_caller, session=settings.session, diary=diary)

    def configured_agent(_context: ServerRequestContext[object]) -> Caller:
        return Caller(settings.agent, session=settings.session, diary=diary)

    return configured_agent


def _surface(
    host: DiaryHost, settings: Settings, options: HttpOptions, watchers: Watchers
) -> Surface:
    issued = IssuedTokenReader(host.tokens)
    reader = None if options.without_auth else AnyTokenReader(issued, _issuer_reader(settings))
    return Surface(
        security=security_settings(options.host, options.allowed_hosts),
        reader=reader,
        issuer=None if options.without_auth else _advertised_issuer(settings),
        with_sse=options.with_sse,
        look=host.look,
        page=None if reader is None else _page(host, settings, reader, watchers),
    )


def _page(host: DiaryHost, settings: Settings, reader: TokenReader, watchers: Watchers) -> ASGIApp:
    """The page for people, who sign in with a token; never without."""
    # Who asks is told by the door, with each request.
    dispatcher = Dispatcher(host, partial(signed_in_caller, session=settings.session))
    door = TokenDoor(reader, settings.session, settings.current_diary)
    changes = Changes(watchers)
    desk = Desk(dispatcher, door, changes=changes, sign_in_connection=sign_in_connection)
    return page_app(desk)


def _issuer_reader(settings: Settings) -> TokenReader | None:
    url = settings.jwt_jwks_url
    if settings.jwt_issuer is None or settings.jwt_audience is None or url is None:
        return None
    issuer = Issuer(settings.jwt_issuer, settings.jwt_audience, settings.jwt_agent_claim)
    return IssuerTokenReader(issuer, IssuerKeys(lambda: fetch_keys(url)))


def _advertised_issuer(settings: Settings) -> AuthSettings | None:
    """Where clients can get a token by themselves; names that are no URLs would not help them."""
    issuer, audience = settings.jwt_issuer, settings.jwt_audience
    if issuer is None or audience is None:
        return None
    if not issuer.startswith(_WEB) or not audience.startswith(_WEB):
        return None
    try:
        return AuthSettings.model_validate(
            {
                "issuer_url": issuer,
                "resource_server_url": audience,
                # The reader of the tokens checks their audience itself.
                "validate_token_resource": False,
            }
        )
    except ValidationError as error:
        raise InvalidArgumentError(
            "DIARY_MCP_JWT_ISSUER and DIARY_MCP_JWT_AUDIENCE look like URLs but are not."
        ) from error


def _url(listener: socket) -> str:
    address, port = listener.getsockname()[:2]
    return (
        f"http://[{address}]:{port}" if listener.family == AF_INET6 else f"http://{address}:{port}"
    )


def _greet(settings: Settings, options: HttpOptions, url: str) -> None:
    """A person who starts the server by hand sees where it is and how agents get in."""
    sign_in = (
        f"none: every caller is {settings.agent}"
        if options.without_auth
        else "bearer token, from `diary-mcp agent token NAME`"
    )
    for_people = "" if options.without_auth else f"  for people   {url}/, with the same token\n"
    sys.stderr.write(
        f"diary-mcp: an MCP server at {url}/{'sse and /mcp' if options.with_sse else 'mcp'}\n"
        f"  sign-in      {sign_in}\n"
        f"{for_people}"
        f"  health       {url}/health and {url}/ready\n"
        "  stop         Ctrl-C\n"
    )
