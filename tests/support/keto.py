"""A real Ory Keto for tests.

In order: the server that `DIARY_MCP_TEST_KETO_READ_URL` and `DIARY_MCP_TEST_KETO_WRITE_URL` name;
the published image where an engine runs and `DIARY_MCP_TEST_CONTAINERS` is set; else v0.13, built
by Go and kept.
"""

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from support.databases import fresh_database
from support.keto_config import READ_URL_VARIABLE, WRITE_URL_VARIABLE, KetoAddress
from support.keto_process import keto_server


@asynccontextmanager
async def some_keto(postgres_url: str, folder: Path) -> AsyncGenerator[KetoAddress]:
    """A running server with our namespaces, for tests to fill and to empty."""
    read_url, write_url = os.environ.get(READ_URL_VARIABLE), os.environ.get(WRITE_URL_VARIABLE)
    if read_url and write_url:
        yield KetoAddress(read_url, write_url)
    elif os.environ.get("DIARY_MCP_TEST_CONTAINERS"):
        # A second to import, for what few runs ask for.
        from support.keto_container import keto_container  # noqa: PLC0415

        with keto_container(folder) as address:
            yield address
    else:
        async with fresh_database(postgres_url) as database_url:
            with keto_server(database_url, folder) as server:
                yield server.address
