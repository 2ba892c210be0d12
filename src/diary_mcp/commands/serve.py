"""`diary-mcp serve`."""

import sys

import anyio
import click

from diary_mcp.commands.options import with_settings
from diary_mcp.serving import serve_over_stdio
from diary_mcp.settings import Settings


@click.command()
@with_settings
def serve(settings: Settings) -> None:
    """Run the MCP server."""
    sys.exit(anyio.run(serve_over_stdio, settings))
