"""Serving: a transport in front, the diary coming up behind it."""

import logging
import os
import secrets
import sys
from datetime import UTC, datetime

import anyio
from mcp.server.context import ServerRequestContext

from diary_mcp.logs import configure_logs
from diary_mcp.server.build import build_server, surround
from diary_mcp.server.caller import Caller
from diary_mcp.server.resources.watchers import Watchers
from diary_mcp.server.telemetry import observe
from diary_mcp.service.telemetry import Telemetry
from diary_mcp.serving.host import DiaryHost
from diary_mcp.settings import Settings
from diary_mcp.telemetry.opening import open_telemetry
from diary_mcp.transport.inflight import InFlight
from diary_mcp.transport.stdio import serve_stdio


async def serve_over_stdio(settings: Settings) -> int:
    """Serves one client; returns the process's exit status."""
    configure_logs(logging.INFO)
    if sys.stdin.isatty():
        _greet(settings)
    async with open_telemetry(os.environ) as telemetry:
        return await _serve(settings, telemetry)


async def _serve(settings: Settings, telemetry: Telemetry) -> int:
    host = DiaryHost(settings, telemetry, with_keys=True)
    in_flight = InFlight()

    caller = Caller(
        settings.agent,
        session=settings.session or _name_session(),
        diary=settings.current_diary,
    )

    def caller_of(_context: ServerRequestContext[object]) -> Caller:
        return caller

    watchers = Watchers(host)
    server = build_server(host, caller_of, watchers, keeps_session=True)
    surround(server, in_flight.middleware)
    observe(server, telemetry, caller_of)
    status = 0
    async with anyio.create_task_group() as background:
        background.start_soon(host.run, in_flight.first_answer, in_flight.wait_until_idle)
        background.start_soon(watchers.run)
        status = await serve_stdio(server, in_flight, host.came_up, host.finish)
        background.cancel_scope.cancel()
    return status


def _name_session() -> str:
    """An id of this process: one client starts one, and ends it."""
    return f"{datetime.now(UTC):%Y-%m-%d-%H%M%S}-{secrets.token_hex(2)}"


def _greet(settings: Settings) -> None:
    """A person who starts the server by hand sees what it is and what to do with it."""
    embedded = f"embedded in {settings.data_dir}"
    database = embedded if settings.database_url is None else "DIARY_MCP_DATABASE_URL"
    permissions = "embedded" if settings.keto_urls is None else settings.keto_urls[0]
    sys.stderr.write(
        "diary-mcp: an MCP server on stdin and stdout. It waits for a client, not for you.\n"
        f"  agent        {settings.agent}\n"
        f"  database     {database}\n"
        f"  permissions  {permissions}\n"
        "  connect      diary-mcp config claude-desktop | claude-code | vscode | inspector\n"
        "  stop         Ctrl-C or Ctrl-D\n"
    )
