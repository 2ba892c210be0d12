"""The floor of a write that is kept: an MCP SDK server whose tool does one INSERT and commits.

uv run python benchmarks/bare_writer.py URL
"""

import sys

import psycopg
from mcp.server import MCPServer

server = MCPServer("bare writer")
connections: list[psycopg.AsyncConnection[tuple[object, ...]]] = []


@server.tool()
async def create(content: str) -> int:
    """Keep a text."""
    if not connections:
        connections.append(await psycopg.AsyncConnection.connect(sys.argv[1], autocommit=True))
    inserted = await connections[0].execute(
        "insert into public.bare_write (content) values (%s) returning id", (content,)
    )
    row = await inserted.fetchone()
    assert row is not None, "an insert gives its id"
    assert isinstance(row[0], int), "it is one"
    return row[0]


if __name__ == "__main__":
    server.run("stdio")
