"""One process runs workflows, the others stand by, and come where work waits."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from uuid import uuid4

import anyio
import pytest

from diary_mcp.domain.errors import DatabaseUnavailableError
from diary_mcp.service.ports.workflows import QUEUES, Duty
from diary_mcp.store.takeover import PostgresStandby
from support.workflows import BOB, Diary, eventually, open_diary

pytestmark = pytest.mark.anyio


@pytest.fixture
async def diary(database_url: str) -> AsyncGenerator[Diary]:
    async with open_diary(database_url) as opened:
        yield opened


@asynccontextmanager
async def standby(diary: Diary, *, wait_s: float = 0.01) -> AsyncGenerator[PostgresStandby]:
    opened = PostgresStandby(diary.database_url, QUEUES, wait_s=wait_s)
    try:
        yield opened
    finally:
        await opened.close()


async def test_of_several_processes_one_watches_and_then_the_next(diary: Diary) -> None:
    async with standby(diary) as second:
        async with standby(diary) as first:
            assert [await first.look(), await second.look()] == ["watch", "rest"]
            assert [await first.look(), await second.look()] == ["watch", "rest"]

        async def is_next() -> bool:
            return await second.look() == "watch"

        # The first one's connection has its end a moment after it is closed.
        await eventually(is_next)


async def test_whoever_stands_by_wakes_as_the_one_goes(diary: Diary) -> None:
    async with standby(diary, wait_s=3600) as second:
        async with standby(diary) as first, anyio.create_task_group() as tasks:
            assert [await first.look(), await second.look()] == ["watch", "rest"]
            tasks.start_soon(second.rest)
            await eventually(partial(is_waiting, diary))

            await first.close()

        assert await second.look() == "watch"


async def test_whoever_stands_by_looks_again_though_the_one_is_there(diary: Diary) -> None:
    async with standby(diary) as first, standby(diary) as second:
        assert [await first.look(), await second.look()] == ["watch", "rest"]

        await second.rest()

        assert [await first.look(), await second.look()] == ["watch", "rest"]


async def test_where_there_is_work_nobody_waits_for_long(diary: Diary) -> None:
    async with standby(diary) as first, standby(diary, wait_s=3600) as second:
        await diary.create()
        assert [await first.look(), await second.look()] == ["run", "rest"]

        await second.rest()

        assert await second.look() == "rest"


async def test_whoever_stands_by_ends_while_it_waits(diary: Diary) -> None:
    async with standby(diary) as first, standby(diary, wait_s=3600) as second:
        assert [await first.look(), await second.look()] == ["watch", "rest"]
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(second.rest)
            await eventually(partial(is_waiting, diary))

            tasks.cancel_scope.cancel()


async def is_waiting(diary: Diary) -> bool:
    return bool(
        await diary.query(
            "select 1 from pg_stat_activity where datname = current_database()"
            " and application_name = 'diary-mcp standby' and wait_event_type = 'Lock'"
        )
    )


async def test_whoever_watches_runs_workflows_where_there_is_one(diary: Diary) -> None:
    async with standby(diary) as first, standby(diary) as second:
        assert await first.look() == "watch"
        await diary.settle([await diary.create()])

        assert [await first.look(), await second.look()] == ["run", "rest"]


async def test_whoever_watches_runs_what_was_put_off_once_its_moment_has_come(
    diary: Diary,
) -> None:
    now = datetime.now(UTC)
    async with standby(diary) as first:
        async with diary.store.unit_of_work() as unit:
            await unit.workflows.enqueue_expiry(uuid4(), now + timedelta(hours=1))
        early = await first.look()
        async with diary.store.unit_of_work() as unit:
            await unit.workflows.enqueue_expiry(uuid4(), now - timedelta(hours=1))

        assert (early, await first.look()) == ("watch", "run")


async def test_others_come_where_the_one_leaves_an_entry_unsettled(diary: Diary) -> None:
    async with standby(diary) as first, standby(diary) as second:
        entry_id = await diary.create()
        await diary.share(entry_id, BOB)
        assert [await first.look(), await second.look()] == ["run", "rest"]

        await diary.query(
            "update diary.entry_permission set changed_at = now() - interval '5 s' returning 1"
        )

        assert await second.look() == "run"
        await diary.settle([entry_id])
        assert await second.look() == "run", "others go on for a while"


@pytest.mark.parametrize(("queue", "patience_s"), [("indexing", 60), ("permissions", 660)])
async def test_others_come_where_a_workflow_waits_for_longer_than_it_is_left_to_wait(
    diary: Diary, queue: str, patience_s: int
) -> None:
    async with standby(diary) as first, standby(diary) as second:
        await diary.settle([await diary.create()])
        found: list[list[Duty]] = []
        for waited_s in (patience_s - 10, patience_s + 1):
            await diary.query(
                "update dbos.workflow_status set created_at ="
                f" (extract(epoch from now()) - {waited_s}) * 1000"
                f" where queue_name = '{queue}' returning 1"
            )
            found.append([await first.look(), await second.look()])

        assert found == [["run", "rest"], ["run", "run"]]


@pytest.mark.parametrize(
    ("expired", "expires_at"),
    [("false", "now() - interval '61 s'"), ("true", "now() + interval '1 day'")],
)
async def test_others_come_where_the_one_leaves_an_expiry_undone(
    diary: Diary, expired: str, expires_at: str
) -> None:
    """It puts no workflow on the queue, and no entry is unsettled, before a sweep sees it."""
    async with standby(diary) as first, standby(diary) as second:
        entry_id = await diary.create()
        await diary.share(entry_id, BOB)
        await diary.settle([entry_id])
        assert [await first.look(), await second.look()] == ["run", "rest"]

        await diary.query(
            f"update diary.share set expires_at = {expires_at}, expired = {expired} returning 1"
        )

        assert await second.look() == "run"


async def test_whether_all_is_settled_is_what_the_last_look_has_found(diary: Diary) -> None:
    async with standby(diary) as first, standby(diary) as second:

        async def look() -> list[bool]:
            await first.look()
            await second.look()
            return [first.saw_all_settled(), second.saw_all_settled()]

        assert [first.saw_all_settled(), second.saw_all_settled()] == [False, False]
        assert await look() == [True, True]
        entry_id = await diary.create()
        assert await look() == [False, False]
        await diary.settle([entry_id])
        assert await look() == [True, True]


async def test_who_has_lost_the_connection_asks_again_whether_it_is_the_one(diary: Diary) -> None:
    ended = "select pg_terminate_backend(pid) from pg_stat_activity"
    async with standby(diary) as first, standby(diary) as second:
        assert [await first.look(), await second.look()] == ["watch", "rest"]
        await diary.query(
            f"{ended} where application_name = 'diary-mcp standby' and datname = current_database()"
        )
        for each in (first, second):
            with pytest.raises(DatabaseUnavailableError):
                await each.look()

        assert [await second.look(), await first.look()] == ["watch", "rest"]
