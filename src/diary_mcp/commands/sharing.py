"""`diary-mcp share` and `unshare`."""

import click

from diary_mcp.commands.entries import Given, as_json_option
from diary_mcp.commands.options import with_settings
from diary_mcp.commands.reading import line
from diary_mcp.commands.tool_commands import call, echo_json, with_arguments
from diary_mcp.domain.fields import format_time
from diary_mcp.server.tools.results import RevokedResult, ShareResult
from diary_mcp.settings import Settings


@click.command()
@with_settings
@click.argument("reference", metavar="[REF]", required=False)
@with_arguments("diary_share", besides={"entry_id"})
@as_json_option
def share(settings: Settings, *, reference: str | None, given: Given, as_json: bool) -> None:
    """Let another agent, or a group, read an entry, or give it a role on a diary."""
    shared = call(settings, "diary_share", {"entry_id": reference, **given}, ShareResult)
    if as_json:
        echo_json(shared)
        return
    until = "" if shared.expires_at is None else f" until {format_time(shared.expires_at)}"
    click.echo(f"shared {shared.entry_id or shared.diary} with {line(shared.grantee)}{until}")


@click.command()
@with_settings
@click.argument("reference", metavar="[REF]", required=False)
@with_arguments("diary_unshare", besides={"entry_id"})
@as_json_option
def unshare(settings: Settings, *, reference: str | None, given: Given, as_json: bool) -> None:
    """End a share; it holds at once."""
    revoked = call(settings, "diary_unshare", {"entry_id": reference, **given}, RevokedResult)
    if as_json:
        echo_json(revoked)
    else:
        click.echo(f"unshared {revoked.entry_id or revoked.diary} with {line(revoked.grantee)}")
