"""Which scope a token needs for what."""

from diary_mcp.domain.tokens import TokenScope
from diary_mcp.server.tools.catalogue import SHARE, UNSHARE
from diary_mcp.server.tools.tool import Effect

_SHARING = frozenset({SHARE.name, UNSHARE.name})


def required_scope(tool: str, effect: Effect) -> TokenScope:
    """The scope without which a call of the tool is `forbidden`."""
    if tool in _SHARING:
        return "diary:share"
    return "diary:read" if effect == "reads" else "diary:write"
