"""Bearer tokens: what an agent signs in with over HTTP, and what it may then do."""

from datetime import datetime
from typing import Literal, NewType, get_args

from pydantic import BaseModel

from diary_mcp.domain.entry import EntryDiary
from diary_mcp.domain.fields import AgentName

TokenScope = Literal["diary:read", "diary:write", "diary:share"]
TOKEN_SCOPES: tuple[TokenScope, ...] = get_args(TokenScope)

DIARY_CLAIM = "diary"
"""Of whoever has signed in with a token for one diary: which."""

TokenId = NewType("TokenId", int)


class AgentToken(BaseModel, frozen=True):
    """What is kept of a token; the token itself is shown once and stored nowhere."""

    id: TokenId
    agent: AgentName
    scopes: list[TokenScope]
    diary: EntryDiary | None = None
    """The only one that it opens; `None` opens what its agent may read."""

    created_at: datetime
    expires_at: datetime | None


def known_scopes(names: list[str]) -> frozenset[TokenScope]:
    """Those of `names` that are scopes of the diary; other software's are none of its business."""
    return frozenset(scope for scope in TOKEN_SCOPES if scope in names)
