"""The sweep finds what the queue has lost, and housekeeping removes what nobody needs."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import psycopg
import pytest
from dbos import DBOS, WorkflowHandleAsync

from diary_mcp.domain.diaries import DiaryName
from diary_mcp.domain.errors import PermissionBackendUnavailableError, PermissionRefusedError
from diary_mcp.domain.fields import EntryId, Grantee
from diary_mcp.domain.relations import diary_tuple, owner_tuple, parent_tuple, viewer_tuple
from diary_mcp.service.ports.workflows import PermissionChange
from diary_mcp.store.settlements import Backlog
from support.workflows import (
    ALICE,
    BOB,
    IMPATIENT,
    QUICK,
    Diary,
    add_entry,
    eventually,
    open_diary,
    raise_generation,
)

pytestmark = pytest.mark.anyio

LOSSES = {
    "failed": "update dbos.workflow_status set status = 'ERROR'",
    "cancelled": "update dbos.workflow_status set status = 'CANCELLED'",
    "deleted": "delete from dbos.workflow_status",
    "done but not settled": "update dbos.workflow_status set status = 'SUCCESS'",
}


async def test_what_the_queue_has_lost_is_found_under_a_clock_that_was_set_back(
    database_url: str,
) -> None:
    async with open_diary(database_url) as diary:
        await diary.create()
        await diary.query("delete from dbos.workflow_status")
        await age_changes(diary, -timedelta(hours=5))

        assert await diary.sweep.sweep() == 1


async def age_changes(diary: Diary, age: timedelta = timedelta(minutes=1)) -> None:
    await diary.query("update diary.entry_permission set changed_at = changed_at - %s", age)


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES.keys())
async def test_what_the_queue_has_lost_is_settled_after_a_sweep(
    database_url: str, loss: str
) -> None:
    async with open_diary(database_url) as diary:
        entry_id = await diary.create()
        await diary.share(entry_id, BOB)
        await diary.query(loss)
        await age_changes(diary)

        assert await diary.sweep.sweep() == 1
        async with diary.runtime():
            await eventually(diary.is_settled)

        assert await diary.all_tuples() == {
            owner_tuple(entry_id, ALICE),
            viewer_tuple(entry_id, Grantee(BOB)),
        }


async def test_of_very_many_workflows_of_one_entry_the_oldest_do_for_all(database_url: str) -> None:
    """Each runs at a poll of its own, and all of them do the same."""
    async with open_diary(database_url) as diary:
        entry_id, other = await diary.create(), await diary.create()
        for _ in range(15):
            await diary.share(entry_id, BOB)
            await diary.unshare(entry_id, BOB)
        await diary.share(entry_id, BOB)
        for each in (entry_id, other):
            batch = PermissionChange(
                "grant_ownership", (each, EntryId(uuid4())), 99, repetition="batch"
            )
            async with diary.store.unit_of_work() as unit:
                await unit.workflows.enqueue(batch)
        rename = "update dbos.workflow_status set name = %s where workflow_uuid = %s"
        unknown, claimed = f"grant_viewer:{entry_id}:30", f"revoke_viewer:{entry_id}:31"
        await diary.query(rename, "of_a_newer_version", unknown)

        with psycopg.connect(database_url) as dbos:
            claim = "select from dbos.workflow_status where workflow_uuid = %s for update"
            dbos.execute(claim, [claimed])
            await diary.sweep.sweep()

        waiting = await diary.query(
            "select workflow_uuid from dbos.workflow_status where status = 'ENQUEUED'"
        )
        ids = {str(workflow_id) for (workflow_id,) in waiting}
        assert len([each for each in ids if str(other) in each]) == 2
        assert len([each for each in ids if str(entry_id) in each]) == 10 + 3
        assert ids > {unknown, claimed, f"grant_ownership:{entry_id}:99:batch"}

        await diary.query(rename, "grant_viewer", unknown)
        async with diary.runtime():
            await eventually(diary.is_settled)
            superseded = f"grant_viewer:{entry_id}:32"
            ended: WorkflowHandleAsync[object] = await DBOS.retrieve_workflow_async(superseded)
            assert await ended.get_result() is None
        assert await diary.all_tuples() == {
            owner_tuple(entry_id, ALICE),
            owner_tuple(other, ALICE),
            viewer_tuple(entry_id, Grantee(BOB)),
        }


async def test_shares_that_expire_together_are_settled_together(database_url: str) -> None:
    async with open_diary(database_url) as diary:
        entry_ids = [await diary.create() for _ in range(60)]
        for entry_id in entry_ids:
            await diary.share(entry_id, BOB, datetime.now(UTC) + timedelta(hours=1))
        await diary.settle(entry_ids)
        await diary.query("delete from dbos.workflow_status")
        await diary.query("update diary.share set expires_at = now() - interval '1 second'")

        assert await diary.sweep.sweep() == 60

        # Not one for each: the queue runs so many in a second.
        assert await diary.statuses() == ["ENQUEUED"] * 3
        async with diary.runtime():
            await eventually(diary.is_settled)
        assert await diary.all_tuples() == {owner_tuple(each, ALICE) for each in entry_ids}


async def test_what_an_older_process_settles_of_an_entry_in_a_diary_does_not_count(
    database_url: str,
) -> None:
    """It takes the parent away, which it does not know; the sweep has it settled again."""
    async with open_diary(database_url) as diary:
        entry_id = await diary.create()
        await diary.settle([entry_id])
        async with diary.store.unit_of_work() as unit:
            diary_id = await unit.diaries.insert(DiaryName(ALICE, "team"))
            assert diary_id is not None
            generation = await raise_generation(unit, entry_id)
            await unit.entry_changes.move(entry_id, diary_id)
            await unit.workflows.enqueue(PermissionChange("move_entry", (entry_id,), generation))
        await diary.query("delete from dbos.workflow_status")
        # As the statement of that process was.
        await diary.query(
            "update diary.entry_permission set applied_generation = greatest("
            "applied_generation, generation), refusal = null where entry_id = %s",
            entry_id,
        )
        await age_changes(diary)

        assert await diary.sweep.sweep() == 1
        await diary.settle([entry_id, diary_id])

        assert await diary.all_tuples() == {
            owner_tuple(entry_id, ALICE),
            parent_tuple(entry_id, diary_id),
            diary_tuple(diary_id, "owner", ALICE),
        }
        assert (await diary.settlements.count_backlog()).pending == 0


async def test_a_lost_deletion_is_settled_after_a_sweep(database_url: str) -> None:
    async with open_diary(database_url) as diary:
        deleted = await diary.create()
        await diary.settle([deleted])
        await diary.delete(deleted)
        await diary.query("delete from dbos.workflow_status")
        await age_changes(diary)

        await diary.sweep.sweep()
        async with diary.runtime():
            await eventually(diary.is_settled)

        assert await diary.all_tuples() == set()
        assert await diary.query("select entry_id from diary.entry_permission") == []


async def test_a_workflow_that_gave_up_is_driven_again_by_the_runtime(database_url: str) -> None:
    intervals = replace(QUICK, sweep_s=0.05)
    async with open_diary(database_url) as diary:
        diary.tuples.fault = PermissionBackendUnavailableError("The backend is down.")
        async with diary.runtime(intervals=intervals, retries=IMPATIENT):
            entry_id = await diary.create()
            await eventually(
                lambda: diary.query("select 1 from dbos.workflow_status where status = 'ERROR'")
            )
            diary.tuples.fault = None
            await age_changes(diary)
            await eventually(diary.is_settled)

        assert await diary.all_tuples() == {owner_tuple(entry_id, ALICE)}


@pytest.mark.parametrize("status", ["ENQUEUED", "PENDING", "DELAYED"])
async def test_what_is_still_to_be_run_is_not_swept(database_url: str, status: str) -> None:
    async with open_diary(database_url) as diary:
        first, second = EntryId(uuid4()), EntryId(uuid4())
        async with diary.store.unit_of_work() as unit:
            await add_entry(unit, first)
            await add_entry(unit, second)
            await unit.workflows.enqueue(
                PermissionChange("grant_ownership", (first, second), repetition="batch")
            )
        await diary.query(
            "delete from dbos.workflow_status where workflow_uuid not like %s", "%:batch"
        )
        await diary.query("update dbos.workflow_status set status = %s", status)
        await age_changes(diary)

        assert await diary.sweep.sweep() == 0


async def test_a_young_change_is_not_swept(database_url: str) -> None:
    async with open_diary(database_url) as diary:
        await diary.create()
        await diary.query("delete from dbos.workflow_status")

        assert await diary.sweep.sweep() == 0


async def test_a_long_backlog_is_swept_in_changes_of_several_entries(database_url: str) -> None:
    async with open_diary(database_url) as diary:
        entry_ids = [await diary.create() for _ in range(30)]
        await diary.delete(entry_ids.pop())
        await diary.query("delete from dbos.workflow_status")
        await age_changes(diary)

        swept = await diary.sweep.sweep()
        workflows = await diary.query(
            "select name, count(*)::integer from dbos.workflow_status"
            " where queue_name = 'permissions' group by name order by name"
        )
        async with diary.runtime():
            await eventually(diary.is_settled)

        assert swept == 30
        assert workflows == [("grant_ownership", 2), ("remove_entry_relations", 1)]
        assert await diary.all_tuples() == {owner_tuple(entry_id, ALICE) for entry_id in entry_ids}


async def test_one_process_sweeps_at_a_time(database_url: str) -> None:
    async with open_diary(database_url) as diary:
        await diary.create()
        await diary.query("delete from dbos.workflow_status")
        await age_changes(diary)

        async with diary.database.transaction() as other:
            await other.execute(
                "select pg_advisory_xact_lock(hashtextextended('diary-mcp sweep', 0))"
            )
            beside = await diary.sweep.sweep()
        afterwards = await diary.sweep.sweep()

        assert (beside, afterwards) == (0, 1)


async def move_expiries(diary: Diary, moved: timedelta) -> None:
    """As if all clocks had been set back so far, or ahead where it is negative."""
    await diary.query("update diary.share set expires_at = expires_at + %s", moved)


async def test_an_expired_share_loses_its_tuple_and_nothing_else_does(database_url: str) -> None:
    async with open_diary(database_url) as diary:
        entry_id = await diary.create()
        await diary.share(entry_id, BOB, datetime.now(UTC) + timedelta(hours=1))
        await diary.share(entry_id, ALICE)
        async with diary.runtime():
            await eventually(diary.is_settled)
            before = await diary.all_tuples()
            await move_expiries(diary, -timedelta(hours=1))
            await diary.sweep.sweep()
            await eventually(diary.is_settled)

        assert before == await diary.all_tuples() | {viewer_tuple(entry_id, Grantee(BOB))}
        assert await diary.query("select grantee from diary.share where expired") == [(BOB,)]
        assert await diary.sweep.sweep() == 0
        assert await diary.query(
            "select name from dbos.workflow_status where workflow_uuid = %s",
            f"revoke_viewer:{entry_id}:4",
        ) == [("revoke_viewer",)]


async def test_what_was_done_under_a_wrong_clock_is_undone_under_a_right_one(
    database_url: str,
) -> None:
    async with open_diary(database_url) as diary:
        entry_id = await diary.create()
        await diary.share(entry_id, BOB, datetime.now(UTC) + timedelta(hours=1))
        async with diary.runtime():
            await eventually(diary.is_settled)
            await move_expiries(diary, -timedelta(days=2))
            await diary.sweep.sweep()
            await eventually(diary.is_settled)
            wrong = await diary.all_tuples()
            await move_expiries(diary, timedelta(days=2))
            await diary.sweep.sweep()
            await eventually(diary.is_settled)

        assert wrong == {owner_tuple(entry_id, ALICE)}
        assert await diary.all_tuples() == wrong | {viewer_tuple(entry_id, Grantee(BOB))}


async def test_what_the_rows_want_does_not_depend_on_the_clock(database_url: str) -> None:
    async with open_diary(database_url) as diary:
        entry_id = await diary.create()
        await diary.share(entry_id, BOB, datetime.now(UTC) + timedelta(hours=1))
        await move_expiries(diary, -timedelta(days=2))

        await diary.settle([entry_id])

        assert await diary.all_tuples() == {
            owner_tuple(entry_id, ALICE),
            viewer_tuple(entry_id, Grantee(BOB)),
        }


async def test_a_share_that_has_expired_can_be_given_again(database_url: str) -> None:
    async with open_diary(database_url) as diary:
        entry_id = await diary.create()
        await diary.share(entry_id, BOB, datetime.now(UTC))
        await diary.sweep.sweep()
        await diary.share(entry_id, BOB)

        await diary.settle([entry_id])

        assert await diary.all_tuples() == await diary.wanted_tuples()
        assert len(await diary.all_tuples()) == 2


async def test_a_refusal_is_kept_on_the_entry_and_tried_again_only_after_a_while(
    database_url: str,
) -> None:
    async with open_diary(database_url) as diary:
        diary.tuples.fault = PermissionRefusedError("No such namespace.")
        async with diary.runtime():
            entry_id = await diary.create()
            await eventually(
                lambda: diary.query(
                    "select 1 from diary.entry_permission where refusal = 'No such namespace.'"
                )
            )
            backlog = await diary.settlements.count_backlog()
            await age_changes(diary)
            soon = await diary.sweep.sweep()
            diary.tuples.fault = None
            await age_changes(diary, timedelta(hours=1))
            later = await diary.sweep.sweep()
            await eventually(diary.is_settled)

        assert backlog == Backlog(0, timedelta(), 1)
        assert (soon, later) == (0, 1)
        assert await diary.all_tuples() == {owner_tuple(entry_id, ALICE)}
        assert await diary.settlements.count_backlog() == Backlog(0, timedelta(), 0)


async def test_one_refused_entry_does_not_keep_its_batch_from_settling(database_url: str) -> None:
    async with open_diary(database_url) as diary:
        refused, settled = await diary.create(), await diary.create()
        diary.tuples.refused = refused

        with pytest.raises(PermissionRefusedError):
            await diary.settle([refused, settled])

        assert await diary.all_tuples() == {owner_tuple(settled, ALICE)}
        assert (await diary.settlements.count_backlog()).refused == 1


async def test_pending_is_what_is_not_settled_yet(database_url: str) -> None:
    async with open_diary(database_url) as diary:
        await diary.create()
        await age_changes(diary)
        await diary.settle([await diary.create()])

        backlog = await diary.settlements.count_backlog()

        assert (backlog.pending, backlog.refused) == (1, 0)
        assert timedelta(minutes=1) <= backlog.longest_wait < timedelta(minutes=2)


async def test_housekeeping_removes_old_finished_workflows_from_all_four_tables(
    database_url: str,
) -> None:
    tables = ("workflow_status", "workflow_input", "workflow_output", "operation_outputs")

    async def ids(diary: Diary) -> list[set[object]]:
        return [
            {
                row[0]
                for row in await diary.query(f"select workflow_uuid from dbos.{table}")
                if ":" in str(row[0])
            }
            for table in tables
        ]

    async with open_diary(database_url) as diary:
        async with diary.runtime():
            old, young = await diary.create(), await diary.create()
            await eventually(diary.is_settled)
        waiting = await diary.create()
        await diary.query(
            "update dbos.workflow_status set created_at = created_at - 8::bigint * 86400000,"
            " completed_at = completed_at - 8::bigint * 86400000 where queue_partition_key <> %s",
            str(young),
        )
        before = await ids(diary)

        removed = await diary.housekeeping.tidy()

        assert removed == 1
        assert before[3] == {f"grant_ownership:{old}:1", f"grant_ownership:{young}:1"}
        kept, unfinished = f"grant_ownership:{young}:1", f"grant_ownership:{waiting}:1"
        assert await ids(diary) == [{kept, unfinished}, {kept, unfinished}, {kept}, {kept}]


async def test_housekeeping_forgets_create_calls_of_long_ago(database_url: str) -> None:
    async with open_diary(database_url) as diary:
        await diary.query(
            "insert into diary.create_request"
            " (agent, idempotency_key, arguments_hash, entry_id, created_at)"
            " values ('alice', 'old', '', %s, now() - interval '8 days'),"
            " ('alice', 'young', '', %s, now() - interval '6 days')",
            uuid4(),
            uuid4(),
        )

        await diary.housekeeping.tidy()

        assert await diary.query("select idempotency_key from diary.create_request") == [("young",)]
