"""A workflow finds by a look, without locks, that what it was for is settled already."""

import anyio
import pytest

from diary_mcp.domain.errors import PermissionRefusedError
from diary_mcp.domain.fields import EntryId
from diary_mcp.service.sharing.settlement import is_settled
from support.workflows import BOB, Diary, open_diary

pytestmark = pytest.mark.anyio


async def looks_settled(diary: Diary, entry_id: EntryId) -> bool:
    return await is_settled([entry_id], diary.settlements, diary.tuples)


async def test_only_what_is_recorded_as_settled_is(database_url: str) -> None:
    async with open_diary(database_url) as diary:
        entry_id = await diary.create()
        assert not await looks_settled(diary, entry_id)

        await diary.settle([entry_id])
        assert await looks_settled(diary, entry_id)

        await diary.share(entry_id, BOB)
        assert not await looks_settled(diary, entry_id)


async def test_tuples_that_agree_are_not_enough_where_nothing_is_recorded(
    database_url: str,
) -> None:
    """As after a process that was killed between writing them and recording it."""
    async with open_diary(database_url) as diary:
        entry_id = await diary.create()
        await diary.settle([entry_id])
        await diary.query("update diary.entry_permission set generation = generation + 1")

        assert await diary.all_tuples() == await diary.wanted_tuples()
        assert not await looks_settled(diary, entry_id)


async def test_a_tuple_that_nobody_wants_is_seen_and_one_that_is_missing(database_url: str) -> None:
    async with open_diary(database_url) as diary:
        entry_id = await diary.create()
        await diary.settle([entry_id])
        await diary.query("update diary.relation_tuple set subject_id = 'somebody'")
        assert not await looks_settled(diary, entry_id)

        await diary.query("delete from diary.relation_tuple")
        assert not await looks_settled(diary, entry_id)


async def test_what_is_deleted_is_left_to_who_removes_what_is_left_of_it(database_url: str) -> None:
    async with open_diary(database_url) as diary:
        entry_id = await diary.create()
        await diary.settle([entry_id])
        await diary.delete(entry_id)
        await diary.query("update diary.entry_permission set applied_generation = generation")

        assert not await looks_settled(diary, entry_id)


async def test_a_refusal_is_left_to_who_keeps_its_reason(database_url: str) -> None:
    async with open_diary(database_url) as diary:
        entry_id = await diary.create()
        await diary.settle([entry_id])
        diary.tuples.fault = PermissionRefusedError("Not today.")

        assert not await looks_settled(diary, entry_id)


async def test_nobody_who_settles_is_waited_for(database_url: str) -> None:
    async with open_diary(database_url) as diary:
        entry_id = await diary.create()
        await diary.settle([entry_id])
        async with diary.settlements.lock_relations([entry_id]):
            with anyio.fail_after(30):
                assert await looks_settled(diary, entry_id)
