"""Why the workflow is scheduled as it is: the obvious other ways, and what each leaves behind.

docs/DBOS.md tells the same in words.
"""

from uuid import uuid4

import anyio.to_thread
import pytest
from psycopg.errors import UniqueViolation

from diary_mcp.domain.fields import EntryId, Grantee
from diary_mcp.domain.relations import owner_tuple, viewer_tuple
from diary_mcp.service.ports.workflows import PermissionChange
from diary_mcp.store.takeover import PostgresExecutors
from support.dbos_processes import claim, launch_as
from support.workflows import ALICE, BOB, Diary, eventually, insert_entry, open_diary

pytestmark = pytest.mark.anyio


class ProcessKilledError(Exception):
    """Here the process ends: nothing that stands below is executed."""


async def enqueue_on_its_own(diary: Diary, change: PermissionChange) -> None:
    async with diary.store.unit_of_work() as unit:
        await unit.workflows.enqueue(change)


async def test_starting_the_workflow_after_the_commit_loses_it_when_the_process_dies_between(
    database_url: str,
) -> None:
    async with open_diary(database_url) as diary:
        entry_id = EntryId(uuid4())

        async def create(*, killed: bool) -> None:
            async with diary.store.unit_of_work() as unit:
                await insert_entry(unit, entry_id)
            if killed:
                raise ProcessKilledError
            await enqueue_on_its_own(diary, PermissionChange("grant_ownership", (entry_id,)))

        with pytest.raises(ProcessKilledError):
            await create(killed=True)

        assert await diary.query("select id from diary.entry") == [(entry_id,)]
        assert await diary.statuses() == []


async def test_starting_it_on_another_connection_inside_the_transaction_outlives_a_rollback(
    database_url: str,
) -> None:
    async with open_diary(database_url) as diary:
        entry_id = EntryId(uuid4())

        async def create_and_fail() -> None:
            async with diary.store.unit_of_work() as unit:
                await insert_entry(unit, entry_id)
                await enqueue_on_its_own(diary, PermissionChange("grant_ownership", (entry_id,)))
                raise RuntimeError

        with pytest.raises(RuntimeError):
            await create_and_fail()

        assert await diary.query("select id from diary.entry") == []
        assert await diary.statuses() == ["ENQUEUED"]


async def test_starting_it_on_another_connection_runs_it_before_there_is_anything_to_see(
    database_url: str,
) -> None:
    async with open_diary(database_url) as diary, diary.runtime():
        entry_id = EntryId(uuid4())
        change = PermissionChange("grant_ownership", (entry_id,))
        async with diary.store.unit_of_work() as unit:
            await insert_entry(unit, entry_id)
            await enqueue_on_its_own(diary, change)
            await eventually(lambda: _is_done(diary))
        # And its id is used: asking again for the same changes nothing.
        await enqueue_on_its_own(diary, change)
        await diary.create(BOB)
        await eventually(lambda: _is_done(diary))

        assert await diary.calls(entry_id) == ["list"]
        assert owner_tuple(entry_id, ALICE) not in await diary.all_tuples()


async def _is_done(diary: Diary) -> bool:
    return set(await diary.statuses()) == {"SUCCESS"}


async def test_writing_the_tuple_inside_the_transaction_grants_what_is_rolled_back(
    database_url: str,
) -> None:
    async with open_diary(database_url) as diary:
        entry_id = EntryId(uuid4())

        async def create_and_fail() -> None:
            async with diary.store.unit_of_work() as unit:
                await insert_entry(unit, entry_id)
                await diary.tuples.patch(insert={owner_tuple(entry_id, ALICE)}, delete=())
                raise RuntimeError

        with pytest.raises(RuntimeError):
            await create_and_fail()

        assert await diary.query("select id from diary.entry") == []
        assert await diary.all_tuples() == {owner_tuple(entry_id, ALICE)}


async def test_the_default_executor_id_takes_running_work_from_a_living_process(
    database_url: str,
) -> None:
    async with open_diary(database_url) as diary:
        entry_id = await diary.create()
        await claim(diary, entry_id, "local")
        executors = PostgresExecutors(database_url)
        async with executors.living("local"), executors.living("watcher") as watcher:
            ours = [await watcher.take_over() for _ in range(3)]
            before = await diary.statuses()

            await anyio.to_thread.run_sync(launch_as, database_url, "local")

        assert (ours, before) == ([[]] * 3, ["PENDING"])
        assert await diary.statuses() == ["ENQUEUED"]


async def test_the_queue_is_not_first_in_first_out_so_a_step_must_not_do_what_it_was_asked(
    database_url: str,
) -> None:
    async with open_diary(database_url) as diary:
        entry_id = await diary.create()
        await diary.share(entry_id, BOB)
        await diary.query("delete from dbos.workflow_status")
        async with diary.store.unit_of_work() as unit:
            await unit.workflows.enqueue(
                PermissionChange("revoke_viewer", (entry_id,), 3, Grantee(BOB))
            )
            await unit.workflows.enqueue(
                PermissionChange("grant_viewer", (entry_id,), 4, Grantee(BOB))
            )
        async with diary.runtime():
            await eventually(lambda: _is_done(diary))

        assert await diary.query(
            "select name from dbos.workflow_status order by started_at_epoch_ms"
        ) == [("grant_viewer",), ("revoke_viewer",)]
        # What was asked last ran first. Had each done what its name says, Bob could not read.
        assert await diary.all_tuples() == {
            owner_tuple(entry_id, ALICE),
            viewer_tuple(entry_id, Grantee(BOB)),
        }


async def test_a_deduplication_id_refuses_a_change_that_comes_while_one_is_running(
    database_url: str,
) -> None:
    enqueue = (
        "select dbos.enqueue_workflow(workflow_name => 'grant_viewer', queue_name => 'permissions',"
        " workflow_id => %s, queue_partition_key => 'entry', deduplication_id => 'entry')"
    )
    async with open_diary(database_url) as diary:
        await diary.query(enqueue, "the first change")
        await diary.query("update dbos.workflow_status set status = 'PENDING'")

        with pytest.raises(UniqueViolation, match="DBOS queue duplicated"):
            await diary.query(enqueue, "a later change")

        assert await diary.statuses() == ["PENDING"]
