"""One workflow looks for many: what is settled needs no run of its own."""

from collections.abc import Collection
from uuid import uuid4

import anyio
import pytest

from diary_mcp.domain.errors import PermissionBackendUnavailableError
from diary_mcp.domain.fields import EntryId
from diary_mcp.domain.relations import RelationTuple
from diary_mcp.service.ports.workflows import PermissionChange
from diary_mcp.service.sharing.common_look import CommonLook
from diary_mcp.service.sharing.settlement import settle
from support.workflows import BOB, Diary, TupleTable, open_diary

pytestmark = pytest.mark.anyio


def look(diary: Diary) -> CommonLook:
    return CommonLook(diary.settle, diary.settlements, diary.tuples)


async def list_ended(diary: Diary) -> set[str]:
    rows = await diary.query(
        "select workflow_uuid from dbos.workflow_status where status='SUCCESS'"
    )
    return {str(workflow_id) for (workflow_id,) in rows}


async def begin(diary: Diary, entry_id: EntryId) -> None:
    """As when an executor claims the entry's workflow."""
    await diary.query(
        "update dbos.workflow_status set status = 'PENDING' where queue_partition_key = %s",
        str(entry_id),
    )


async def create_settled(diary: Diary) -> EntryId:
    entry_id = await diary.create()
    await diary.settle([entry_id])
    return entry_id


async def test_workflows_of_settled_entries_end_with_the_first_that_looks(
    database_url: str,
) -> None:
    async with open_diary(database_url) as diary:
        created, shared, own = [await create_settled(diary) for _ in range(3)]
        await diary.share(shared, BOB)
        await diary.settle([shared])
        await begin(diary, own)

        await look(diary).settle([own])

        assert await list_ended(diary) == {
            f"grant_ownership:{created}:1",
            f"grant_ownership:{shared}:1",
            f"grant_viewer:{shared}:2",
        }


async def test_what_is_not_settled_is_left_to_its_workflow(database_url: str) -> None:
    async with open_diary(database_url) as diary:
        own, settled, deleted, running = [await create_settled(diary) for _ in range(4)]
        await diary.delete(deleted)
        await diary.create()
        for entry_id in (own, running):
            await begin(diary, entry_id)
        await diary.share(running, BOB)
        await diary.settle([running])

        await look(diary).settle([own])

        assert await list_ended(diary) == {f"grant_ownership:{settled}:1"}


async def test_a_workflow_of_several_entries_runs(database_url: str) -> None:
    async with open_diary(database_url) as diary:
        first, second = [await create_settled(diary) for _ in range(2)]
        async with diary.store.unit_of_work() as unit:
            await unit.workflows.enqueue(
                PermissionChange("grant_ownership", (first, second), repetition="batch")
            )

        await look(diary).settle([EntryId(uuid4())])

        assert await list_ended(diary) == {
            f"grant_ownership:{first}:1",
            f"grant_ownership:{second}:1",
        }


async def test_where_the_backend_differs_from_settled_rows_each_workflow_looks_for_itself(
    database_url: str,
) -> None:
    async with open_diary(database_url) as diary:
        own, lost = [await create_settled(diary) for _ in range(2)]
        await diary.query("delete from diary.relation_tuple where object = %s", str(lost))

        await look(diary).settle([own])
        assert await list_ended(diary) == set()

        await look(diary).settle([lost])
        assert await diary.all_tuples() == await diary.wanted_tuples()


class ForgetfulTuples(TupleTable):
    """Answers a question about one entry, and seldom all of many."""

    async def list_entry_tuples(self, entry_ids: Collection[EntryId]) -> set[RelationTuple]:
        if len(entry_ids) > 1:
            raise PermissionBackendUnavailableError("No answer.")
        return await super().list_entry_tuples(entry_ids)


async def test_where_the_backend_cannot_tell_of_all_a_workflow_looks_for_its_own(
    database_url: str,
) -> None:
    async with open_diary(database_url) as diary:
        own, _ = [await create_settled(diary) for _ in range(2)]
        await begin(diary, own)
        await diary.query("delete from diary.relation_tuple where object = %s", str(own))
        forgetful = ForgetfulTuples(database_url)

        await CommonLook(
            lambda ids: settle(ids, diary.settlements, forgetful), diary.settlements, forgetful
        ).settle([own])

        assert await list_ended(diary) == set()
        assert await diary.all_tuples() == await diary.wanted_tuples()


async def test_of_those_that_run_at_once_one_looks_for_others(database_url: str) -> None:
    async with open_diary(database_url) as diary:
        first, second, waiting = [await create_settled(diary) for _ in range(3)]
        for entry_id in (first, second):
            await begin(diary, entry_id)
        looked_before = len(await diary.calls(waiting))
        one = look(diary)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(one.settle, [first])
            tasks.start_soon(one.settle, [second])

        assert len(await diary.calls(waiting)) == looked_before + 1


async def test_a_key_that_names_no_entry_keeps_nobody_from_settling(database_url: str) -> None:
    async with open_diary(database_url) as diary:
        own = await diary.create()
        await diary.query("update dbos.workflow_status set queue_partition_key = 'elsewhere'")

        await look(diary).settle([own])

        assert await diary.all_tuples() == await diary.wanted_tuples()


async def test_a_workflow_that_is_traced_runs(database_url: str) -> None:
    async with open_diary(database_url) as diary:
        traced, own = [await create_settled(diary) for _ in range(2)]
        await diary.query(
            "update dbos.workflow_input set inputs = replace(inputs, 'null]', %s)"
            " where workflow_uuid = %s",
            f'null, "00-{uuid4().hex}-{uuid4().hex[:16]}-01"]',
            f"grant_ownership:{traced}:1",
        )

        await look(diary).settle([own])

        assert await list_ended(diary) == {f"grant_ownership:{own}:1"}
