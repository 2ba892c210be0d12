"""`diary-mcp config`: what an MCP client needs to start this very installation."""

import json
import sys
from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, get_args

import click
from pydantic import JsonValue

from diary_mcp.commands.options import with_settings
from diary_mcp.plugins.client_files import SERVE, InstalledClient
from diary_mcp.plugins.client_formats import SERVER, Object, to_toml
from diary_mcp.settings import AUTO, ENVIRONMENT_PREFIX, Settings

ClientName = InstalledClient | Literal["inspector"]
_WHERE: Mapping[ClientName, str] = MappingProxyType(
    {
        "claude-desktop": "Settings > Developer > Edit Config: claude_desktop_config.json. Then "
        "quit and start Claude Desktop.",
        "claude-code": ".mcp.json in the project's folder; or, for all projects, give what stands "
        "under diary to: claude mcp add-json --scope user diary '…'",
        "vscode": ".vscode/mcp.json in the workspace, or the command MCP: Open User Configuration.",
        "codex": "~/.codex/config.toml.",
        "cursor": "~/.cursor/mcp.json, or .cursor/mcp.json in a project.",
        "gemini": "~/.gemini/settings.json, or .gemini/settings.json in a project.",
        "inspector": "a file for: npx @modelcontextprotocol/inspector --config FILE --server diary",
    }
)

CLIENTS: tuple[str, ...] = (*get_args(InstalledClient), "inspector")
_WITHOUT_TYPE = frozenset({"claude-desktop", "codex", "gemini"})
_IN_PROJECTS = frozenset({"claude-code", "codex", "vscode", "cursor"})


@click.command()
@with_settings
@click.argument("client", type=click.Choice(CLIENTS))
def config(settings: Settings, *, client: ClientName) -> None:
    """Print the configuration with which CLIENT starts this very installation."""
    configuration = client_configuration(client, settings)
    click.echo(
        to_toml(configuration)
        if client == "codex"
        else json.dumps(configuration, indent=2, ensure_ascii=False)
    )
    click.echo(f"This belongs in {_WHERE[client]}", err=True)
    if settings.database_url is not None:
        click.echo("It holds the database's address, with its password.", err=True)
    if settings.embeddings_api_key is not None:
        click.echo("It holds the key of the embedding endpoint.", err=True)


def client_configuration(client: ClientName, settings: Settings) -> Object:
    """The configuration as the client keeps it in its file."""
    section = {"vscode": "servers", "codex": "mcp_servers"}.get(client, "mcpServers")
    return {section: {SERVER: server_entry(client, environment_of(client, settings))}}


def server_entry(client: ClientName, environment: Mapping[str, str]) -> Object:
    """What starts this very installation, as the client's file says it."""
    server: Object = {
        "command": sys.executable,
        # -P: the folder that the client starts it in must not be looked into for modules.
        "args": ["-P", *SERVE],
        "env": dict(environment),
    }
    return server if client in _WITHOUT_TYPE else {"type": "stdio", **server}


def environment_of(client: ClientName, settings: Settings) -> dict[str, str]:
    """The settings with which the client starts the server.

    What starts it in the folder of a project gets the project's diary, unless another is set.
    """
    environment = environment_with(settings)
    if client in _IN_PROJECTS:
        environment.setdefault(f"{ENVIRONMENT_PREFIX}DIARY", AUTO)
    return environment


def environment_with(settings: Settings) -> dict[str, str]:
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
