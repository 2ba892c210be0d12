"""Migrations on databases that earlier numberings made."""

from functools import partial
from typing import LiteralString

import anyio
import psycopg
import pytest
from anyio.abc import TaskGroup

from diary_mcp.domain.errors import DatabaseUnavailableError
from diary_mcp.package_data import resource_path
from diary_mcp.store.migrations import making_workflow_schema, migrate, pending_migrations
from support.saved_states import make_schema
from support.workflows import eventually

pytestmark = pytest.mark.anyio

FILES = sorted(resource_path("migrations").glob("*.sql"))
NAMES = [path.name for path in FILES]
FORMER_NUMBERS = {
    "0005_search.sql": "0010_search.sql",
    "0006_announcements.sql": "0011_announcements.sql",
    "0007_signing.sql": "0020_signing.sql",
    "0008_search_revision.sql": "0045_search_revision.sql",
    "0009_scale_indexes.sql": "0046_scale_indexes.sql",
    "0010_reflection_indexes.sql": "0047_reflection_indexes.sql",
    "0011_share_expiry.sql": "0048_share_expiry.sql",
}
NUMBERED_SINCE = "0012"
MAKE_AS_DBOS_DOES = "create index concurrently on public.diary_migration (sha256)"
HAS_ASKED_FOR_THE_LOCK = """
select from pg_stat_activity
where
    datname = current_database()
    and pid <> pg_backend_pid()
    and query like '%diary-mcp workflow schema%'
"""


@pytest.fixture
def formerly_numbered(database_url: str) -> str:
    """A database as the code made it that numbered migrations with gaps."""
    with psycopg.connect(database_url) as connection:
        make_schema(connection, NUMBERED_SINCE, FORMER_NUMBERS)
    return database_url


async def query(url: str, statement: LiteralString) -> bool:
    """Runs it, and says whether it gave a row."""
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        cursor = await connection.execute(statement)
        return cursor.description is not None and await cursor.fetchone() is not None


def ledger(url: str) -> list[str]:
    with psycopg.connect(url) as connection:
        rows = connection.execute("select name from public.diary_migration order by name")
        return [str(name) for (name,) in rows.fetchall()]


def test_migrations_are_numbered_without_a_gap() -> None:
    assert [int(name[:4]) for name in NAMES] == list(range(1, len(NAMES) + 1))


async def test_a_file_under_another_number_is_not_applied_again(formerly_numbered: str) -> None:
    new = [name for name in NAMES if name >= NUMBERED_SINCE]
    pending = [migration.name for migration in await pending_migrations(formerly_numbered)]

    applied = [migration.name for migration in await migrate(formerly_numbered)]

    assert pending == applied == new
    assert ledger(formerly_numbered) == NAMES
    assert await migrate(formerly_numbered) == []


async def test_a_file_that_was_edited_after_it_was_applied_is_refused(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "update public.diary_migration set sha256 = 'other' where name = '0005_search.sql'"
        )

    with pytest.raises(DatabaseUnavailableError, match=r"0005_search\.sql was edited"):
        await migrate(database_url)


@pytest.fixture
def without_workflow_schema(database_url: str) -> str:
    with psycopg.connect(database_url) as connection:
        connection.execute("alter schema dbos rename to put_aside")
    return database_url


async def test_what_another_makes_for_workflows_is_waited_for_and_not_made_again(
    without_workflow_schema: str,
) -> None:
    found: list[bool] = []

    async def come_second() -> None:
        async with making_workflow_schema(without_workflow_schema) as is_to_be_made:
            found.append(is_to_be_made)

    async def make(others: TaskGroup) -> None:
        async with making_workflow_schema(without_workflow_schema) as is_to_be_made:
            found.append(is_to_be_made)
            others.start_soon(come_second)
            await eventually(partial(query, without_workflow_schema, HAS_ASKED_FOR_THE_LOCK))
            await query(without_workflow_schema, MAKE_AS_DBOS_DOES)
            await query(without_workflow_schema, "alter schema put_aside rename to dbos")

    async with anyio.create_task_group() as tasks:
        await make(tasks)

    assert found == [True, False]


async def test_whoever_sleeps_while_it_makes_something_for_workflows_is_not_waited_for(
    without_workflow_schema: str,
) -> None:
    async with (
        making_workflow_schema(without_workflow_schema),
        making_workflow_schema(without_workflow_schema, longest_wait_s=0.1) as is_to_be_made,
    ):
        assert is_to_be_made
