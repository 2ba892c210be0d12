"""Bearer tokens: what an agent signs in with over HTTP, and what it may then do."""

from datetime import datetime
from typing import NewType

from diary_mcp.domain.entry import EntryDiary
from diary_mcp.domain.fields import AgentName, Model
from diary_mcp.domain.scopes import TokenScope

TokenId = NewType("TokenId", int)


class AgentToken(Model, frozen=True):
    """What is kept of a token; the token itself is shown once and stored nowhere."""

    id: TokenId
    agent: AgentName
    scopes: list[TokenScope]
    diary: EntryDiary | None = None
    """The only one that it opens; `None` opens what its agent may read."""

    created_at: datetime
    expires_at: datetime | None
