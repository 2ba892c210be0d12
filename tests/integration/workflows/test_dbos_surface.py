"""What this code relies on of DBOS beyond its documented Python API.

Where a newer DBOS fails one of these, read docs/DBOS.md before changing the test.
"""

import anyio.to_thread
import pytest

from diary_mcp.store.takeover import PostgresExecutors
from diary_mcp.store.workflow_queue import REQUIRED_SCHEMA_VERSION
from support.dbos_processes import claim, launch_as
from support.workflows import open_diary

pytestmark = pytest.mark.anyio


async def test_the_sql_function_takes_every_argument_that_we_name(database_url: str) -> None:
    async with open_diary(database_url) as diary:
        rows = await diary.query(
            "select unnest(p.proargnames), unnest(p.proargtypes::regtype[])::text"
            " from pg_proc as p join pg_namespace as n on n.oid = p.pronamespace"
            " where n.nspname = 'dbos' and p.proname = 'enqueue_workflow'"
        )

    assert {
        ("workflow_name", "text"),
        ("queue_name", "text"),
        ("positional_args", "json[]"),
        ("workflow_id", "text"),
        ("queue_partition_key", "text"),
        ("application_name", "text"),
    } <= set(rows)


async def test_the_schema_that_we_ask_for_is_the_one_that_dbos_makes(database_url: str) -> None:
    async with open_diary(database_url) as diary:
        assert await diary.query("select version from dbos.dbos_migrations") == [
            (REQUIRED_SCHEMA_VERSION,)
        ]


async def test_a_recovery_by_dbos_itself_changes_what_our_takeover_changes(
    database_url: str,
) -> None:
    async with open_diary(database_url) as diary:
        recovered, taken_over = await diary.create(), await diary.create()
        await claim(diary, recovered, "recovered-by-dbos")
        await claim(diary, taken_over, "taken-over-by-us")

        await anyio.to_thread.run_sync(launch_as, database_url, "recovered-by-dbos")
        async with PostgresExecutors(database_url).living("watcher") as watcher:
            await watcher.take_over()
            await watcher.take_over()

        rows = await diary.query(
            "select (to_jsonb(w) - array['workflow_uuid', 'queue_partition_key', 'executor_id',"
            " 'created_at', 'updated_at'])::text from dbos.workflow_status as w"
            " where queue_name = 'permissions'"
        )
        assert len(rows) == 2
        assert rows[0] == rows[1]
        assert await diary.statuses() == ["ENQUEUED", "ENQUEUED"]
