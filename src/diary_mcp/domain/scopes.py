"""What a bearer token lets its agent do."""

from typing import Literal, get_args

TokenScope = Literal["diary:read", "diary:write", "diary:share"]
TOKEN_SCOPES: tuple[TokenScope, ...] = get_args(TokenScope)

DIARY_CLAIM = "diary"
"""Of whoever has signed in with a token for one diary: which."""


def known_scopes(names: list[str]) -> frozenset[TokenScope]:
    """Those of `names` that are scopes of the diary; other software's are none of its business."""
    return frozenset(scope for scope in TOKEN_SCOPES if scope in names)
