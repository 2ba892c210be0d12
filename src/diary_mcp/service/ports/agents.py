"""Agents, groups and tokens as rows."""

from collections.abc import Collection
from datetime import datetime
from typing import NamedTuple, Protocol

from diary_mcp.domain.fields import AgentName, DiaryId, Grantee, RemovalId
from diary_mcp.domain.scopes import TokenScope
from diary_mcp.domain.tokens import AgentToken, TokenId
from diary_mcp.service.ports.workflows import RelatedId


class AgentDirectory(Protocol):
    """Agents and groups by name. Who belongs to a group only the permission backend knows."""

    async def register(self, agent: AgentName) -> None: ...

    async def exists(self, grantee: Grantee) -> bool:
        """Whether there is one of this name; a transaction keeps it from being removed."""
        ...

    async def list_similar(self, grantee: Grantee, limit: int) -> list[Grantee]:
        """Names that exist, the most similar to `grantee` first."""
        ...


class Raised(NamedTuple):
    """An entry or a diary that has changed, and its generation from now on."""

    id: RelatedId
    generation: int


class Holdings(NamedTuple):
    """What keeps an agent from being removed."""

    entries: int
    diaries: list[str]


class RemovalWriter(Protocol):
    """Takes everything from a name that an agent or a group had."""

    async def hold(self, grantee: Grantee) -> bool:
        """Keeps everybody from giving it anything until the transaction ends; `False`: no such."""
        ...

    async def list_holdings(self, agent: AgentName, *, with_diaries: bool) -> Holdings:
        """Its entries, and its diaries: those that hold entries, and `with_diaries` the others.

        A `main` that holds nothing is none.
        """
        ...

    async def delete_entries(self, agent: AgentName, limit: int) -> list[Raised]:
        """Deletes some of its entries for good; the workflows are the caller's to enqueue."""
        ...

    async def delete_diaries(self, agent: AgentName) -> list[Raised]: ...

    async def take_shares_back(self, grantee: Grantee, limit: int) -> list[Raised]: ...

    async def take_roles_back(self, grantee: Grantee, limit: int) -> list[Raised]: ...

    async def remove(self, grantee: Grantee) -> RemovalId:
        """Removes its row and all that is kept of it by its name, but for the audit trail."""
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
        diary_id: DiaryId | None = None,
    ) -> AgentToken:
        """Adds the token, for one diary where one is named, and the agent where it is new."""
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
