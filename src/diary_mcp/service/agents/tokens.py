"""Issuing, finding and revoking the bearer tokens of agents."""

import hashlib
import re
import secrets
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from diary_mcp.domain.errors import InvalidArgumentError, NotFoundError
from diary_mcp.domain.fields import AgentName, DiaryId
from diary_mcp.domain.scopes import TOKEN_SCOPES, TokenScope
from diary_mcp.domain.tokens import AgentToken, TokenId
from diary_mcp.service.ports.agents import TokenStore

TOKEN_PREFIX = "dmcp_"  # noqa: S105  # what every token begins with, so that secret scanners see it
_TOKEN_BYTES = 32
_TOKEN = re.compile(rf"{TOKEN_PREFIX}[A-Za-z0-9_-]{{43}}")


class IssuedToken(NamedTuple):
    """A new token: `secret` is what the agent presents, and is never to be had again."""

    secret: str
    token: AgentToken


class TokenService:
    """Tokens that this diary issues itself."""

    def __init__(self, store: TokenStore) -> None:
        self._store = store

    async def issue(
        self,
        agent: AgentName,
        *,
        scopes: Collection[TokenScope] = TOKEN_SCOPES,
        lifetime: timedelta | None = None,
        diary_id: DiaryId | None = None,
    ) -> IssuedToken:
        """A new token of the agent, which exists from now on; without `lifetime` it never expires.

        With a diary it opens that one alone.

        Raises:
            InvalidArgumentError: the lifetime ends beyond what a calendar has.
        """
        secret = TOKEN_PREFIX + secrets.token_urlsafe(_TOKEN_BYTES)
        try:
            expires_at = None if lifetime is None else datetime.now(UTC) + lifetime
        except OverflowError as error:
            raise InvalidArgumentError(
                "The token would expire after the year 9999; leave --expires-in out for one that "
                "never expires."
            ) from error
        token = await self._store.insert(agent, _sha256(secret), scopes, expires_at, diary_id)
        return IssuedToken(secret, token)

    async def find(self, secret: str) -> AgentToken | None:
        """The active token that `secret` is; looked up every time, so a revocation holds at once.

        Raises:
            DatabaseUnavailableError: nobody can say.
        """
        return await self._store.find(_sha256(secret)) if _TOKEN.fullmatch(secret) else None

    async def list_active(self, agent: AgentName | None = None) -> list[AgentToken]:
        """Tokens that can be used now."""
        return await self._store.list_active(agent)

    async def revoke(self, token_id: TokenId) -> None:
        """Ends one token.

        Raises:
            NotFoundError: there is no such token that is not revoked yet.
        """
        if not await self._store.revoke(token_id):
            raise NotFoundError(
                f"There is no token {token_id} to revoke; `diary-mcp agent list` shows what there "
                "is."
            )

    async def revoke_all(self, agent: AgentName) -> int:
        """Ends every token of the agent; how many there were."""
        return await self._store.revoke_all(agent)


def _sha256(secret: str) -> bytes:
    # 256 random bits need neither salt nor a slow hash.
    return hashlib.sha256(secret.encode()).digest()
