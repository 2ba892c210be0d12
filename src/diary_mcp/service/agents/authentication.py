"""Who calls: whom a bearer token stands for, and that others can share with whoever called."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from diary_mcp.domain.entry import EntryDiary
from diary_mcp.domain.errors import NotFoundError
from diary_mcp.domain.fields import AgentName, Grantee
from diary_mcp.domain.relations import group_of
from diary_mcp.domain.scopes import TokenScope
from diary_mcp.service.agents.tokens import TOKEN_PREFIX, TokenService
from diary_mcp.service.ports.store import Store

_MAX_NAMES_COMPARED = 1_000
_MAX_NAMES_TOLD = 5


@dataclass(frozen=True)
class Identity:
    """A signed-in agent. `issuer` is `None` for the diary's own tokens."""

    agent: AgentName
    scopes: frozenset[TokenScope]
    issuer: str | None = None
    only: EntryDiary | None = None
    """The diary that the token is for, where it is for one alone."""


class TokenRefusedError(Exception):
    """A token that signs nobody in; the message says why, without the token."""


class TokenReader(Protocol):
    async def identify(self, token: str) -> Identity:
        """The agent that the token stands for.

        Raises:
            TokenRefusedError: nobody; it is malformed, unknown, expired, revoked, or not for us.
            UnavailableError: nobody can say at present.
        """
        ...


@dataclass(frozen=True)
class IssuedTokenReader:
    """Reads the diary's own tokens, as soon as the diary is up."""

    tokens: Callable[[], Awaitable[TokenService]]

    async def identify(self, token: str) -> Identity:
        """As `TokenReader` says; a revocation holds at once."""
        found = await (await self.tokens()).find(token)
        if found is None:
            raise TokenRefusedError("The token is unknown, expired or revoked.")
        return Identity(found.agent, frozenset(found.scopes), only=found.diary)


@dataclass(frozen=True)
class AnyTokenReader:
    """Reads both kinds of token; which one it is, its first characters tell."""

    issued: TokenReader
    foreign: TokenReader | None

    async def identify(self, token: str) -> Identity:
        """As `TokenReader` says."""
        if token.startswith(TOKEN_PREFIX):
            return await self.issued.identify(token)
        if self.foreign is None:
            raise TokenRefusedError("The token is not one of this diary's.")
        return await self.foreign.identify(token)


@dataclass(frozen=True)
class AgentRegistry:
    """Makes every agent known that calls a tool, so that others can share with it."""

    _store: Store

    async def register(self, agent: AgentName) -> None:
        """Raises: DatabaseUnavailableError: PostgreSQL gives no answer in time."""
        async with self._store.reading() as rows:
            await rows.agents.register(agent)

    async def require(self, agent: AgentName) -> None:
        """Nothing where there is such an agent, or none at all yet.

        Raises:
            NotFoundError: there is not; it names others.
            DatabaseUnavailableError: PostgreSQL gives no answer in time.
        """
        async with self._store.reading() as rows:
            if await rows.agents.exists(Grantee(agent)):
                return
            names = await rows.agents.list_similar(Grantee(agent), _MAX_NAMES_COMPARED)
        close = [name for name in names if group_of(name) is None][:_MAX_NAMES_TOLD]
        if close:
            raise NotFoundError(
                f"There is no agent {agent!r}. Close to it: {', '.join(close)}. An agent exists "
                "once it has written or called a tool, or was added with `diary-mcp agent add`."
            )
