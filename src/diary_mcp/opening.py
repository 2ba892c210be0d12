"""The PostgreSQL that the settings name. It imports little: the rest can be imported meanwhile."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial

from diary_mcp.postgres.embedded import starting_postgres
from diary_mcp.settings import Settings


@asynccontextmanager
async def open_postgres(settings: Settings) -> AsyncGenerator[str]:
    """The URL of the database as it is: the one that is set, or its owner's of the embedded one.

    Raises:
        DatabaseUnavailableError: PostgreSQL cannot be started or reached, or holds no diary.
    """
    async with start_postgres(settings) as ready:
        yield await ready()


@asynccontextmanager
async def start_postgres(settings: Settings) -> AsyncGenerator[Callable[[], Awaitable[str]]]:
    """The same as soon as the embedded one begins to start; what is yielded waits for the URL."""
    if settings.database_url is not None:
        yield partial(_check, settings.database_url)
        return
    async with starting_postgres(settings.data_dir) as ready:
        yield ready


async def _check(url: str) -> str:
    from diary_mcp.store.server_check import check_server  # noqa: PLC0415  # imports the driver

    await check_server(url)
    return url
