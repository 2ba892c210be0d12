"""What `tools/list` says."""

from diary_mcp.server.tools.catalogue import HTTP_TOOLS, TOOLS
from support.clients import Json


def tools_list() -> list[Json]:
    """Every tool as a client gets it over HTTP; on stdio the last two are missing."""
    return [
        tool.described().model_dump(mode="json", by_alias=True, exclude_none=True)
        for tool in HTTP_TOOLS.values()
    ]


def tools_on_stdio() -> list[Json]:
    """Those that a client gets over stdio, where the server signs."""
    return [tool for tool in tools_list() if tool["name"] in TOOLS]
