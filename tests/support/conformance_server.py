"""The diary with the conformance suite's fixtures beside it, on a port of this machine.

It is made by the same factory as the server that is shipped. The sessions and streams that the
suite wants of a transport the shipped one leaves out on purpose, so this one is the SDK's.
"""

import socket
import sys

import anyio
import uvicorn
from mcp.server.streamable_http_manager import (
    StreamableHTTPASGIApp,
    StreamableHTTPSessionManager,
)
from mcp.server.transport_security import TransportSecuritySettings
from starlette.applications import Starlette
from starlette.routing import Route

from diary_mcp.app import open_foundation
from diary_mcp.domain.fields import AgentName
from diary_mcp.server.build import build_server
from diary_mcp.server.caller import Caller
from diary_mcp.server.resources.watchers import Watchers
from diary_mcp.service.diary import Diary
from diary_mcp.settings import Settings
from support.conformance_fixtures import add_fixtures


async def serve(database_url: str) -> None:
    """Serves until the process is killed; says on stdout where."""
    async with (
        open_foundation(Settings(database_url=database_url)) as foundation,
        anyio.create_task_group() as background,
    ):

        async def provide() -> Diary:
            return foundation.diary

        watchers = Watchers(provide)
        background.start_soon(watchers.run)
        server = build_server(
            provide, lambda _context: Caller(AgentName("local")), watchers, keeps_session=True
        )
        add_fixtures(server)
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
            manager = StreamableHTTPSessionManager(
                app=server,
                security_settings=TransportSecuritySettings(
                    allowed_hosts=[f"127.0.0.1:{port}", f"localhost:{port}"],
                    allowed_origins=[f"http://127.0.0.1:{port}", f"http://localhost:{port}"],
                ),
            )
            app = Starlette(routes=[Route("/mcp", StreamableHTTPASGIApp(manager))])
            sys.stdout.write(f"{port}\n")
            sys.stdout.flush()
            async with manager.run():
                await uvicorn.Server(uvicorn.Config(app, log_level="warning")).serve([listener])


if __name__ == "__main__":
    anyio.run(serve, sys.argv[1])
