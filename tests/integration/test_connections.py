"""Connections of the pool, when PostgreSQL has closed them meanwhile."""

import psycopg
import pytest

from diary_mcp.store.database import Connection, Database, open_database

pytestmark = pytest.mark.anyio


async def backend_of(connection: Connection) -> object:
    cursor = await connection.execute("select pg_backend_pid()")
    return await cursor.fetchone()


async def backends(database: Database) -> set[object]:
    """The server processes behind two connections at once."""
    async with database.connection() as one, database.connection() as other:
        return {await backend_of(one), await backend_of(other)}


async def test_a_connection_that_postgresql_has_closed_is_replaced_before_anybody_gets_it(
    database_url: str,
) -> None:
    async with open_database(database_url, max_size=2, min_size=2) as database:
        before = await backends(database)
        with psycopg.connect(database_url, autocommit=True) as operator:
            operator.execute(
                "select pg_terminate_backend(pid, 5000) from pg_stat_activity"
                " where datname = current_database() and pid <> pg_backend_pid()"
            )

        after = await backends(database)

    assert len(after) == 2
    assert before.isdisjoint(after)


async def test_a_connection_with_a_notice_waiting_is_handed_out(database_url: str) -> None:
    async with open_database(database_url, max_size=1) as database:
        async with database.connection() as connection:
            before = await backend_of(connection)
            await connection.execute("listen news")
        with psycopg.connect(database_url, autocommit=True) as other:
            other.execute("notify news")

        async with database.connection() as connection:
            assert await backend_of(connection) == before
