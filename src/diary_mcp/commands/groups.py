"""`diary-mcp group`: groups of agents, whose members live in the permission backend."""

import re
from collections.abc import Awaitable, Callable

import anyio
import click

from diary_mcp.app import Foundation, open_foundation
from diary_mcp.commands.options import with_settings
from diary_mcp.commands.settling import run_settled
from diary_mcp.domain.errors import InvalidArgumentError, NotFoundError
from diary_mcp.domain.fields import NAME_PATTERN, NAME_RULE, Grantee, GroupName
from diary_mcp.domain.relations import group_grantee
from diary_mcp.service.sharing.shares import require_grantee
from diary_mcp.settings import Settings
from diary_mcp.store.agents import PostgresAgents


@click.group()
def group() -> None:
    """Groups that entries can be shared with, as group:NAME."""


@group.group()
def member() -> None:
    """Who belongs to a group."""


@group.command("add")
@with_settings
@click.argument("name")
def add_group(settings: Settings, name: str) -> None:
    """Add a group without members."""
    if not re.fullmatch(NAME_PATTERN, name):
        raise InvalidArgumentError(f"{name!r} is not a valid group name: {NAME_RULE}.")

    async def run(_: Foundation, agents: PostgresAgents) -> None:
        is_new = await agents.add_group(GroupName(name))
        click.echo(f"added group {name}" if is_new else f"group {name} already exists")

    _run(settings, run)


@group.command("remove")
@with_settings
@click.argument("name")
def remove_group(settings: Settings, name: str) -> None:
    """Remove a group; what was shared with it opens nothing from now on."""

    async def run(foundation: Foundation) -> None:
        await foundation.removals.remove_group(GroupName(name))
        click.echo(f"removed group {name}")

    run_settled(settings, run)


@group.command("list")
@with_settings
def list_groups(settings: Settings) -> None:
    """List every group with its direct members."""

    async def run(foundation: Foundation, agents: PostgresAgents) -> None:
        for name in await agents.list_groups():
            members = await foundation.permissions.list_members(name)
            click.echo(f"{name}: {', '.join(members) or '(no members)'}")

    _run(settings, run)


@member.command("add")
@with_settings
@click.argument("group_name", metavar="GROUP")
@click.argument("agent_name", metavar="AGENT")
def add_member(settings: Settings, group_name: str, agent_name: str) -> None:
    """Make AGENT (or another group, group:NAME) a member; it can read at once."""

    async def run(foundation: Foundation, _: PostgresAgents) -> None:
        # In a transaction neither is removed meanwhile: the membership would be inherited.
        async with foundation.database.transaction() as connection:
            agents = PostgresAgents(connection)
            await require_grantee(agents, group_grantee(GroupName(group_name)))
            await require_grantee(agents, Grantee(agent_name))
            await foundation.permissions.add(GroupName(group_name), Grantee(agent_name))
        click.echo(f"{agent_name} is a member of {group_name}")

    _run(settings, run)


@member.command("remove")
@with_settings
@click.argument("group_name", metavar="GROUP")
@click.argument("agent_name", metavar="AGENT")
def remove_member(settings: Settings, group_name: str, agent_name: str) -> None:
    """End AGENT's membership; it holds at once."""

    async def run(foundation: Foundation, _: PostgresAgents) -> None:
        if not await foundation.permissions.remove(GroupName(group_name), Grantee(agent_name)):
            raise NotFoundError(
                f"{agent_name} is not a direct member of {group_name}; "
                "`diary-mcp group list` shows who is."
            )
        click.echo(f"{agent_name} is no longer a member of {group_name}")

    _run(settings, run)


def _run(settings: Settings, use: Callable[[Foundation, PostgresAgents], Awaitable[None]]) -> None:
    async def run() -> None:
        async with (
            open_foundation(settings) as foundation,
            foundation.database.connection() as connection,
        ):
            await use(foundation, PostgresAgents(connection))

    anyio.run(run)
