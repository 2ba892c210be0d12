"""`diary-mcp context`: what to know when a session starts. A hook runs it, so it imports little."""

import json

import anyio
import click

from diary_mcp.app import open_foundation
from diary_mcp.commands.options import errors_told, with_settings
from diary_mcp.domain.fields import printable_lines
from diary_mcp.server.resources.context import read_context
from diary_mcp.settings import Settings


@click.command()
@with_settings
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def context(settings: Settings, *, as_json: bool) -> None:
    """Print what an agent should read when a session starts, as Markdown."""
    with errors_told():
        document = anyio.run(_load_context, settings)
    if as_json:
        click.echo(json.dumps({"context": document}))
    else:
        click.echo(printable_lines(document), nl=not document.endswith("\n"))


async def _load_context(settings: Settings) -> str:
    async with open_foundation(settings) as foundation:
        await foundation.diary.agents.require(settings.agent)
        return await read_context(foundation.diary, settings.agent, settings.current_diary)


async def load_context(settings: Settings) -> str:
    """The text of `diary://context`, for an agent that a client has just started.

    Raises:
        DiaryError: the diary cannot be opened or read, and why.
    """
    async with open_foundation(settings) as foundation:
        await foundation.diary.agents.register(settings.agent)
        return await read_context(foundation.diary, settings.agent, settings.current_diary)
