"""Serving the page for people: on loopback, to one browser, until Ctrl-C."""

import logging
import secrets
from collections.abc import Awaitable, Callable

import anyio
import anyio.to_thread

from diary_mcp.logs import configure_logs
from diary_mcp.server.caller import Caller
from diary_mcp.server.dispatch import Dispatcher
from diary_mcp.server.resources.watchers import Watchers
from diary_mcp.serving.host import DiaryHost
from diary_mcp.settings import Settings
from diary_mcp.transport.http.auth import sign_in_connection
from diary_mcp.transport.http.draining import ConnectionDrain
from diary_mcp.transport.http.hosts import HostCheck, only_from
from diary_mcp.transport.http.listening import listen, serve_http
from diary_mcp.transport.inflight import InFlight
from diary_mcp.web.app import page_app
from diary_mcp.web.changes import Changes
from diary_mcp.web.page_requests import Desk, Health
from diary_mcp.web.signing_in import LinkDoor

_LOOPBACK = "127.0.0.1"
_BASE_BYTES = 12


async def serve_page(
    settings: Settings, look: Callable[[bool], Awaitable[Health]], tell: Callable[[str], None]
) -> int:
    """Serves until a signal comes, to whoever uses the link that `tell` is given first.

    Returns:
        The process's exit status: 128 and the signal's number.
    """
    configure_logs(logging.WARNING)
    caller = Caller(settings.agent, session=settings.session, diary=settings.current_diary)
    host = DiaryHost(settings, with_keys=True)
    door = LinkDoor(caller)
    base = f"/{secrets.token_urlsafe(_BASE_BYTES)}"
    watchers = Watchers(host)
    dispatcher = Dispatcher(host, lambda _context: caller)
    desk = Desk(dispatcher, door, base, look, Changes(watchers), sign_in_connection)
    connection_drain, in_flight = ConnectionDrain(), InFlight()
    now = anyio.Event()
    now.set()
    status = 0
    with listen(_LOOPBACK, 0) as listeners:
        address = f"{_LOOPBACK}:{listeners[0].getsockname()[1]}"
        app = HostCheck(connection_drain.watch(page_app(desk)), only_from(address))
        async with anyio.create_task_group() as background:
            background.start_soon(host.run, now, in_flight.wait_until_idle)
            background.start_soon(watchers.run)
            background.start_soon(_tell, tell, f"http://{address}{base}/sign-in?link={door.secret}")
            status = await serve_http(app, listeners, connection_drain, in_flight)
            background.cancel_scope.cancel()
    return status


async def _tell(tell: Callable[[str], None], link: str) -> None:
    """Beside the server: a browser in the terminal keeps whoever called it waiting."""
    await anyio.to_thread.run_sync(tell, link, abandon_on_cancel=True)
