"""`diary-mcp serve`."""

import logging
import os
import sys
from typing import Literal, NoReturn

import anyio
import click

from diary_mcp.commands.options import with_settings
from diary_mcp.serving.stdio import serve_over_stdio
from diary_mcp.settings import Settings

Transport = Literal["stdio", "http", "sse"]

# Much of a call is the loop's own work, such as a reader that comes and goes with each answer of
# PostgreSQL. In C, that costs less than it takes to import it.
_LOOP = {"use_uvloop": True}


@click.command()
@with_settings
@click.option(
    "--transport",
    type=click.Choice(["stdio", "http", "sse"]),
    default="stdio",
    show_default=True,
    help="http: streamable HTTP at /mcp. sse: that, and the legacy transport at /sse.",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", type=click.IntRange(0, 65_535), default=8722, show_default=True, help="0: a free one."
)
@click.option(
    "--allow-host",
    "allowed_hosts",
    metavar="NAME",
    multiple=True,
    help="Another name that clients use for this server; repeatable.",
)
@click.option(
    "--no-auth",
    "without_auth",
    is_flag=True,
    help="Let every program on this machine in, as the configured agent.",
)
def serve(
    settings: Settings,
    *,
    transport: Transport,
    host: str,
    port: int,
    allowed_hosts: tuple[str, ...],
    without_auth: bool,
) -> None:
    """Run the MCP server."""
    if transport == "stdio":
        leave(anyio.run(serve_over_stdio, settings, backend_options=_LOOP))
    from diary_mcp.serving.http import HttpOptions, serve_over_http  # noqa: PLC0415  # imports uvicorn

    options = HttpOptions(
        host=host,
        port=port,
        allowed_hosts=allowed_hosts,
        with_sse=transport == "sse",
        without_auth=without_auth,
    )
    leave(anyio.run(serve_over_http, settings, options, backend_options=_LOOP))


def leave(status: int) -> NoReturn:
    """Ends the process at once. Everything is closed by now.

    Taking the modules apart, as the interpreter would, costs most of the time that a client gives
    a server to end, and a thread that waits for a database that is away would have no end at all.
    """
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
