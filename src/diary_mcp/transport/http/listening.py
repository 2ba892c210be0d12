"""Sockets, signals and the end of the HTTP server."""

import errno
import resource
import signal
import socket
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from ipaddress import ip_address

import anyio
import structlog
from starlette.types import ASGIApp
from uvicorn import Config, Server

from diary_mcp.domain.errors import DiaryError, InvalidArgumentError, UnavailableError
from diary_mcp.posix_signals import ending_signals
from diary_mcp.transport.http.app import SSE_PATH
from diary_mcp.transport.http.draining import ConnectionDrain
from diary_mcp.transport.http.protocol import MAX_STRANGERS, BoundedHttpProtocol
from diary_mcp.transport.inflight import InFlight
from diary_mcp.transport.process_exit import CLOSING_S, end_within

_log = structlog.get_logger()

# Less than the ten seconds after which `docker stop` kills.
_LAST_ANSWERS_S = 8
_LAST_BYTES_S = 1
# Longer than clients and proxies keep an idle connection, so that none sends into a closed one.
_KEEP_ALIVE_S = 75
_MAX_CONNECTIONS = 2_000
_BACKLOG = 2_048
_OPEN_FILES = 8_192


@contextmanager
def listen(host: str, port: int) -> Generator[list[socket.socket]]:
    """Sockets that listen on every address that `host` stands for; port 0 takes a free one.

    Raises:
        InvalidArgumentError: there is no such host, or it is not this machine's.
        UnavailableError: the port is taken, or this user may not have it.
    """
    _allow_open_files()
    with ExitStack() as closing:
        sockets: list[socket.socket] = []
        for family, address in _addresses(host):
            listener = closing.enter_context(socket.socket(family, socket.SOCK_STREAM))
            chosen = sockets[0].getsockname()[1] if sockets and port == 0 else port
            _bind(listener, address, chosen)
            sockets.append(listener)
        yield sockets


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach `host`.

    Raises:
        InvalidArgumentError: there is no such host.
    """
    return all(ip_address(address).is_loopback for _, address in _addresses(host))


async def serve_http(
    app: ASGIApp,
    listeners: list[socket.socket],
    connection_drain: ConnectionDrain,
    in_flight: InFlight,
) -> int:
    """Serves until a signal comes, and gives the answers that are owed; a second one ends at once.

    Returns:
        The process's exit status: 128 and the signal's number.
    """
    server = _Server(
        Config(
            app,
            http=BoundedHttpProtocol,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            limit_concurrency=_MAX_CONNECTIONS + MAX_STRANGERS,
            timeout_keep_alive=_KEEP_ALIVE_S,
            timeout_graceful_shutdown=_LAST_BYTES_S,
            reset_contextvars=True,
        )
    )
    number, ending = 0, ending_signals()
    async with anyio.create_task_group() as serving:
        with anyio.open_signal_receiver(*ending) as signals:
            serving.start_soon(server.serve, listeners)
            number = await anext(signals)
        for each in ending:
            signal.signal(each, signal.SIG_DFL)
        _log.info("http.closing")
        end_within(_LAST_ANSWERS_S + CLOSING_S, 128 + number)
        await _close(server, connection_drain, in_flight)
    return 128 + number


class _Server(Server):
    """A server that leaves signals alone: the diary behind it has to be closed too."""

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


async def _close(server: Server, connection_drain: ConnectionDrain, in_flight: InFlight) -> None:
    if server.started:
        # At once, so that a load balancer finds another replica.
        for listener in server.servers:
            listener.close()
    with anyio.move_on_after(_LAST_ANSWERS_S):
        await connection_drain.close()
        # Subscriptions have no end of their own; the legacy stream still carries answers.
        await connection_drain.end_streams(but=SSE_PATH)
        await in_flight.wait_until_idle()
    await connection_drain.end_streams()
    server.should_exit = True


def _allow_open_files() -> None:
    """Strangers' connections must not use up what the database's need; many systems give 1,024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(_OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _addresses(host: str) -> list[tuple[socket.AddressFamily, str]]:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        raise InvalidArgumentError(
            f"There is no host {host!r} to listen on ({error}); use --host 127.0.0.1 for this "
            "machine only."
        ) from error
    return list(dict.fromkeys((family, str(address[0])) for family, _, _, _, address in found))


def _bind(listener: socket.socket, address: str, port: int) -> None:
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if listener.family == socket.AF_INET6:
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    try:
        listener.bind((address, port))
        listener.listen(_BACKLOG)
    except OSError as error:
        raise _refusal(error, address, port) from error


def _refusal(error: OSError, address: str, port: int) -> DiaryError:
    match error.errno:
        case errno.EADDRINUSE:
            return UnavailableError(
                f"Port {port} on {address} is taken by another program, perhaps another "
                "`diary-mcp serve`; choose one with --port."
            )
        case errno.EACCES:
            return InvalidArgumentError(
                f"You may not listen on port {port}; choose one from 1024 on with --port."
            )
        case errno.EADDRNOTAVAIL:
            return InvalidArgumentError(
                f"{address} is not an address of this machine; choose another with --host."
            )
        case _:
            return UnavailableError(f"Cannot listen on {address} port {port}: {error.strerror}.")
