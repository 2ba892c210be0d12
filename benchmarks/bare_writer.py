"""The floor of a write that is kept: an MCP SDK server whose tool does one INSERT and commits.

uv run python benchmarks/bare_writer.py [URL]

Without a URL it starts the PostgreSQL that diary-mcp brings along, with its data in the working
directory.
"""

import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import LiteralString

import anyio
import psycopg
import structlog
from mcp.server import MCPServer

from diary_mcp.postgres.embedded import embedded_postgres

TABLE = (
    "create table if not exists public.bare_write (id bigserial primary key, content text not null)"
)
server = MCPServer("bare writer")
connections: list[psycopg.AsyncConnection[tuple[object, ...]]] = []


@server.tool()
async def create(content: str) -> int:
    """Keep a text."""
    rows = await _rows("insert into public.bare_write (content) values (%s) returning id", content)
    (number,) = rows
    assert isinstance(number, int), "PostgreSQL numbers them"
    return number


@server.tool()
async def search(query: str) -> list[str]:
    """Texts with this in them."""
    asked = "select content from public.bare_write where strpos(content, %s) > 0 limit 10"
    return [str(row) for row in await _rows(asked, query)]


@server.tool()
async def recent(limit: int = 20) -> list[str]:
    """The texts that were kept last."""
    asked = "select content from public.bare_write order by id desc limit %s"
    return [str(row) for row in await _rows(asked, limit)]


async def _rows(statement: LiteralString, value: object) -> list[object]:
    """The first column of each row."""
    found = await connections[0].execute(statement, (value,))
    return [row[0] for row in await found.fetchall()]


@asynccontextmanager
async def _open_database() -> AsyncGenerator[str]:
    if len(sys.argv) > 1:
        yield sys.argv[1]
        return
    async with embedded_postgres(Path.cwd() / "floor") as url:
        yield url


async def _main() -> None:
    async with (
        _open_database() as url,
        await psycopg.AsyncConnection.connect(url, autocommit=True) as connection,
    ):
        await connection.execute(TABLE)
        connections.append(connection)
        await server.run_stdio_async()


if __name__ == "__main__":
    # What is told of the PostgreSQL that is started must not stand in the client's lines.
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    anyio.run(_main)
