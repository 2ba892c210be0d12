"""What every command has: the settings as options, and errors that begin with their code."""

import logging
import sys
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from functools import wraps
from typing import NoReturn

import click

from diary_mcp.commands.wording import for_terminal
from diary_mcp.domain.errors import DiaryError, InvalidArgumentError
from diary_mcp.domain.fields import printable_lines
from diary_mcp.logs import configure_logs
from diary_mcp.postgres.cluster import has_cluster
from diary_mcp.settings import (
    Settings,
    list_relative_folders,
    list_unknown_variables,
    load_settings,
)

_OPTIONS = (
    click.option("--database-url", metavar="URL", help="PostgreSQL 15+; embedded if left out."),
    click.option(
        "--data-dir", type=click.Path(path_type=str), help="Embedded database, keys, logs."
    ),
    click.option("--keto-read-url", metavar="URL", help="Ory Keto; embedded if left out."),
    click.option("--keto-write-url", metavar="URL", help="Ory Keto's write API."),
    click.option("--agent", metavar="NAME", help="Who is calling; local if left out."),
)


def with_settings(command: Callable[..., None]) -> Callable[..., None]:
    """Hands a command its settings first, from the options or the environment."""

    @wraps(command)
    def run(flags: Mapping[str, str | None], **arguments: object) -> None:
        configure_logs(logging.WARNING)
        settings = load_settings(**flags)
        data_dir = flags["data_dir"]
        given = data_dir if isinstance(data_dir, str) else None
        for told in [*list_relative_folders(settings, given), *list_unknown_variables()]:
            click.echo(f"diary-mcp: {told}", err=True)
        command(settings, **arguments)

    return with_flags(run)


def with_flags(command: Callable[..., None]) -> Callable[..., None]:
    """Hands a command the settings that were given as options, unread."""

    @wraps(command)
    def run(  # click passes them by name
        database_url: str | None,
        data_dir: str | None,
        keto_read_url: str | None,
        keto_write_url: str | None,
        agent: str | None,
        **arguments: object,
    ) -> None:
        flags = {
            "database_url": database_url,
            "data_dir": data_dir,
            "keto_read_url": keto_read_url,
            "keto_write_url": keto_write_url,
            "agent": agent,
        }
        command(flags, **arguments)

    for option in reversed(_OPTIONS):
        run = option(run)
    return run


@contextmanager
def errors_told() -> Generator[None]:
    """An error within ends the command with status 1, and stands with its code on stderr."""
    try:
        yield
    except DiaryError as error:
        fail(f"{error.code}: {error}")


def require_database(settings: Settings) -> None:
    """Makes sure that there is a diary: one on a server that is set, or an embedded one.

    Raises:
        InvalidArgumentError: none was made yet.
    """
    if settings.database_url is None and not has_cluster(settings.data_dir):
        raise InvalidArgumentError(
            f"There is no diary in {settings.data_dir} yet; --data-dir names another folder."
        )


def fail(told: str) -> NoReturn:
    click.echo(printable_lines(for_terminal(told)), err=True)
    sys.exit(1)
