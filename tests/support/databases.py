"""A real PostgreSQL for tests, and a fresh migrated database for each of them.

In order: `DIARY_MCP_TEST_DATABASE_URL`; a container where an engine runs and
`DIARY_MCP_TEST_CONTAINERS` is set; else the embedded PostgreSQL, one server for the whole run.
"""

import os
import shutil
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import psycopg
from anyio.from_thread import start_blocking_portal
from psycopg import sql

from diary_mcp.app import open_migrated_database
from diary_mcp.postgres.embedded import embedded_postgres
from diary_mcp.settings import Settings
from support.paths import keys_of

_TEMPLATE = "diary_test_template"
_CREATION_LOCK = 20_260_131


@contextmanager
def postgres_server(shared_dir: Path) -> Generator[str]:
    """The URL of a database on a running server. All processes of a run share one server."""
    url = os.environ.get("DIARY_MCP_TEST_DATABASE_URL")
    if url:
        yield url
    elif os.environ.get("DIARY_MCP_TEST_CONTAINERS"):
        # A second to import, for what few runs ask for.
        from testcontainers.community.postgres import PostgresContainer  # noqa: PLC0415

        with PostgresContainer("pgvector/pgvector:pg18", driver=None) as container:
            yield container.get_connection_url()
    else:
        with (
            start_blocking_portal() as portal,
            portal.wrap_async_context_manager(embedded_postgres(shared_dir)) as embedded_url,
        ):
            _make_careless(embedded_url)
            yield embedded_url


def _make_careless(server_url: str) -> None:
    """Nothing here has to outlive the machine, and a database for each test is much to write."""
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute("alter system set fsync = off")
        connection.execute("alter system set full_page_writes = off")
        connection.execute("alter system set max_wal_size = '1GB'")
        connection.execute("select pg_reload_conf()")


async def create_template(server_url: str) -> None:
    """Makes the migrated database that the tests' databases are copied from, once a run."""
    async with await psycopg.AsyncConnection.connect(server_url, autocommit=True) as connection:
        await connection.execute("select pg_advisory_lock(%s)", (_CREATION_LOCK,))
        cursor = await connection.execute(
            "select from pg_database where datname = %s and datistemplate", (_TEMPLATE,)
        )
        if await cursor.fetchone() is not None:
            return
        name = sql.Identifier(_TEMPLATE)
        await connection.execute(sql.SQL("drop database if exists {}").format(name))
        await connection.execute(sql.SQL("create database {}").format(name))
        async with open_migrated_database(Settings(database_url=_on(server_url, _TEMPLATE))):
            pass
        await connection.execute(sql.SQL("alter database {} is_template true").format(name))


@asynccontextmanager
async def fresh_database(server_url: str) -> AsyncGenerator[str]:
    """A copy of the template for one test."""
    name = f"diary_test_{uuid4().hex}"
    async with await psycopg.AsyncConnection.connect(server_url, autocommit=True) as connection:
        await connection.execute(
            # A fourth of the work of a copy through the write-ahead log.
            sql.SQL("create database {} template {} strategy file_copy").format(
                sql.Identifier(name), sql.Identifier(_TEMPLATE)
            )
        )
    yield _on(server_url, name)
    async with await psycopg.AsyncConnection.connect(server_url, autocommit=True) as connection:
        await connection.execute(
            sql.SQL("drop database {} with (force)").format(sql.Identifier(name))
        )
    shutil.rmtree(keys_of(_on(server_url, name)), ignore_errors=True)


def _on(server_url: str, database: str) -> str:
    return urlunsplit(urlsplit(server_url)._replace(path=f"/{database}"))
