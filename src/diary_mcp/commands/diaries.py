"""`diary-mcp diary`: named collections of entries, one for each project or team."""

from collections.abc import Awaitable, Callable

import click

from diary_mcp.app import Foundation
from diary_mcp.commands.options import with_settings
from diary_mcp.commands.settling import run_settled
from diary_mcp.domain.fields import AgentName, counted
from diary_mcp.settings import Settings


@click.group()
def diary() -> None:
    """Diaries: one for each project or team."""


@diary.command("add")
@with_settings
@click.argument("name")
def add_diary(settings: Settings, name: str) -> None:
    """Make a diary of the agent's."""

    async def run(foundation: Foundation) -> None:
        made = await foundation.diary.diaries.open(settings.agent, name)
        click.echo(f"diary {made.seen_by(settings.agent)} is ready")

    _run(settings, run)


@diary.command("list")
@with_settings
def list_diaries(settings: Settings) -> None:
    """List the diaries that the agent may read, with how many entries each holds."""

    async def run(foundation: Foundation) -> None:
        await foundation.diary.agents.require(settings.agent)
        found = await foundation.diary.diaries.list(settings.agent, settings.current_diary)
        for each in found:
            name = each.full_name.seen_by(settings.agent)
            count = counted(each.entries, "entry", "entries")
            click.echo(f"{name}: {count}, {each.role}")

    run_settled(settings, run)


@diary.command("rename")
@with_settings
@click.argument("name")
@click.argument("new_name")
def rename_diary(settings: Settings, name: str, new_name: str) -> None:
    """Give a diary another name; its entries and roles stay."""

    async def run(foundation: Foundation) -> None:
        renamed = await foundation.diary.diaries.rename(settings.agent, name, new_name)
        click.echo(f"renamed diary {name} to {renamed.name}")

    _run(settings, run)


@diary.command("transfer")
@with_settings
@click.argument("name")
@click.argument("new_owner", metavar="AGENT")
def transfer_diary(settings: Settings, name: str, new_owner: str) -> None:
    """Give a diary to AGENT; entries and roles stay as they are."""

    async def run(foundation: Foundation) -> None:
        given = await foundation.diary.diaries.transfer(settings.agent, name, AgentName(new_owner))
        click.echo(f"transferred diary {name}: it is {given.seen_by(settings.agent)} from now on")

    _run(settings, run)


@diary.command("remove")
@with_settings
@click.argument("name")
def remove_diary(settings: Settings, name: str) -> None:
    """Remove a diary without entries, and the roles on it."""

    async def run(foundation: Foundation) -> None:
        removed = await foundation.diary.diaries.remove(settings.agent, name)
        click.echo(f"removed diary {removed.name}")

    _run(settings, run)


def _run(settings: Settings, use: Callable[[Foundation], Awaitable[None]]) -> None:
    async def run(foundation: Foundation) -> None:
        await foundation.diary.agents.register(settings.agent)
        await use(foundation)

    run_settled(settings, run)
