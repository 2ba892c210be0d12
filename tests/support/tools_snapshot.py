"""The reviewed snapshot of `tools/list`; run as a script, it writes what the tools say now."""

import json
import sys

from diary_mcp.server.tools.catalogue import HTTP_TOOLS, TOOLS
from support.clients import Json
from support.paths import TESTS

SNAPSHOT = TESTS / "snapshots" / "tools_list.json"


def tools_list() -> list[Json]:
    """Every tool as a client gets it over HTTP; on stdio the last two are missing."""
    return [
        tool.described().model_dump(mode="json", by_alias=True, exclude_none=True)
        for tool in HTTP_TOOLS.values()
    ]


def tools_on_stdio() -> list[Json]:
    """Those that a client gets over stdio, where the server signs."""
    return [tool for tool in tools_list() if tool["name"] in TOOLS]


if __name__ == "__main__":
    SNAPSHOT.write_text(json.dumps(tools_list(), indent=2, ensure_ascii=False) + "\n", "utf-8")
    sys.stderr.write(f"Wrote {SNAPSHOT}; review the difference.\n")
