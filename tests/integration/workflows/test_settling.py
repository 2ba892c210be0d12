"""Changes commit with their workflow, and the workflows make the tuples agree with the rows."""

import random
from uuid import uuid4

import anyio
import pytest

from diary_mcp.domain.fields import AgentName, EntryId, Grantee
from diary_mcp.domain.relations import owner_tuple, viewer_tuple
from diary_mcp.service.ports.workflows import PermissionChange
from support.workflows import (
    ALICE,
    BOB,
    add_entry,
    eventually,
    open_diary,
)

pytestmark = pytest.mark.anyio


async def test_commit_gives_the_rows_and_their_workflow(database_url: str) -> None:
    async with open_diary(database_url) as diary:
        entry_id = await diary.create()

        assert await diary.query("select id from diary.entry") == [(entry_id,)]
        assert await diary.query(
            "select workflow_uuid, name, queue_name, queue_partition_key, status,"
            " application_name, application_version from dbos.workflow_status"
            " where queue_name = 'permissions'"
        ) == [
            (
                f"grant_ownership:{entry_id}:1",
                "grant_ownership",
                "permissions",
                str(entry_id),
                "ENQUEUED",
                "diary-mcp",
                None,
            )
        ]


async def test_rollback_gives_neither(database_url: str) -> None:
    async with open_diary(database_url) as diary:

        async def create_and_fail() -> None:
            async with diary.store.unit_of_work() as unit:
                await add_entry(unit, EntryId(uuid4()))
                raise RuntimeError

        with pytest.raises(RuntimeError):
            await create_and_fail()

        assert await diary.query("select id from diary.entry") == []
        assert await diary.query("select workflow_uuid from dbos.workflow_input") == []
        assert await diary.statuses() == []


async def test_workflows_settle_what_was_asked(database_url: str) -> None:
    async with open_diary(database_url) as diary:
        kept, shared, unshared, deleted = [await diary.create() for _ in range(4)]
        await diary.share(shared, BOB)
        await diary.share(unshared, BOB)
        async with diary.runtime():
            await eventually(diary.is_settled)
            await diary.unshare(unshared, BOB)
            await diary.delete(deleted)
            await eventually(diary.is_settled)

        assert await diary.all_tuples() == {
            owner_tuple(kept, ALICE),
            owner_tuple(shared, ALICE),
            owner_tuple(unshared, ALICE),
            viewer_tuple(shared, Grantee(BOB)),
        }
        assert set(await diary.statuses()) == {"SUCCESS"}


async def test_a_tombstone_goes_when_its_tuples_are_gone(database_url: str) -> None:
    async with open_diary(database_url) as diary:
        entry_id = await diary.create()
        await diary.delete(entry_id)
        async with diary.runtime():
            await eventually(diary.is_settled)

        assert await diary.query("select entry_id from diary.entry_permission") == []


async def test_one_workflow_settles_a_batch_of_entries(database_url: str) -> None:
    async with open_diary(database_url) as diary:
        entry_ids = tuple(EntryId(uuid4()) for _ in range(20))
        async with diary.store.unit_of_work() as unit:
            for entry_id in entry_ids:
                await add_entry(unit, entry_id)
            await unit.workflows.enqueue(
                PermissionChange("grant_ownership", entry_ids, repetition="batch")
            )
        await diary.query(
            "delete from dbos.workflow_status where workflow_uuid not like %s", "%:batch"
        )
        async with diary.runtime():
            await eventually(diary.is_settled)

        assert await diary.all_tuples() == {owner_tuple(entry_id, ALICE) for entry_id in entry_ids}
        assert await diary.statuses() == ["SUCCESS"]


async def test_an_unknown_entry_wants_nothing_and_is_no_error(database_url: str) -> None:
    async with open_diary(database_url) as diary:
        async with diary.store.unit_of_work() as unit:
            await unit.workflows.enqueue(PermissionChange("grant_ownership", (EntryId(uuid4()),)))
        async with diary.runtime():
            await eventually(diary.is_settled)

        assert await diary.statuses() == ["SUCCESS"]
        assert await diary.all_tuples() == set()


async def test_a_share_with_somebody_who_does_not_exist_is_not_granted(database_url: str) -> None:
    async with open_diary(database_url) as diary:
        entry_id = await diary.create()
        await diary.share(entry_id, BOB)
        await diary.query("delete from diary.agent where name = %s", BOB)
        async with diary.runtime():
            await eventually(diary.is_settled)

        assert await diary.all_tuples() == {owner_tuple(entry_id, ALICE)}


async def test_a_finished_id_never_runs_again(database_url: str) -> None:
    async with open_diary(database_url) as diary:
        entry_id = await diary.create()
        async with diary.runtime():
            await eventually(diary.is_settled)
            calls = await diary.calls(entry_id)
            async with diary.store.unit_of_work() as unit:
                await unit.workflows.enqueue(PermissionChange("grant_ownership", (entry_id,)))
            # Whatever comes after it has been run: so the repeated one would have been, too.
            await diary.create()
            await eventually(diary.is_settled)

        assert await diary.statuses() == ["SUCCESS", "SUCCESS"]
        assert await diary.calls(entry_id) == calls


async def test_no_workflow_ever_sees_an_entry_that_is_not_committed(database_url: str) -> None:
    async with open_diary(database_url) as diary, diary.runtime():
        entry_id = EntryId(uuid4())
        async with diary.store.unit_of_work() as unit:
            await add_entry(unit, entry_id, ALICE)
            later = await diary.create(BOB)
            await eventually(lambda: diary.query("select 1 from diary.relation_tuple"))
            early = await diary.all_tuples()
        await eventually(diary.is_settled)

        assert early == {owner_tuple(later, BOB)}
        assert await diary.all_tuples() == {owner_tuple(entry_id, ALICE), owner_tuple(later, BOB)}


async def test_a_storm_of_shares_and_replays_leaves_the_tuples_that_the_rows_want(
    database_url: str,
) -> None:
    random.seed(7)
    readers = [AgentName(f"reader{number}") for number in range(4)]
    async with open_diary(database_url) as diary, diary.runtime():
        entry_ids = [await diary.create() for _ in range(3)]

        async def change(reader: AgentName) -> None:
            for _ in range(6):
                entry_id = random.choice(entry_ids)
                await random.choice([diary.share, diary.unshare])(entry_id, reader)
                # The same entry settled once more, out of order and beside the workflow.
                await diary.settle([entry_id])

        async with anyio.create_task_group() as changes:
            for reader in readers:
                changes.start_soon(change, reader)
        await eventually(diary.is_settled)

        assert await diary.all_tuples() == await diary.wanted_tuples()
        assert await diary.query("select 1 from public.backend_call where not alone") == []
