"""One process runs workflows, the others stand by, and come where work waits."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest

from diary_mcp.domain.errors import DatabaseUnavailableError
from diary_mcp.service.ports.workflows import QUEUES
from diary_mcp.store.takeover import PostgresStandby
from support.workflows import BOB, Diary, open_diary

pytestmark = pytest.mark.anyio


@pytest.fixture
async def diary(database_url: str) -> AsyncGenerator[Diary]:
    async with open_diary(database_url) as opened:
        yield opened


@asynccontextmanager
async def standby(diary: Diary) -> AsyncGenerator[PostgresStandby]:
    opened = PostgresStandby(diary.database_url, QUEUES)
    try:
        yield opened
    finally:
        await opened.close()


async def test_of_several_processes_one_is_needed_and_then_the_next(diary: Diary) -> None:
    async with standby(diary) as second:
        async with standby(diary) as first:
            assert [await first.is_needed(), await second.is_needed()] == [True, False]
            assert [await first.is_needed(), await second.is_needed()] == [True, False]

        assert await second.is_needed()


async def test_others_come_where_the_one_leaves_an_entry_unsettled(diary: Diary) -> None:
    async with standby(diary) as first, standby(diary) as second:
        assert await first.is_needed()
        entry_id = await diary.create()
        await diary.share(entry_id, BOB)
        assert not await second.is_needed()

        await diary.query(
            "update diary.entry_permission set changed_at = now() - interval '5 s' returning 1"
        )

        assert await second.is_needed()
        await diary.settle([entry_id])
        assert await second.is_needed(), "others go on for a while"


async def test_others_come_where_any_workflow_waits_for_very_long(diary: Diary) -> None:
    async with standby(diary) as first, standby(diary) as second:
        assert await first.is_needed()
        await diary.settle([await diary.create()])
        assert not await second.is_needed()

        await diary.query(
            "update dbos.workflow_status set created_at = created_at - 61000 returning 1"
        )

        assert await second.is_needed()


async def test_who_has_lost_the_connection_asks_again_whether_it_is_the_one(diary: Diary) -> None:
    ended = "select pg_terminate_backend(pid) from pg_stat_activity"
    async with standby(diary) as first, standby(diary) as second:
        assert await first.is_needed()
        assert not await second.is_needed()
        await diary.query(f"{ended} where application_name = 'diary-mcp standby'")
        for each in (first, second):
            with pytest.raises(DatabaseUnavailableError):
                await each.is_needed()

        assert await second.is_needed()
        assert not await first.is_needed()
