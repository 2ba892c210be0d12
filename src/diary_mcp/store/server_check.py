"""Whether a PostgreSQL server, and the way to it, can hold a diary; asked before all else."""

import anyio
import psycopg
from psycopg.rows import scalar_row

from diary_mcp.domain.errors import DatabaseUnavailableError
from diary_mcp.store.bounded_connection import Connection
from diary_mcp.store.connecting import CONNECT_TIMEOUT_S
from diary_mcp.store.database import connect
from diary_mcp.store.sql import load_queries

_SQL = load_queries("connection")
_OLDEST_SERVER = 150_000
_LOOKS = 3


async def check_server(url: str) -> None:
    """Makes sure that the database behind `url` can hold a diary.

    Raises:
        DatabaseUnavailableError: no answer, or what about it cannot be used, and what can be done.
    """
    async with connect(url) as connection:
        _check_version(connection)
        _check_encoding(connection)
        if await _backend(connection) != connection.info.backend_pid:
            # A pooler in between answers with a number of its own.
            await _check_pooler(url, connection)


def _check_version(connection: Connection) -> None:
    version = connection.info.server_version
    if version < _OLDEST_SERVER:
        raise DatabaseUnavailableError(
            f"This is PostgreSQL {version // 10_000}; diary-mcp needs 15 or newer. Point "
            "DIARY_MCP_DATABASE_URL at one."
        )


def _check_encoding(connection: Connection) -> None:
    encoding = connection.info.parameter_status("server_encoding")
    if encoding not in (None, "UTF8"):
        raise DatabaseUnavailableError(
            f"The database {connection.info.dbname!r} has the encoding {encoding}, which cannot "
            "hold every character; diary-mcp needs UTF8. Make one with `create database diary "
            "template template0 encoding 'UTF8'`, and name it in DIARY_MCP_DATABASE_URL."
        )


async def _check_pooler(url: str, connection: Connection) -> None:
    """Refuses a pooler that gives one server process to several clients in turn."""
    try:
        with anyio.fail_after(CONNECT_TIMEOUT_S):
            is_shared = await _is_shared(url, connection)
    except TimeoutError as error:
        raise DatabaseUnavailableError(
            "The connection pooler in DIARY_MCP_DATABASE_URL has no second connection to give. "
            "Raise its pool size (docs/operations.md), or use PostgreSQL's own address."
        ) from error
    if is_shared:
        raise DatabaseUnavailableError(
            "DIARY_MCP_DATABASE_URL leads through a connection pooler in transaction mode, where "
            "the locks and notifications that diary-mcp relies on are lost. Use the pooler's "
            "session mode, or PostgreSQL's own address."
        )


async def _is_shared(url: str, connection: Connection) -> bool:
    own = await _backend(connection)
    for _ in range(_LOOKS):
        async with connect(url) as other:
            try:
                async with other.transaction():
                    # Whoever is in a transaction has its process to itself.
                    if await _backend(other) == own or await _backend(connection) != own:
                        return True
            except psycopg.errors.ProtocolViolation:
                return True  # statement mode refuses transactions
            if await _backend(connection) != own:
                return True
    return False


async def _backend(connection: Connection) -> object:
    cursor = connection.cursor(row_factory=scalar_row)
    await cursor.execute(_SQL["backend"], prepare=False)
    return await cursor.fetchone()
