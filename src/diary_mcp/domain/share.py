"""Shares: what one agent lets another agent, or a group, read."""

from pydantic import BaseModel, Field

from diary_mcp.domain.entry import Sharing
from diary_mcp.domain.fields import AgentName, EntryId, Grantee, Time


class Share(BaseModel, frozen=True):
    """One entry shared with one grantee; `sharing` is `pending` until the grant has settled."""

    entry_id: EntryId
    grantee: Grantee = Field(serialization_alias="with")
    granted_by: AgentName
    created_at: Time
    expires_at: Time | None
    note: str | None
    sharing: Sharing
