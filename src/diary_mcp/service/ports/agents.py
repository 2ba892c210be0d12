"""Agents, groups and tokens as rows."""

from collections.abc import Collection
from datetime import datetime
from typing import Protocol

from diary_mcp.domain.fields import AgentName, Grantee
from diary_mcp.domain.tokens import AgentToken, TokenId, TokenScope


class AgentDirectory(Protocol):
    """Agents and groups by name. Who belongs to a group only the permission backend knows."""

    async def register(self, agent: AgentName) -> None: ...

    async def exists(self, grantee: Grantee) -> bool: ...

    async def list_similar(self, grantee: Grantee, limit: int) -> list[Grantee]:
        """Names that exist, the most similar to `grantee` first."""
        ...


class TokenStore(Protocol):
    """Tokens by their SHA-256. Each method is one transaction, with its line in the audit trail.

    Raises (every method):
        DatabaseUnavailableError: PostgreSQL gives no answer in time.
    """

    async def insert(
        self,
        agent: AgentName,
        sha256: bytes,
        scopes: Collection[TokenScope],
        expires_at: datetime | None,
    ) -> AgentToken:
        """Adds the token, and the agent where it is new."""
        ...

    async def find(self, sha256: bytes) -> AgentToken | None:
        """The active token with this hash: neither revoked nor expired."""
        ...

    async def list_active(self, agent: AgentName | None) -> list[AgentToken]:
        """Active tokens of one agent, or of all, by agent and then by id."""
        ...

    async def revoke(self, token_id: TokenId) -> bool:
        """`False` where there is no such token, or it is revoked already."""
        ...

    async def revoke_all(self, agent: AgentName) -> int:
        """How many tokens of the agent were revoked."""
        ...
