"""`diary-mcp key`: the agent's signing key on this machine, and the keys of its chain."""

import re

import anyio
import anyio.to_thread
import click

from diary_mcp.app import Foundation, open_foundation
from diary_mcp.commands.options import with_settings
from diary_mcp.domain.chain import KEY_PATTERN, PublicKey
from diary_mcp.domain.errors import InvalidArgumentError
from diary_mcp.domain.fields import format_time
from diary_mcp.keys.key_files import AgentKeys
from diary_mcp.service.chain.links import KeyChange
from diary_mcp.settings import TOKEN_VARIABLE, Settings

_OVER_HTTP = click.option(
    "--url",
    metavar="URL",
    help=f"Of a diary over HTTP, such as http://host:8722/mcp; {TOKEN_VARIABLE} holds the token.",
)


@click.group()
def key() -> None:
    """The agent's signing key on this machine, and the keys of its chain."""


@key.command("show")
@with_settings
def show_key(settings: Settings) -> None:
    """Print the public key of this machine; it is made where there is none."""
    keys = AgentKeys(settings.data_dir, settings.agent)
    private_key = keys.present.load_or_create()
    click.echo(f"The private key of {settings.agent} is in {keys.present.path}.", err=True)
    click.echo(private_key.public_key)


@key.command("list")
@with_settings
def list_keys(settings: Settings) -> None:
    """List every key that the chain has admitted, and whether it was revoked."""

    async def run() -> None:
        async with open_foundation(settings) as foundation:
            for period in await foundation.diary.signing.list_keys(settings.agent):
                ended = ""
                if period.revoked_at is not None:
                    ended = f", revoked by link {period.revoked} ({format_time(period.revoked_at)})"
                since = f"link {period.admitted} ({format_time(period.admitted_at)})"
                click.echo(f"{period.key} from {since}{ended}")

    anyio.run(run)


@key.command("admit")
@with_settings
@click.argument("public_key", metavar="KEY")
@_OVER_HTTP
def admit_key(settings: Settings, public_key: str, url: str | None) -> None:
    """Let KEY sign too, such as that of another machine; this machine's key signs for it."""
    _change(settings, KeyChange("admit", _checked(public_key)), url=url)
    click.echo(f"admitted {public_key}")


@key.command("revoke")
@with_settings
@click.argument("public_key", metavar="KEY")
@_OVER_HTTP
def revoke_key(settings: Settings, public_key: str, url: str | None) -> None:
    """Let KEY sign nothing new; what it has signed stays signed."""
    _change(settings, KeyChange("revoke", _checked(public_key)), url=url)
    click.echo(f"revoked {public_key}")


@key.command("rotate")
@with_settings
def rotate_key(settings: Settings) -> None:
    """Make a new key for this machine; the old one admits it and is revoked and removed."""
    keys = AgentKeys(settings.data_dir, settings.agent)

    async def run() -> None:
        async with open_foundation(settings, with_keys=True) as foundation:
            await rotate(foundation, keys)

    anyio.run(run)
    click.echo(keys.present.load_or_create().public_key)


@key.command("takeover")
@with_settings
def take_over(settings: Settings) -> None:
    """Begin anew with the key of this machine where every other is lost; everybody will see it."""
    public_key = AgentKeys(settings.data_dir, settings.agent).present.load_or_create().public_key
    _change(settings, KeyChange("admit", public_key), by_takeover=True)
    click.echo(f"{public_key} signs from now on; verification will report a takeover")


async def rotate(foundation: Foundation, keys: AgentKeys) -> None:
    """Finishes a rotation that was interrupted, or does a whole one.

    The links come first: until the new file is in place, a server signs with whichever of the
    two the chain lets it.
    """
    signing = foundation.diary.signing
    present = await anyio.to_thread.run_sync(keys.present.load_or_create)
    following = await anyio.to_thread.run_sync(keys.next.load_or_create)
    state = await signing.describe(keys.agent)
    changes: list[KeyChange] = []
    if following.public_key not in state.keys:
        changes.append(KeyChange("admit", following.public_key))
    if present.public_key in state.keys or state.sequence == 0:
        changes.append(KeyChange("revoke", present.public_key))
    if changes:
        await signing.change_keys(keys.agent, changes)
    await anyio.to_thread.run_sync(keys.rotate)


def _change(
    settings: Settings, change: KeyChange, *, url: str | None = None, by_takeover: bool = False
) -> None:
    async def run() -> None:
        if url is not None:
            from diary_mcp.commands.sign_remotely import (  # noqa: PLC0415  # imports MCP
                change_key,
            )

            await change_key(settings, url, change)
            return
        async with open_foundation(settings, with_keys=True) as foundation:
            await foundation.diary.signing.change_keys(
                settings.agent, [change], by_takeover=by_takeover
            )

    anyio.run(run)


def _checked(public_key: str) -> PublicKey:
    if not re.fullmatch(KEY_PATTERN, public_key):
        raise InvalidArgumentError(
            f"{public_key!r} is not a public key; `diary-mcp key show` prints one on the machine "
            "where it belongs, as ed25519: and 43 characters."
        )
    return PublicKey(public_key)
