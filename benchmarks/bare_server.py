"""The floor: an MCP SDK server over stdio with a list in memory."""

from mcp.server import MCPServer

server = MCPServer("bare")
entries: list[str] = []


@server.tool()
def create(content: str) -> int:
    """Keep a text."""
    entries.append(content)
    return len(entries)


@server.tool()
def search(query: str) -> list[str]:
    """Texts with this in them."""
    return [entry for entry in entries if query in entry][:10]


@server.tool()
def recent() -> list[str]:
    """The texts that were kept last."""
    return entries[-20:]


if __name__ == "__main__":
    server.run("stdio")
