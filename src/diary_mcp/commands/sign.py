"""`diary-mcp sign`: with the key of this machine, what waits for it."""

import base64
import os

import anyio
import click

from diary_mcp.commands.options import with_settings
from diary_mcp.commands.statements import sign_text
from diary_mcp.domain.errors import InvalidArgumentError
from diary_mcp.service.chain.statements import decode_base64url, read_statement
from diary_mcp.settings import Settings

# What every statement begins with, in base64url: `{"act":`.
_STATEMENT_BEGINS = base64.urlsafe_b64encode(b'{"act":')[:9].decode()
TOKEN_VARIABLE = "DIARY_MCP_TOKEN"  # noqa: S105  # its name


@click.command()
@with_settings
@click.argument("what", metavar="[STATEMENT | ENTRY...]", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Everything that is pending.")
@click.option(
    "--url",
    metavar="URL",
    help=f"Sign entries of a diary over HTTP, such as http://host:8722/mcp; {TOKEN_VARIABLE} "
    "holds the bearer token.",
)
def sign(settings: Settings, *, what: tuple[str, ...], everything: bool, url: str | None) -> None:
    """Sign with the key of this machine.

    STATEMENT is what diary_signature_request gave; stdout gets the signature and nothing else.
    ENTRY is the id or key of an entry that waits, or the id of one that was deleted.
    """
    if bool(what) == everything:
        raise InvalidArgumentError("Name what to sign, or give --all.")
    if len(what) == 1 and what[0].startswith(_STATEMENT_BEGINS):
        click.echo(_sign_statement(settings, what[0]))
    elif url is None:
        click.echo(f"signed {anyio.run(_sign_here, settings, what, everything)}")
    else:
        from diary_mcp.commands.remote_signing import sign_remotely  # noqa: PLC0415  # imports MCP

        if everything:
            raise InvalidArgumentError(
                "Name the entries: over HTTP, what is pending is what the server says is, and you "
                "sign what you have read."
            )
        token = os.environ.get(TOKEN_VARIABLE)
        for line in anyio.run(sign_remotely, settings, url, token, what):
            click.echo(line)


async def _sign_here(
    settings: Settings,
    references: tuple[str, ...],
    everything: bool,  # noqa: FBT001  # anyio.run passes by position
) -> int:
    from diary_mcp.app import open_foundation  # noqa: PLC0415  # a statement needs no database

    async with open_foundation(settings, with_keys=True) as foundation:
        signing = foundation.diary.signing
        wanted = references
        if everything:
            wanted = tuple(map(str, await signing.list_pending(settings.agent)))
        return await signing.sign_here(settings.agent, wanted)


def _sign_statement(settings: Settings, encoded: str) -> str:
    try:
        text = decode_base64url(encoded).decode()
        statement = read_statement(text)
    except ValueError as error:
        raise InvalidArgumentError(
            f"This {error}. Copy the command of diary_signature_request whole."
        ) from error
    return sign_text(settings, statement, text)
