"""Whatever keeps a workflow from being run, what is unsettled for two minutes is settled anyway."""

from collections.abc import Sequence
from datetime import timedelta

import anyio
import pytest

from diary_mcp.domain.errors import (
    LocksLostError,
    PermissionBackendUnavailableError,
    PermissionRefusedError,
    UnansweredWriteError,
)
from diary_mcp.domain.fields import Grantee
from diary_mcp.domain.relations import owner_tuple, viewer_tuple
from diary_mcp.service.ports.workflows import RelatedId
from diary_mcp.service.sharing.overdue_settlement import OverdueSettlement
from diary_mcp.service.sharing.unanswered_writes import SecondLooks
from diary_mcp.store.takeover import PostgresExecutors
from support.clock import Clock
from support.dbos_processes import claim
from support.workflows import ALICE, BOB, Diary, eventually, open_diary

pytestmark = pytest.mark.anyio


def net(diary: Diary) -> OverdueSettlement:
    return OverdueSettlement(diary.settle, diary.settlements, interval_s=0.02)


async def change_at(diary: Diary, moved: timedelta) -> None:
    """As if every change had been made so much earlier or later."""
    await diary.query("update diary.entry_permission set changed_at = changed_at + %s", moved)


async def test_work_of_a_living_process_that_does_not_do_it_is_settled(database_url: str) -> None:
    async with (
        open_diary(database_url) as diary,
        PostgresExecutors(database_url).living("sleeper"),
    ):
        entry_id = await diary.create()
        await claim(diary, entry_id, "sleeper")
        await change_at(diary, -timedelta(minutes=3))

        settled = await net(diary).settle_overdue()

        assert settled == 1
        assert await diary.all_tuples() == {owner_tuple(entry_id, ALICE)}
        assert await diary.statuses() == ["PENDING"]


async def test_a_change_of_the_future_is_settled_as_a_clock_that_was_set_back_leaves_it(
    database_url: str,
) -> None:
    async with open_diary(database_url) as diary:
        entry_id = await diary.create()
        await change_at(diary, timedelta(hours=5))

        assert await net(diary).settle_overdue() == 1
        assert await diary.all_tuples() == {owner_tuple(entry_id, ALICE)}


async def test_what_is_young_or_refused_is_left_alone(database_url: str) -> None:
    async with open_diary(database_url) as diary:
        refused = await diary.create()
        diary.tuples.refused = refused
        with pytest.raises(PermissionRefusedError):
            await diary.settle([refused])
        await change_at(diary, -timedelta(minutes=3))
        await diary.create()

        assert await net(diary).settle_overdue() == 0
        assert await diary.all_tuples() == set()


async def test_an_entry_that_is_locked_does_not_keep_the_others(database_url: str) -> None:
    async with open_diary(f"{database_url}&options=-c%20lock_timeout%3D50ms") as diary:
        locked, refused, free = [await diary.create() for _ in range(3)]
        diary.tuples.refused = refused
        await change_at(diary, -timedelta(minutes=3))

        async with diary.settlements.lock_relations([locked]):
            settled = await net(diary).settle_overdue()

        assert settled == 2
        assert await diary.all_tuples() == {owner_tuple(free, ALICE)}


async def test_a_backend_that_is_down_is_asked_once_a_round(database_url: str) -> None:
    async with open_diary(database_url) as diary:
        diary.tuples.fault = PermissionBackendUnavailableError("down")
        for _ in range(30):
            await diary.create()
        await change_at(diary, -timedelta(minutes=3))

        with pytest.raises(PermissionBackendUnavailableError):
            await net(diary).settle_overdue()

        assert await diary.query("select distinct call from public.backend_call") == [("list",)]
        assert await diary.query("select count(*) from public.backend_call") == [(25,)]


async def test_what_it_wrote_when_it_had_lost_its_locks_is_looked_at_again(
    database_url: str,
) -> None:
    async with open_diary(database_url) as diary:
        entry_id = await diary.create()
        await change_at(diary, -timedelta(minutes=3))
        looked_at: list[Sequence[RelatedId]] = []

        async def settle(entry_ids: Sequence[RelatedId]) -> None:
            looked_at.append(entry_ids)
            # Another process has settled it by the time that this one notices.
            await diary.settle(entry_ids)
            if len(looked_at) < 3:
                raise LocksLostError("lost")

        overdue = OverdueSettlement(settle, diary.settlements)
        first = await overdue.settle_overdue()
        second = await overdue.settle_overdue()
        third = await overdue.settle_overdue()

        assert (first, second, third) == (0, 1, 0)
        assert looked_at == [[entry_id]] * 3


async def test_a_write_that_was_not_answered_and_is_done_late_is_undone(database_url: str) -> None:
    async with open_diary(database_url) as diary:
        entry_id = await diary.create()
        await diary.settle([entry_id])
        await diary.share(entry_id, BOB)
        clock = Clock()
        looks = SecondLooks(diary.settle, now=clock)
        diary.tuples.unanswered = PermissionBackendUnavailableError("no answer in time")
        with pytest.raises(UnansweredWriteError):
            await looks.settle([entry_id])
        diary.tuples.unanswered = None
        await diary.unshare(entry_id, BOB)
        await diary.settle([entry_id])
        await diary.tuples.patch(insert=[viewer_tuple(entry_id, Grantee(BOB))], delete=[])

        clock.now_s += 60
        overdue = OverdueSettlement(looks.settle, diary.settlements, list_due=looks.list_due)

        assert await overdue.settle_overdue() == 1
        assert await diary.all_tuples() == {owner_tuple(entry_id, ALICE)}


async def test_where_all_was_seen_to_be_settled_only_what_has_to_be_looked_at_again_is(
    database_url: str,
) -> None:
    async with open_diary(database_url) as diary:
        waiting, again = await diary.create(), await diary.create()
        await change_at(diary, -timedelta(minutes=3))

        overdue = OverdueSettlement(
            diary.settle,
            diary.settlements,
            list_due=lambda: [again],
            is_all_settled=lambda: True,
        )

        assert await overdue.settle_overdue() == 1
        assert await diary.all_tuples() == {owner_tuple(again, ALICE)}
        assert await net(diary).settle_overdue() == 1
        assert await diary.all_tuples() == {
            owner_tuple(again, ALICE),
            owner_tuple(waiting, ALICE),
        }


async def test_it_goes_on_for_as_long_as_it_runs_whatever_fails(database_url: str) -> None:
    async with open_diary(database_url) as diary, anyio.create_task_group() as tasks:
        diary.tuples.fault = ZeroDivisionError()
        await diary.create()
        await change_at(diary, -timedelta(minutes=3))
        tasks.start_soon(net(diary).run)
        asked_again = "select 1 from public.backend_call having count(*) > 1"
        await eventually(lambda: diary.query(asked_again))

        diary.tuples.fault = None
        await eventually(diary.all_tuples)
        tasks.cancel_scope.cancel()
