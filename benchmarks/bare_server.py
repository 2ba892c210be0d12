"""The floor: an MCP SDK server over stdio with one tool and a list in memory."""

from mcp.server import MCPServer

server = MCPServer("bare")
entries: list[str] = []


@server.tool()
def create(content: str) -> int:
    """Keep a text."""
    entries.append(content)
    return len(entries)


if __name__ == "__main__":
    server.run("stdio")
