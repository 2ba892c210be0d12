"""One process that uses the embedded PostgreSQL of a data directory, as a script.

It imports nothing of the tests: whatever starts it need not know where they are.
"""

import asyncio
import sys
from pathlib import Path
from zlib import crc32

import psycopg
import structlog

from diary_mcp.domain.errors import DatabaseUnavailableError
from diary_mcp.postgres.embedded import embedded_postgres

PROGRAM = __file__


def name_of_users(data_dir: Path) -> str:
    """At most 15 bytes, as a kernel wants it."""
    return f"user-{crc32(bytes(data_dir)):08x}"


def ask(url: str, query: str) -> object:
    """The first row of the answer, or its only column."""
    with psycopg.connect(url) as connection:
        row = connection.execute(query.encode()).fetchone()
    return row[0] if row and len(row) == 1 else row


async def _use(data_dir: Path) -> None:
    say("starting")
    try:
        async with embedded_postgres(data_dir) as url:
            say(url)
            for line in iter(sys.stdin.readline, ""):
                say(str(ask(url, line)))
    except DatabaseUnavailableError as error:
        say(f"{type(error).__name__}: {error}")


def say(words: str) -> None:
    sys.stdout.write(f"{words}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    if sys.platform == "linux":
        Path("/proc/self/comm").write_text(name_of_users(Path(sys.argv[1])), "ascii")
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    asyncio.run(_use(Path(sys.argv[1])))
