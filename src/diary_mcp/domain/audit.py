"""The audit trail: who could see what, and since when."""

from typing import Literal

from pydantic import BaseModel

from diary_mcp.domain.fields import AgentName, EntryId, Grantee, Time
from diary_mcp.domain.tokens import TokenId, TokenScope


class AuditEvent(BaseModel, frozen=True):
    """One share or token that came or went; ids and names, never what somebody wrote."""

    id: int
    happened_at: Time
    event: Literal[
        "shared",
        "unshared",
        "share_expired",
        "share_deleted_with_entry",
        "token_issued",
        "token_revoked",
    ]
    agent: AgentName
    entry_id: EntryId | None
    grantee: Grantee | None
    expires_at: Time | None
    token_id: TokenId | None
    scopes: list[TokenScope] | None
