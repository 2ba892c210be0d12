"""What becomes of the work of a process that dies, stops, or only loses its connection."""

import asyncio
import os
import signal
from dataclasses import replace

import anyio
import pytest

from diary_mcp.domain.relations import owner_tuple
from diary_mcp.store.takeover import PostgresExecutors
from support.dbos_processes import claim
from support.workflows import (
    ALICE,
    QUICK,
    Diary,
    eventually,
    open_diary,
    other_process,
)

pytestmark = pytest.mark.anyio

ONE_RUN = ["list", "patch"]


async def executor_backends(diary: Diary) -> set[object]:
    """The server processes on which an executor gives its sign of life."""
    rows = await diary.query(
        "select pid from pg_locks join pg_stat_activity using (pid)"
        " where locktype = 'advisory' and granted and application_name = 'diary-mcp executor'"
        " and datname = current_database()"
    )
    return {pid for (pid,) in rows}


async def test_work_of_a_killed_process_is_done_by_another_within_seconds(
    database_url: str,
) -> None:
    async with open_diary(database_url) as diary:
        with other_process(database_url, stalls=True) as other:
            entry_id = await diary.create()
            await eventually(lambda: diary.calls(entry_id))
            async with diary.runtime():
                os.kill(other.process.pid, signal.SIGKILL)
                await eventually(diary.is_settled)

        assert await diary.all_tuples() == {owner_tuple(entry_id, ALICE)}
        assert await diary.statuses() == ["SUCCESS"]


async def test_a_stopped_process_keeps_its_work(database_url: str) -> None:
    async with (
        open_diary(database_url) as diary,
        PostgresExecutors(database_url).living("watcher") as watcher,
    ):
        with other_process(database_url, stalls=True) as other:
            entry_id = await diary.create()
            await eventually(lambda: diary.calls(entry_id))
            os.kill(other.process.pid, signal.SIGSTOP)

            taken = [await watcher.take_over() for _ in range(5)]
            os.kill(other.process.pid, signal.SIGCONT)
            other.let_answer()
            await eventually(diary.is_settled)

        assert taken == [[]] * 5
        assert await diary.calls(entry_id) == ONE_RUN


async def test_a_process_that_loses_its_sign_of_life_gives_it_again_and_keeps_its_work(
    database_url: str,
) -> None:
    async with open_diary(database_url) as diary, diary.runtime():
        diary.tuples.answers.clear()
        entry_id = await diary.create()
        await eventually(lambda: diary.calls(entry_id))
        before = await executor_backends(diary)
        await diary.query("select pg_terminate_backend(%s)", *before)

        async def lives_again() -> bool:
            return bool(await executor_backends(diary) - before)

        await eventually(lives_again)
        async with PostgresExecutors(database_url).living("watcher") as watcher:
            taken = [await watcher.take_over() for _ in range(3)]
        diary.tuples.answers.set()
        await eventually(diary.is_settled)

        assert taken == [[]] * 3
        assert await diary.calls(entry_id) == ONE_RUN


async def test_a_sign_of_life_is_given_again_while_postgresql_still_holds_the_lost_one(
    database_url: str,
) -> None:
    executors = PostgresExecutors(database_url)
    async with open_diary(database_url) as diary, executors.living("watcher") as watcher:
        await claim(diary, await diary.create(), "cut off")
        async with executors.living("cut off"):
            with anyio.fail_after(2):
                async with executors.living("cut off") as again:
                    taken = [await watcher.take_over() for _ in range(3)]
                    handed_back = await again.hand_back(after_s=0)

        assert taken == [[]] * 3
        assert len(handed_back) == 1


async def test_work_that_a_process_has_dropped_is_handed_back_whatever_the_clock_says(
    database_url: str,
) -> None:
    async with (
        open_diary(database_url) as diary,
        PostgresExecutors(database_url).living("this") as executor,
    ):
        dropped, running = await diary.create(), await diary.create()
        await claim(diary, dropped, "this")
        await claim(diary, running, "this")
        # Claimed before the clock was set back by two days.
        await diary.query(
            "update dbos.workflow_status"
            " set started_at_epoch_ms = (extract(epoch from now()) + 2 * 86400) * 1000"
            " where status = 'PENDING'"
        )
        at_work = [f"grant_ownership:{running}:1"]

        at_once = await executor.hand_back(running=at_work, after_s=0.2)
        await asyncio.sleep(0.2)
        later = await executor.hand_back(running=at_work, after_s=0.2)

        assert (at_once, later) == ([], [f"grant_ownership:{dropped}:1"])


async def test_a_claim_is_not_taken_for_the_one_before_it(database_url: str) -> None:
    async with (
        open_diary(database_url) as diary,
        PostgresExecutors(database_url).living("this") as executor,
    ):
        entry_id = await diary.create()
        await claim(diary, entry_id, "this")
        await executor.hand_back(after_s=0.2)
        await asyncio.sleep(0.2)
        await claim(diary, entry_id, "this")
        await diary.query("update dbos.workflow_status set started_at_epoch_ms = 2000")

        assert await executor.hand_back(after_s=0.2) == []


async def test_an_executor_is_dead_when_it_is_silent_twice_in_a_row(database_url: str) -> None:
    async with (
        open_diary(database_url) as diary,
        PostgresExecutors(database_url).living("watcher") as watcher,
    ):
        entry_id = await diary.create()
        await claim(diary, entry_id, "gone")

        first = await watcher.take_over()
        second = await watcher.take_over()

        assert first == []
        assert second == [f"grant_ownership:{entry_id}:1"]
        assert await diary.statuses() == ["ENQUEUED"]


