"""The runtime starts, ends and starts again, and its chores outlive their failures."""

import asyncio
import logging
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from uuid import uuid4

import anyio
import pytest

from diary_mcp.domain.errors import DatabaseUnavailableError
from diary_mcp.domain.fields import EntryId
from diary_mcp.domain.relations import owner_tuple
from diary_mcp.service.ports.workflows import PollRate, PollRates
from diary_mcp.store.workflow_queue import check_workflow_schema
from diary_mcp.workflows.dbos_process import DbosProcess, migrate_dbos
from diary_mcp.workflows.ports import RuntimeStore, Sweep, Work
from diary_mcp.workflows.runtime import workflow_runtime
from support.workflows import (
    ALICE,
    BOB,
    QUICK,
    Diary,
    add_entry,
    connect_to,
    eventually,
    open_diary,
    other_process,
)

pytestmark = pytest.mark.anyio

IDLE, BUSY, BURST = PollRate(0.2, 2), PollRate(0.05, 4), PollRate(0.2, 1)
PACED = replace(QUICK, poll_rates=PollRates(IDLE, BUSY, BURST))
NOWHERE = "postgresql://nobody@127.0.0.1:1/nothing"


def runtime_store(diary: Diary, sweep: Sweep | None = None) -> RuntimeStore:
    return RuntimeStore(diary.executors, sweep or diary.sweep, diary.housekeeping)


async def test_a_launch_without_a_database_fails_clearly_and_can_be_tried_again(
    database_url: str,
) -> None:
    async with open_diary(database_url) as diary:
        diary.database_url = NOWHERE
        with pytest.raises(DatabaseUnavailableError):
            await diary.runtime().__aenter__()

        diary.database_url = database_url
        entry_id = await diary.create()
        async with diary.runtime():
            await eventually(diary.is_settled)

        assert await diary.all_tuples() == {owner_tuple(entry_id, ALICE)}


async def test_queues_that_were_taken_away_are_there_again_with_the_next_launch(
    database_url: str,
) -> None:
    async with open_diary(database_url) as diary:
        dbos = DbosProcess(connect_to(database_url))
        for _ in range(2):
            await diary.create()
            await diary.query("delete from dbos.queues")
            async with workflow_runtime(
                dbos, runtime_store(diary), Work(diary.settle), intervals=QUICK
            ):
                await eventually(diary.is_settled)


async def test_dbos_that_cannot_be_launched_is_a_database_that_is_unavailable(
    database_url: str,
) -> None:
    async with open_diary(database_url) as diary:
        runtime = workflow_runtime(
            DbosProcess(connect_to(NOWHERE)), runtime_store(diary), Work(diary.settle)
        )
        with pytest.raises(DatabaseUnavailableError, match="DBOS"):
            await runtime.__aenter__()

        async with diary.runtime():
            await diary.create()
            await eventually(diary.is_settled)


async def test_the_options_of_a_url_are_kept(database_url: str) -> None:
    async with open_diary(database_url) as diary:
        diary.database_url = f"{database_url}&options=-c%20diary.mark%3Dkept"
        async with diary.runtime():
            entry_id = await diary.create()
            await eventually(diary.is_settled)

        diary.database_url = f"{database_url}&options=-c%20no.such%20option"
        with pytest.raises(DatabaseUnavailableError, match=r"no\.such"):
            await diary.runtime().__aenter__()

        assert await diary.all_tuples() == {owner_tuple(entry_id, ALICE)}


async def test_a_process_can_launch_it_again_as_another_executor(database_url: str) -> None:
    async with open_diary(database_url) as diary:
        executor_ids: list[str] = []
        for _ in range(3):
            async with diary.runtime() as executor_id:
                executor_ids.append(executor_id)
                await diary.create()
                await eventually(diary.is_settled)

        assert len(set(executor_ids)) == 3
        assert await diary.statuses() == ["SUCCESS"] * 3


async def test_a_process_can_launch_it_again_while_the_last_one_is_still_ending(
    database_url: str,
) -> None:
    not_waiting = replace(QUICK, stop_s=0)
    async with open_diary(database_url) as diary:
        for _ in range(3):
            async with diary.runtime(intervals=not_waiting):
                await diary.create()
                await eventually(diary.is_settled)

        assert await diary.statuses() == ["SUCCESS"] * 3


