"""Who a bearer token stands for: one that the diary issued, or one of a configured issuer."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from diary_mcp.domain.fields import AgentName
from diary_mcp.domain.tokens import TokenScope
from diary_mcp.service.agents.tokens import TOKEN_PREFIX, TokenService


@dataclass(frozen=True)
class Identity:
    """A signed-in agent. `issuer` is `None` for the diary's own tokens."""

    agent: AgentName
    scopes: frozenset[TokenScope]
    issuer: str | None = None


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
        return Identity(found.agent, frozenset(found.scopes))


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
            raise TokenRefusedError("The token is none of this diary's.")
        return await self.foreign.identify(token)