async def test_an_executor_that_gives_its_sign_in_between_is_not_dead(database_url: str) -> None:
    async with (
        open_diary(database_url) as diary,
        PostgresExecutors(database_url).living("watcher") as watcher,
    ):
        await claim(diary, await diary.create(), "gone")

        await watcher.take_over()
        async with PostgresExecutors(database_url).living("gone"):
            await watcher.take_over()

            async def is_silent() -> bool:
                return len(await executor_backends(diary)) == 1

        await eventually(is_silent)

        assert await watcher.take_over() == []
        assert await diary.statuses() == ["PENDING"]


async def test_after_its_own_silence_a_process_gives_the_others_time(database_url: str) -> None:
    async with (
        open_diary(database_url) as diary,
        PostgresExecutors(database_url).living("watcher") as watcher,
    ):
        await claim(diary, await diary.create(), "gone")
        await watcher.take_over()

        await watcher.announce()

        assert await watcher.take_over() == []


async def test_finished_and_waiting_work_of_a_dead_process_is_left_alone(
    database_url: str,
) -> None:
    async with (
        open_diary(database_url) as diary,
        PostgresExecutors(database_url).living("watcher") as watcher,
    ):
        await claim(diary, await diary.create(), "gone")
        await diary.query("update dbos.workflow_status set status = 'SUCCESS'")

        taken = [await watcher.take_over() for _ in range(3)]

        assert taken == [[]] * 3
        assert await diary.statuses() == ["SUCCESS"]


async def test_a_process_that_ends_leaves_its_work_to_the_others_at_once(
    database_url: str,
) -> None:
    async with open_diary(database_url) as diary:
        async with diary.runtime():
            diary.tuples.answers.clear()
            entry_id = await diary.create()
            await eventually(lambda: diary.calls(entry_id))
        statuses = await diary.statuses()
        diary.tuples.answers.set()
        async with diary.runtime():
            await eventually(diary.is_settled)

        assert statuses == ["ENQUEUED"]
        assert await diary.all_tuples() == {owner_tuple(entry_id, ALICE)}


async def test_work_whose_end_could_not_be_recorded_is_picked_up_by_its_own_process(
    database_url: str,
) -> None:
    intervals = replace(QUICK, orphaned_after_s=1)
    async with open_diary(database_url) as diary, diary.runtime(intervals=intervals):
        await diary.query(
            "create function public.refuse() returns trigger language plpgsql"
            " as 'begin raise exception ''not now''; end'"
        )
        await diary.query(
            "create trigger refuse before insert on dbos.workflow_output"
            " execute function public.refuse()"
        )
        entry_id = await diary.create()
        await eventually(
            lambda: diary.query("select 1 from dbos.workflow_status where recovery_attempts > 1")
        )
        await diary.query("drop trigger refuse on dbos.workflow_output")
        # Which end is recorded depends on the moment: having failed to record success, DBOS
        # tries to record that failure.
        await eventually(diary.is_settled)

        assert await diary.all_tuples() == {owner_tuple(entry_id, ALICE)}


async def test_a_process_does_not_give_up_what_it_still_runs(database_url: str) -> None:
    intervals = replace(QUICK, takeover_s=0.02, orphaned_after_s=1)
    async with open_diary(database_url) as diary, diary.runtime(intervals=intervals):
        diary.tuples.answers.clear()
        entry_id = await diary.create()
        await eventually(lambda: diary.calls(entry_id))

        scans: set[object] = set()

        async def scanned_often() -> bool:
            scans.update(
                await diary.query(
                    "select query_start from pg_stat_activity, dbos.workflow_status"
                    " where pg_stat_activity.application_name = 'diary-mcp executor'"
                    " and datname = current_database()"
                    " and started_at_epoch_ms < extract(epoch from query_start) * 1000 - 1500"
                )
            )
            return len(scans) > 3

        await eventually(scanned_often)

        assert await diary.statuses() == ["PENDING"]
        assert await diary.calls(entry_id) == ["list"]
        diary.tuples.answers.set()
        await eventually(diary.is_settled)
        assert await diary.all_tuples() == {owner_tuple(entry_id, ALICE)}


async def test_two_processes_never_settle_one_entry_at_the_same_time(database_url: str) -> None:
    waiting = "select 1 from pg_locks where locktype = 'advisory' and not granted and database ="
    waiting += " (select oid from pg_database where datname = current_database())"
    async with open_diary(database_url) as diary:
        entry_id = await diary.create()

        async def is_at_it() -> bool:
            return await diary.calls(entry_id) == ["list"]

        async def is_waited_for() -> bool:
            return await diary.query(waiting) != []

        with other_process(database_url, stalls=True) as other:
            await eventually(is_at_it)
            async with anyio.create_task_group() as here:
                here.start_soon(diary.settle, [entry_id])
                await eventually(is_waited_for)
                assert await diary.calls(entry_id) == ["list"]
                other.let_answer()
            await eventually(diary.is_settled)

        assert await diary.all_tuples() == {owner_tuple(entry_id, ALICE)}
        assert await diary.query("select 1 from public.backend_call where not alone") == []
