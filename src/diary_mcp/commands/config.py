"""`diary-mcp config`: what an MCP client needs to start this very installation."""

import json
import sys
from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, get_args

import click
from pydantic import JsonValue

from diary_mcp.commands.options import with_settings
from diary_mcp.settings import ENVIRONMENT_PREFIX, Settings

ClientName = Literal["claude-desktop", "claude-code", "vscode", "inspector"]

_SERVER = "diary"
_WHERE: Mapping[ClientName, str] = MappingProxyType(
    {
        "claude-desktop": "Settings > Developer > Edit Config: claude_desktop_config.json. Then "
        "quit and start Claude Desktop.",
        "claude-code": ".mcp.json in the project's folder; or, for all projects, give what stands "
        "under diary to: claude mcp add-json --scope user diary '…'",
        "vscode": ".vscode/mcp.json in the workspace, or the command MCP: Open User Configuration.",
        "inspector": "a file for: npx @modelcontextprotocol/inspector --config FILE --server diary",
    }
)


@click.command()
@with_settings
@click.argument("client", type=click.Choice(get_args(ClientName)))
def config(settings: Settings, *, client: ClientName) -> None:
    """Print the configuration with which CLIENT starts this very installation."""
    click.echo(json.dumps(client_configuration(client, settings), indent=2, ensure_ascii=False))
    click.echo(f"This belongs in {_WHERE[client]}", err=True)
    if settings.database_url is not None:
        click.echo("It holds the database's address, with its password.", err=True)
    if settings.embeddings_api_key is not None:
        click.echo("It holds the key of the embedding endpoint.", err=True)


def client_configuration(client: ClientName, settings: Settings) -> dict[str, JsonValue]:
    """The configuration as the client keeps it in its file."""
    server: dict[str, JsonValue] = {
        "command": sys.executable,
        # -P: the folder that the client starts it in must not be looked into for modules.
        "args": ["-P", "-m", "diary_mcp", "serve"],
        "env": dict(_environment(settings)),
    }
    if client == "claude-desktop":
        return {"mcpServers": {_SERVER: server}}
    section = "servers" if client == "vscode" else "mcpServers"
    return {section: {_SERVER: {"type": "stdio", **server}}}


def _environment(settings: Settings) -> dict[str, str]:
    """The settings that are not the default, and where the data are in any case.

    A client hands on little of its own environment: not what the data directory follows from.
    """
    defaults = {name: field.default for name, field in Settings.model_fields.items()}
    chosen: dict[str, JsonValue] = {
        name: value
        for name, value in settings.model_dump(mode="json").items()
        if value != defaults[name]
    }
    chosen["data_dir"] = str(settings.data_dir.absolute())
    if settings.embeddings_api_key is not None:
        chosen["embeddings_api_key"] = settings.embeddings_api_key.get_secret_value()
    return {f"{ENVIRONMENT_PREFIX}{name.upper()}": str(value) for name, value in chosen.items()}
