"""The PostgreSQL that diary-mcp brings along, for whoever does not name one of their own."""

import asyncio
import os
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import anyio.to_thread

from diary_mcp.domain.errors import DatabaseUnavailableError
from diary_mcp.lasting_imports import lasting_imports

# What leaving costs at the very most, should the disk hang; the thread goes on by itself then.
_LEAVE_TIMEOUT_S = 3.0


@asynccontextmanager
async def embedded_postgres(data_dir: Path) -> AsyncGenerator[str]:
    """The URL of the database in `data_dir`, whose server runs for as long as the block does.

    Any number of processes may do this on one directory at once; they share one server, and the
    last one to leave stops it. It is started again if it dies meanwhile, under the same URL: open
    connections are lost then, new ones are refused until it is back. Only the operating system
    user we run as can connect.

    Yields:
        A URL for psycopg, SQLAlchemy and DBOS alike, over a Unix socket.

    Raises:
        DatabaseUnavailableError: The server is not there within a minute, or cannot be started in
            this directory at all; the message says which.
    """
    async with starting_postgres(data_dir) as ready:
        yield await ready()


@asynccontextmanager
async def starting_postgres(data_dir: Path) -> AsyncGenerator[Callable[[], Awaitable[str]]]:
    """The same as soon as its start has begun; what is yielded waits for the URL, once.

    Raises:
        DatabaseUnavailableError: There is none on this system; the rest is raised by the wait.
    """
    if sys.platform == "win32":
        raise DatabaseUnavailableError(
            "The embedded PostgreSQL does not run on Windows. Use a PostgreSQL of your own with "
            "DIARY_MCP_DATABASE_URL, or run diary-mcp in WSL."
        )
    _forget_libpq_variables()
    lease = (await anyio.to_thread.run_sync(_import_lease)).ServerLease(data_dir)
    lease.start()

    async def ready() -> str:
        return await asyncio.wrap_future(lease.ready)

    try:
        yield ready
    finally:
        lease.leave()
        with anyio.move_on_after(_LEAVE_TIMEOUT_S, shield=True):
            await asyncio.wrap_future(lease.ended)


def _forget_libpq_variables() -> None:
    """PGSERVICE, PGOPTIONS, PGDATESTYLE and the like are about somebody else's database.

    libpq reads some of them whatever it is told besides, so they have to go. Everything that this
    process connects to is the private server.
    """
    for name in [name for name in os.environ if name.startswith("PG")]:
        del os.environ[name]


def _import_lease():  # noqa: ANN202  # inferred: a module
    with lasting_imports():
        from diary_mcp.postgres import lease  # noqa: PLC0415  # there is no fcntl on Windows

    return lease