async def test_it_ends_quickly_and_silently_with_work_in_flight(
    database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_diary(database_url) as diary:
        diary.tuples.answers.clear()
        async with AsyncExitStack() as stack:
            # It may take a minute to stop, and does not.
            await stack.enter_async_context(diary.runtime(intervals=replace(QUICK, stop_s=60)))
            for _ in range(8):
                await diary.create()
            await eventually(
                lambda: diary.query("select 1 from public.backend_call having count(*) = 8")
            )
            with anyio.fail_after(30):
                await stack.aclose()

        assert await diary.statuses() == ["ENQUEUED"] * 8
        assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


async def test_the_loop_can_still_use_threads_and_look_up_hosts_afterwards(
    database_url: str,
) -> None:
    async with open_diary(database_url) as diary:
        async with diary.runtime():
            await diary.create()
            await eventually(diary.is_settled)

        assert await anyio.to_thread.run_sync(lambda: "run") == "run"
        assert await anyio.getaddrinfo("localhost", 1)


async def test_nothing_is_written_to_stdout(database_url: str) -> None:
    async with open_diary(database_url) as diary:
        with other_process(database_url) as other:
            await diary.create()
            await eventually(diary.is_settled)

            assert other.end() == ""
            assert other.process.returncode == 0


class FlakySweep:
    def __init__(self, *faults: Exception) -> None:
        self.faults = list(faults)
        self.done = anyio.Event()

    async def sweep(self) -> int:
        if self.faults:
            raise self.faults.pop(0)
        self.done.set()
        return 0


async def is_paced(diary: Diary, poll_rate: PollRate) -> bool:
    query = (
        "select polling_interval_sec, worker_concurrency from dbos.queues"
        " where name = 'permissions'"
    )
    return await diary.query(query) == [(poll_rate.interval_s, poll_rate.at_once)]


async def count_waiting(diary: Diary) -> int:
    query = (
        "select 1 from dbos.workflow_status"
        " where queue_name = 'permissions' and status = 'ENQUEUED'"
    )
    return len(await diary.query(query))


async def make_many_changes(diary: Diary) -> None:
    """At once: how quickly this machine makes them one by one is all the same."""
    entry_ids = [EntryId(uuid4()) for _ in range(60)]
    async with diary.store.unit_of_work() as unit:
        for entry_id in entry_ids:
            await add_entry(unit, entry_id)
    await diary.settle(entry_ids)


async def knows_the_queue(diary: Diary) -> bool:
    """Whether PostgreSQL has counted what is on the queue while it was there."""
    query = (
        "select 'ENQUEUED' = any(most_common_vals::text::text[]) from pg_stats"
        " where schemaname = 'dbos' and tablename = 'workflow_status' and attname = 'status'"
    )
    return await diary.query(query) == [(True,)]


async def test_the_queue_is_polled_more_often_while_changes_wait_in_it(database_url: str) -> None:
    async with open_diary(database_url) as diary, diary.runtime(intervals=PACED):
        await eventually(lambda: is_paced(diary, IDLE))
        diary.tuples.answers.clear()
        entry_id = await diary.create()
        await diary.share(entry_id, BOB)
        await eventually(lambda: is_paced(diary, BUSY))

        diary.tuples.answers.set()
        await eventually(diary.is_settled)
        await eventually(lambda: is_paced(diary, IDLE))


async def test_workflows_of_settled_entries_wait_while_many_changes_are_made_and_not_after_it(
    database_url: str,
) -> None:
    async with open_diary(database_url) as diary, diary.runtime(intervals=PACED):

        async def are_many_left_to_wait() -> bool:
            # More than a slow machine gets done would wait too long to be left to wait.
            if await count_waiting(diary) == 0:
                await make_many_changes(diary)
            return await is_paced(diary, BURST) and await count_waiting(diary) > 20

        await eventually(are_many_left_to_wait)
        await diary.query("analyze dbos.workflow_status")
        assert await knows_the_queue(diary)

        await eventually(lambda: is_paced(diary, BUSY))
        await eventually(lambda: is_paced(diary, IDLE))

        async def is_empty() -> bool:
            return await count_waiting(diary) == 0

        await eventually(is_empty)


async def test_a_sweep_that_failed_is_tried_again(database_url: str) -> None:
    sweep = FlakySweep(DatabaseUnavailableError("away"), ZeroDivisionError())
    async with open_diary(database_url) as diary:
        runtime = workflow_runtime(
            DbosProcess(connect_to(database_url)),
            runtime_store(diary, sweep),
            Work(diary.settle),
            intervals=replace(QUICK, sweep_s=0.01),
        )
        async with runtime:
            with anyio.fail_after(60):
                await sweep.done.wait()


class DeafSweep:
    """Misses that it is called off, as `asyncio.wait_for` of Python 3.11 sometimes does."""

    def __init__(self) -> None:
        self.begun = anyio.Event()

    async def sweep(self) -> int:
        self.begun.set()
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(60)
        return 0


async def test_it_ends_also_where_a_chore_misses_that_it_is_called_off(database_url: str) -> None:
    sweep = DeafSweep()
    async with open_diary(database_url) as diary:
        runtime = workflow_runtime(
            DbosProcess(connect_to(database_url)),
            runtime_store(diary, sweep),
            Work(diary.settle),
            intervals=replace(QUICK, sweep_s=60),
        )
        with anyio.fail_after(60):
            async with runtime:
                await sweep.begun.wait()


async def test_dbos_can_be_migrated_beside_others_and_again(database_url: str) -> None:
    async with open_diary(database_url) as diary:
        await diary.query("drop schema dbos cascade")
        async with diary.database.connection() as connection:
            before = await check_workflow_schema(connection)

        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(anyio.to_thread.run_sync, migrate_dbos, connect_to(database_url))
        async with diary.database.connection() as connection:
            after = await check_workflow_schema(connection)

        assert (before, after) == (False, True)


async def test_migrating_dbos_without_a_database_fails_clearly() -> None:
    with pytest.raises(DatabaseUnavailableError, match="DBOS"):
        await anyio.to_thread.run_sync(migrate_dbos, connect_to(NOWHERE))
