"""`diary-mcp agent`: agents, and the bearer tokens that they sign in with over HTTP."""

import re
from collections.abc import Awaitable, Callable
from datetime import timedelta
from difflib import get_close_matches
from itertools import groupby

import anyio
import click

from diary_mcp.app import Foundation, open_foundation, set_keys_aside
from diary_mcp.commands.options import with_settings
from diary_mcp.commands.settling import run_settled
from diary_mcp.domain.diaries import DiaryName
from diary_mcp.domain.errors import InvalidArgumentError
from diary_mcp.domain.fields import (
    NAME_PATTERN,
    NAME_RULE,
    AgentName,
    Grantee,
    counted,
    format_time,
)
from diary_mcp.domain.scopes import TOKEN_SCOPES, TokenScope
from diary_mcp.domain.tokens import AgentToken, TokenId
from diary_mcp.service.sharing.shares import require_grantee
from diary_mcp.settings import Settings
from diary_mcp.store.agents import PostgresAgents

_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


@click.group()
def agent() -> None:
    """Agents, and their bearer tokens for HTTP."""


@agent.command("add")
@with_settings
@click.argument("name")
def add_agent(settings: Settings, name: str) -> None:
    """Add an agent, so that others can share with it before its first call."""
    agent_name = _checked(name)

    async def run(foundation: Foundation) -> None:
        is_new = await _register(foundation, agent_name)
        click.echo(f"added agent {name}" if is_new else f"agent {name} already exists")

    _run(settings, run)


@agent.command("list")
@with_settings
def list_agents(settings: Settings) -> None:
    """List every agent with its active tokens."""

    async def run(foundation: Foundation) -> None:
        async with foundation.database.connection() as connection:
            names = await PostgresAgents(connection).list_agents()
        tokens = await foundation.tokens.list_active()
        by_agent = {name: list(group) for name, group in groupby(tokens, lambda each: each.agent)}
        for name in names:
            click.echo(name)
            for token in by_agent.get(name, []):
                click.echo(f"  token {token.id}: {_description(token)}")

    _run(settings, run)


def _lifetime(
    _context: click.Context, _option: click.Parameter, value: str | None
) -> timedelta | None:
    if value is None:
        return None
    found = re.fullmatch(r"([1-9][0-9]{0,5})([mhdw])", value)
    if found is None:
        raise click.BadParameter("use a number and m, h, d or w, such as 30d")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


@agent.command("token")
@with_settings
@click.argument("name")
@click.option(
    "--expires-in", "lifetime", metavar="TIME", callback=_lifetime, help="Such as 30d or 12h."
)
@click.option(
    "--scope",
    "scopes",
    type=click.Choice(TOKEN_SCOPES),
    multiple=True,
    help="What it may be used for; repeatable, everything if left out.",
)
@click.option(
    "--diary", "diary", metavar="NAME", help="The only diary that it opens: NAME, or OWNER/NAME."
)
def issue_token(
    settings: Settings,
    name: str,
    *,
    lifetime: timedelta | None,
    scopes: tuple[TokenScope, ...],
    diary: str | None,
) -> None:
    """Make a token for agent NAME; stdout gets the token, once, and nothing else."""
    agent_name = _checked(name)

    async def run(foundation: Foundation) -> None:
        if await _register(foundation, agent_name):
            click.echo(f"added agent {name}{await _warning(foundation, name)}", err=True)
        only = diary and await foundation.diary.diaries.find_for_token(agent_name, diary)
        issued = await foundation.tokens.issue(
            agent_name,
            scopes=scopes or TOKEN_SCOPES,
            lifetime=lifetime,
            diary_id=only.id if only else None,
        )
        click.echo(
            f"token {issued.token.id} of {name}: {_description(issued.token)}\n"
            "It is shown once. Send it as: Authorization: Bearer TOKEN",
            err=True,
        )
        click.echo(issued.secret)

    run_settled(settings, run)


@agent.command("revoke")
@with_settings
@click.argument("name", required=False)
@click.option("--token", "token_id", type=int, metavar="ID", help="Only this one, of any agent.")
def revoke_tokens(settings: Settings, name: str | None, *, token_id: int | None) -> None:
    """Revoke all tokens of agent NAME, or one token; it holds at once."""
    if (name is None) == (token_id is None):
        raise InvalidArgumentError(
            "Name either an agent, whose tokens all end, or one token with --token ID; "
            "`diary-mcp agent list` shows both."
        )

    async def run(foundation: Foundation) -> None:
        if token_id is not None:
            await foundation.tokens.revoke(TokenId(token_id))
            click.echo(f"revoked token {token_id}")
        elif name is not None:
            async with foundation.database.connection() as connection:
                await require_grantee(PostgresAgents(connection), Grantee(_checked(name)))
            count = await foundation.tokens.revoke_all(AgentName(name))
            click.echo(f"revoked {counted(count, 'token')} of {name}")

    _run(settings, run)


@agent.command("remove")
@with_settings
@click.argument("name")
@click.option("--entries", "with_entries", is_flag=True, help="Delete its entries and diaries too.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def remove_agent(settings: Settings, name: str, *, with_entries: bool, yes: bool) -> None:
    """Remove agent NAME: whoever has the name later inherits nothing.

    What was shared with it, its tokens, its signed chain and its memberships go. Unless --entries
    is given, an agent that owns entries or diaries stays.
    """
    agent_name = _checked(name)
    if with_entries and not yes:
        click.confirm(f"Delete {name} with all its entries, for good?", abort=True, err=True)

    async def run(foundation: Foundation) -> None:
        deleted = await foundation.removals.remove_agent(agent_name, with_entries=with_entries)
        moved = set_keys_aside(settings, agent_name)
        click.echo(
            f"removed agent {name}"
            + (f" and {counted(deleted, 'entry', 'entries')}" if deleted else "")
        )
        if moved is not None:
            click.echo(f"its signing key was moved to {moved}", err=True)

    run_settled(settings, run)


def _checked(name: str) -> AgentName:
    if not re.fullmatch(NAME_PATTERN, name):
        raise InvalidArgumentError(f"{name!r} is not a valid agent name: {NAME_RULE}.")
    return AgentName(name)


async def _register(foundation: Foundation, name: AgentName) -> bool:
    """Adds the agent; `False` where it is there already."""
    async with foundation.database.connection() as connection:
        agents = PostgresAgents(connection)
        if await agents.exists(Grantee(name)):
            return False
        await agents.register(name)
        return True


async def _warning(foundation: Foundation, name: str) -> str:
    """What to say of a new name that may be a mistyped one."""
    async with foundation.database.connection() as connection:
        others = [
            other for other in await PostgresAgents(connection).list_agents() if other != name
        ]
    close = get_close_matches(name, others)
    if not close:
        return ""
    return (
        f", which is new; close to it: {', '.join(close)}. "
        f"If one of these was meant: `diary-mcp agent remove {name}`"
    )


def _description(token: AgentToken) -> str:
    until = (
        "never expires" if token.expires_at is None else f"until {format_time(token.expires_at)}"
    )
    only = token.diary
    where = (
        ""
        if only is None
        else f", diary {DiaryName(only.owner, only.name).seen_by(token.agent)} only"
    )
    return f"{' '.join(token.scopes)}{where}, {until}"


def _run(settings: Settings, use: Callable[[Foundation], Awaitable[None]]) -> None:
    async def run() -> None:
        async with open_foundation(settings) as foundation:
            await use(foundation)

    anyio.run(run)
