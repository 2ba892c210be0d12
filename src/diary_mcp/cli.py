"""The command `diary-mcp`: one module of `commands/` for each of its commands."""

import errno
import os
import sys
from importlib import import_module
from pathlib import Path

import click

from diary_mcp.commands.wording import for_terminal
from diary_mcp.domain.errors import DiaryError
from diary_mcp.lasting_imports import (
    import_parts_alone,
    importing_without,
    lasting_imports,
)
from diary_mcp.plugins.hook_process import TimeLimit
from diary_mcp.posix_signals import exit_in_order
from diary_mcp.telemetry.signals import forget_missing_plugins

_USAGE_ERROR = 2

# name: (module, attribute, one line for `--help`). A command is imported when it is run, so that
# the start of a server does not pay for all of them.
_COMMANDS = {
    "serve": ("serve", "serve", "Run the MCP server."),
    "write": ("entries", "write", "Write an entry."),
    "show": ("entries", "show", "Show an entry, by its id or key."),
    "list": ("entries", "list_entries", "List entries, newest first."),
    "search": ("entries", "search", "Find entries by a question or words."),
    "context": ("context", "context", "Print what an agent should read when a session starts."),
    "edit": ("entries", "edit", "Change an entry, in $EDITOR or by options."),
    "delete": ("entries", "delete", "Delete an entry for good."),
    "share": ("sharing", "share", "Let another agent or a group read an entry."),
    "unshare": ("sharing", "unshare", "End a share."),
    "tags": ("entries", "tags", "List tags with the number of their entries."),
    "import": (
        "import_files",
        "import_files",
        "Read Markdown files, folders of them, and JSON Lines.",
    ),
    "export": ("export", "export", "Write all of the agent's entries to a folder."),
    "open": ("open_page", "open_page", "Show the diary in the browser, on this machine only."),
    "backup": ("backup", "backup", "Write the whole diary, with its keys, into one file."),
    "restore": ("backup", "restore", "Put such a file into an empty data directory or database."),
    "purge": ("purge", "purge", "Take what was deleted off the disk too."),
    "status": ("status", "status", "Show what is running against what, and whether all is well."),
    "reconcile": ("reconcile", "reconcile", "Compare rows with relation tuples; repair drift."),
    "migrate": ("migrate", "migrate", "Apply pending migrations."),
    "agent": ("agents", "agent", "Agents, and their bearer tokens for HTTP."),
    "audit": ("audit", "audit", "Who shared what with whom, and who was given a token."),
    "key": ("keys", "key", "The agent's signing key, and the keys of its chain."),
    "sign": ("sign", "sign", "Sign what is waiting for this machine's key."),
    "verify": ("verify", "verify", "Check the diary, or a bundle, by hashes and signatures."),
    "group": ("groups", "group", "Groups of agents to share with."),
    "install": ("install", "install", "Put the server, and hooks, into a client's configuration."),
    "uninstall": ("install", "uninstall", "Take them out again."),
    "hook": ("hook", "hook", "Answer a hook of an installed client."),
    "diary": ("diaries", "diary", "Diaries: one for each project or team."),
    "config": ("config", "config", "Print what an MCP client needs to start this installation."),
}


class _LateCommands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        if cmd_name not in _COMMANDS:
            return None
        module, attribute, _ = _COMMANDS[cmd_name]
        # structlog would take it along, and Pygments with it, to print what `logs.py` never prints:
        # as much memory in each idle server as PostgreSQL's driver, and as long to import.
        with lasting_imports(), importing_without("rich"):
            # Their `__init__` takes along clients, an HTTP client and the SDK's other server, for
            # which the answer to `initialize` would have to wait.
            import_parts_alone("mcp", "mcp.server")
            command: object = getattr(import_module(f"diary_mcp.commands.{module}"), attribute)
        return command if isinstance(command, click.Command) else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, _, line) in _COMMANDS.items()])


@click.group(cls=_LateCommands)
@click.version_option(package_name="diary-mcp")
def command() -> None:
    """The diary that AI agents can trust: an MCP server, and the commands around it."""


def main(limit: TimeLimit | None = None) -> None:
    """Runs the command; an error that a person can mend is one line on stderr.

    Args:
        limit: of a hook, when its process is ended.
    """
    exit_in_order()
    for variable in forget_missing_plugins(os.environ):
        click.echo(
            f"diary-mcp: {variable} names something that is not installed, and is ignored.",
            err=True,
        )
    try:
        command(prog_name="diary-mcp", obj=limit)
    except DiaryError as error:
        click.echo(f"diary-mcp: {for_terminal(str(error))}", err=True)
        sys.exit(_USAGE_ERROR if error.code == "invalid_argument" else 1)
    except OSError as error:
        reason = _find_reason(error)
        if reason is None:
            raise
        click.echo(f"diary-mcp: {reason}", err=True)
        sys.exit(1)


def _find_reason(error: OSError) -> str | None:
    """What a person can do about it; `None` where that is not known."""
    if error.errno == errno.ENOSPC:
        # What is left to print would fail again at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return "No space is left to write to; make room. What was changed stays changed."
    if isinstance(error, FileNotFoundError):
        try:
            Path.cwd()
        except FileNotFoundError:
            return "The folder that this was started in is gone; change to one that is there."
    return None
