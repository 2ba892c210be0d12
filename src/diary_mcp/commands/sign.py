"""`diary-mcp sign`: with the key of this machine, what waits for it."""

import base64
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio
import click

from diary_mcp.commands.options import with_settings
from diary_mcp.domain.chain import Statement
from diary_mcp.domain.errors import ConflictError, InvalidArgumentError
from diary_mcp.domain.fields import EntryId
from diary_mcp.files.drafts import decode_text
from diary_mcp.files.sources import read_bytes
from diary_mcp.keys.key_files import AgentKeys
from diary_mcp.service.chain.continuity import MAX_CLOCK_AHEAD
from diary_mcp.service.chain.statements import decode_base64url, read_statement
from diary_mcp.settings import TOKEN_VARIABLE, Settings

# What every statement begins with, in base64url: `{"act":`.
_STATEMENT_BEGINS = base64.urlsafe_b64encode(b'{"act":')[:9].decode()
# A request lives for 15 minutes.
_MAX_AGE = timedelta(minutes=20)


@click.command()
@with_settings
@click.argument("what", metavar="[STATEMENT | ENTRY...]", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Every entry that is pending.")
@click.option("--delete", "deleted", is_flag=True, help="ENTRY was deleted: sign that.")
@click.option("--admit", metavar="KEY", help="Sign a STATEMENT that admits this key.")
@click.option("--revoke", metavar="KEY", help="Sign a STATEMENT that revokes this key.")
@click.option(
    "--url",
    metavar="URL",
    help=f"Sign entries of a diary over HTTP, such as http://host:8722/mcp; {TOKEN_VARIABLE} "
    "holds the bearer token.",
)
@click.option(
    "--content",
    type=click.Path(path_type=Path),
    help="With --url: a file with what the entry must say; otherwise it is shown.",
)
@click.option("--yes", is_flag=True, help="With --url: do not ask first.")
def sign(
    settings: Settings,
    *,
    what: tuple[str, ...],
    everything: bool,
    deleted: bool,
    admit: str | None,
    revoke: str | None,
    url: str | None,
    content: Path | None,
    yes: bool,
) -> None:
    """Sign with the key of this machine.

    STATEMENT is what diary_signature_request gave; stdout gets the signature and nothing else.
    ENTRY is the id or key of an entry that waits, or with --delete the id of one that was deleted.
    """
    if bool(what) == everything or (everything and deleted):
        raise InvalidArgumentError("Name what to sign, or give --all.")
    if len(what) == 1 and what[0].startswith(_STATEMENT_BEGINS):
        click.echo(_sign_statement(settings, what[0], (deleted, admit, revoke)))
    elif admit is not None or revoke is not None:
        raise InvalidArgumentError(
            "--admit and --revoke go with a STATEMENT; `diary-mcp key admit` and `key revoke` "
            "change keys, with --url over HTTP too."
        )
    elif url is None:
        _sign_here(settings, what, deleted=deleted)
    else:
        if everything:
            raise InvalidArgumentError(
                "Name the entries: over HTTP, what is pending is what the server says is, and you "
                "sign what you have read."
            )
        _sign_remotely(settings, url, what, content, deleted=deleted, yes=yes)


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
    now = datetime.now(UTC)
    if not now - _MAX_AGE <= statement.time <= now + MAX_CLOCK_AHEAD:
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
    about = statement.subject or f"{statement.entry}, version {statement.version}"
    click.echo(
        f"signing link {statement.sequence} of {statement.owner}: {statement.act} {about}", err=True
    )
    return fitting[0].sign(text.encode())


def _sign_statement(
    settings: Settings, encoded: str, named: tuple[bool, str | None, str | None]
) -> str:
    try:
        text = decode_base64url(encoded).decode()
        statement = read_statement(text)
    except ValueError as error:
        raise InvalidArgumentError(
            f"This {error}. Copy the command of diary_signature_request whole."
        ) from error
    _check_named(statement, *named)
    return sign_text(settings, statement, text)


def _check_named(
    statement: Statement,
    deleted: bool,  # noqa: FBT001  # the options, in their order
    admit: str | None,
    revoke: str | None,
) -> None:
    """Raises InvalidArgumentError: it does something else than the command says."""
    wanted = {
        "delete": ("--delete", deleted),
        "admit": (f"--admit {statement.subject}", admit == statement.subject),
        "revoke": (f"--revoke {statement.subject}", revoke == statement.subject),
    }
    option, is_named = wanted.get(statement.act, ("no such option", True))
    others = [deleted, admit is not None, revoke is not None]
    if not is_named or (statement.act not in wanted and any(others)) or sum(others) > 1:
        raise InvalidArgumentError(
            f"The statement is to {statement.act} {statement.subject or statement.entry}, which "
            f"the command must name: {option}. Nothing was signed; give it only if that is meant."
        )


def _sign_here(settings: Settings, what: Sequence[str], *, deleted: bool) -> None:
    from diary_mcp.app import open_foundation  # noqa: PLC0415  # a statement needs no database

    async def run() -> tuple[int, list[EntryId]]:
        async with open_foundation(settings, with_keys=True) as foundation:
            signing = foundation.diary.signing
            if deleted:
                return await signing.sign_deletions_here(settings.agent, what), []
            waiting = what or list(map(str, await signing.list_pending(settings.agent)))
            count = await signing.sign_here(settings.agent, waiting)
            return count, [] if what else await signing.list_dropped(settings.agent)

    count, dropped = anyio.run(run)
    click.echo(f"signed {count}")
    if dropped:
        names = " ".join(map(str, dropped))
        click.echo(
            f"{len(dropped)} signed entries are gone, and no deletion is signed. If you deleted "
            f"them: diary-mcp sign --delete {names}",
            err=True,
        )


def _sign_remotely(
    settings: Settings,
    url: str,
    what: Sequence[str],
    content: Path | None,
    *,
    deleted: bool,
    yes: bool,
) -> None:
    from diary_mcp.commands.sign_remotely import (  # noqa: PLC0415  # imports MCP
        sign_deletions,
        sign_entries,
    )

    if content is not None and (deleted or len(what) > 1):
        raise InvalidArgumentError("--content is what one entry must say; name that entry alone.")

    async def run() -> list[str]:
        if deleted:
            return await sign_deletions(settings, url, what)
        given = None if content is None else decode_text(read_bytes(content))
        ask = not yes and sys.stdin.isatty()
        return await sign_entries(settings, url, what, given, ask=ask)

    for line in anyio.run(run):
        click.echo(line)
