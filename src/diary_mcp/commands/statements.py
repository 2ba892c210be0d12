"""Signing one statement with the key of this machine, wherever the statement came from."""

from datetime import UTC, datetime, timedelta

import click

from diary_mcp.domain.errors import ConflictError, InvalidArgumentError
from diary_mcp.domain.signing import Statement
from diary_mcp.keys.key_files import AgentKeys
from diary_mcp.settings import Settings

_CLOCKS_DIFFER = timedelta(hours=1)


def sign_text(settings: Settings, statement: Statement, text: str) -> str:
    """The signature of a statement of the agent's own, made now, with the key that it names.

    Raises:
        InvalidArgumentError: it is another agent's, or from another time.
        ConflictError: this machine has another key.
    """
    if statement.owner != settings.agent:
        raise InvalidArgumentError(
            f"It is for the chain of {statement.owner}, and you are {settings.agent}; give "
            "--agent if that is you."
        )
    if abs(datetime.now(UTC) - statement.time) > _CLOCKS_DIFFER:
        raise InvalidArgumentError(
            f"It says that it was made at {statement.time:%Y-%m-%dT%H:%M:%SZ}, which is not now. "
            "Ask for another, or set the clock."
        )
    keys = AgentKeys(settings.data_dir, settings.agent).load()
    fitting = [key for key in keys if key.public_key == statement.key]
    if not fitting:
        raise ConflictError(
            f"It is to be signed by {statement.key}, and the key of this machine is "
            f"{keys[0].public_key}. Ask for a statement with that as `key`."
        )
    about = statement.subject or statement.entry
    click.echo(
        f"signing link {statement.sequence} of {statement.owner}: {statement.act} {about}, version "
        f"{statement.version}",
        err=True,
    )
    return fitting[0].sign(text.encode())
