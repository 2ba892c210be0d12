"""`diary-mcp install` and `uninstall`: the server, and hooks, in a client's own configuration."""

import difflib
import os
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import get_args

import click

from diary_mcp.commands.config import environment_of, server_entry
from diary_mcp.commands.options import with_settings
from diary_mcp.domain.errors import ConflictError, DiaryError, UnavailableError
from diary_mcp.domain.fields import printable_lines
from diary_mcp.plugins.client_files import (
    Change,
    InstalledClient,
    Places,
    apply,
    find_other_server,
    plan_install,
    plan_uninstall,
)
from diary_mcp.plugins.client_formats import SERVER
from diary_mcp.settings import Settings

_NEXT = {
    "claude-desktop": "Quit and start Claude Desktop.",
    "claude-code": "The next session of Claude Code begins with the diary.",
    "codex": "Codex asks once whether to trust the hooks: /hooks shows them.",
    "vscode": "VS Code asks once whether to trust the server.",
    "cursor": "Cursor shows the server under Settings > MCP.",
    "gemini": "The next session of Gemini CLI has the server.",
}

_CLIENTS: tuple[InstalledClient, ...] = get_args(InstalledClient)
_dry_run_option = click.option("--dry-run", is_flag=True, help="Show the change, write nothing.")


@click.command()
@with_settings
@click.argument("client", type=click.Choice(_CLIENTS), required=False)
@_dry_run_option
@click.option("--force", is_flag=True, help="Replace another server named diary.")
def install(
    settings: Settings, *, client: InstalledClient | None, dry_run: bool, force: bool
) -> None:
    """Put the server into CLIENT's configuration, and hooks where CLIENT runs them.

    What else stands in its files stays, and each file is kept as it was beside the new one.
    Without CLIENT, finds the clients on this machine and asks for each.
    """
    if client is None:
        sys.exit(_install_what_is_there(settings, dry_run=dry_run))
    _install(settings, client, dry_run=dry_run, force=force)


def _install_what_is_there(settings: Settings, *, dry_run: bool) -> int:
    """Asks for each client that is on this machine; the status to end with."""
    found: list[InstalledClient] = [client for client in _CLIENTS if _places().holds(client)]
    if not found:
        click.echo(f"No client was found. Name one of {', '.join(_CLIENTS)}.", err=True)
        return 1
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        click.echo(
            "These clients are on this machine. Install the diary into each one that you want:"
        )
        for client in found:
            click.echo(f"  diary-mcp install {client}")
        return 1
    return max(_ask_for(settings, client, dry_run=dry_run) for client in found)


def _ask_for(settings: Settings, client: InstalledClient, *, dry_run: bool) -> int:
    """Installs into a client if the person wants it; one that cannot be is no reason to stop."""
    try:
        if not any(change.is_one for change in _plan(settings, client)):
            click.echo(f"{client} has the diary already.")
        elif click.confirm(f"Install the diary into {client}?", default=True):
            _install(settings, client, dry_run=dry_run)
    except DiaryError as error:
        click.echo(printable_lines(f"{client}: {error}"), err=True)
        return 1
    return 0


def _install(
    settings: Settings, client: InstalledClient, *, dry_run: bool, force: bool = False
) -> None:
    if _carry_out(_plan(settings, client, force=force), dry_run=dry_run):
        click.echo(_NEXT[client], err=True)


def _plan(settings: Settings, client: InstalledClient, *, force: bool = False) -> Sequence[Change]:
    if _is_fleeting(Path(sys.prefix)):
        raise ConflictError(
            "uvx runs this diary-mcp from its cache, where a client would not find it for long. "
            "Install it with `uv tool install`, pipx or pip, and run `diary-mcp install` then."
        )
    environment = environment_of(client, settings)
    server = server_entry(client, environment)
    hook = _hook_command(client, environment)
    return plan_install(client, _places(), server, hook, is_forced=force)


@click.command()
@with_settings
@click.argument("client", type=click.Choice(_CLIENTS))
@_dry_run_option
def uninstall(settings: Settings, *, client: InstalledClient, dry_run: bool) -> None:
    """Take the server and the hooks out of CLIENT's configuration; the diary stays."""
    del settings
    _carry_out(plan_uninstall(client, _places()), dry_run=dry_run)
    path = find_other_server(client, _places())
    if path is not None:
        click.echo(
            f"The server named {SERVER} in {path} stays: `diary-mcp install` did not write it.",
            err=True,
        )


def _is_fleeting(installation: Path) -> bool:
    """Whether uv may remove the installation whenever it cleans its cache."""
    return any((folder / "CACHEDIR.TAG").is_file() for folder in installation.parents)


def _places() -> Places:
    return Places(Path.home(), os.environ)


def _hook_command(client: InstalledClient, environment: Mapping[str, str]) -> Callable[[str], str]:
    """A line for the shell that a client gives its hooks to."""

    def command(event: str) -> str:
        variables = [f"{name}={value}" for name, value in environment.items()]
        program = [sys.executable, "-P", "-m", "diary_mcp"]
        return shlex.join(["env", *variables, *program, "hook", client, event])

    return command


def _carry_out(changes: Sequence[Change], *, dry_run: bool) -> bool:
    """Writes the changes, or shows them; whether there were any."""
    wanted = [change for change in changes if change.is_one]
    if not wanted:
        click.echo("Nothing to change.")
    for change in wanted:
        if dry_run:
            click.echo(printable_lines(_difference(change)), nl=False)
            continue
        try:
            kept = apply(change)
        except OSError as error:
            raise UnavailableError(f"{change.path} cannot be written: {error.strerror}.") from error
        before = "" if kept is None else f" (as it was: {kept})"
        verb = "removed" if change.after is None else "wrote"
        click.echo(printable_lines(f"{verb} {change.path}{before}"))
    return bool(wanted) and not dry_run


def _difference(change: Change) -> str:
    """What changes, without the lines around it: they may hold other servers' secrets."""
    lines = difflib.unified_diff(
        (change.before or "").splitlines(),
        (change.after or "").splitlines(),
        str(change.path),
        str(change.path),
        n=0,
        lineterm="",
    )
    return "".join(f"{line}\n" for line in lines)
