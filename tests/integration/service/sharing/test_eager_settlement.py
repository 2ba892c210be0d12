"""A change is settled by the process that made it, beside its workflow and never instead of it."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from urllib.parse import quote
from uuid import uuid4

import pytest

from diary_mcp.domain.errors import DiaryError, PermissionBackendUnavailableError
from diary_mcp.domain.fields import EntryId
from diary_mcp.permissions.embedded import EmbeddedPermissions
from diary_mcp.service.ports.workflows import RelatedId
from diary_mcp.service.sharing.eager_settlement import EagerSettlement
from diary_mcp.service.sharing.settlement import settle
from diary_mcp.store.database import open_database
from diary_mcp.store.postgres import PostgresStore
from diary_mcp.store.relation_tuples import PostgresTuples
from support.workflows import BOB, Diary, add_entry, eventually, open_diary

pytestmark = pytest.mark.anyio


Settle = Callable[[Sequence[RelatedId]], Awaitable[None]]


@asynccontextmanager
async def settling_promptly(diary: Diary, settle: Settle | None = None) -> AsyncGenerator[None]:
    prompt = EagerSettlement(settle or diary.settle)
    diary.store = PostgresStore(diary.database, committed=prompt.committed)
    task = asyncio.create_task(prompt.run())
    await asyncio.sleep(0)
    yield
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def agrees(diary: Diary) -> bool:
    return await diary.all_tuples() == await diary.wanted_tuples()


async def test_a_change_is_settled_before_anybody_polls_and_its_workflow_stays(
    database_url: str,
) -> None:
    async with open_diary(database_url) as diary:
        async with settling_promptly(diary):
            kept, deleted = await diary.create(), await diary.create()
            await diary.share(kept, BOB)
            await eventually(lambda: agrees(diary))
            await diary.delete(deleted)
            await eventually(lambda: agrees(diary))

        assert await diary.statuses() == ["ENQUEUED"] * 4

        async with diary.runtime():
            await eventually(diary.is_settled)

        assert await diary.statuses() == ["SUCCESS"] * 4
        assert await agrees(diary)


async def test_what_fails_here_is_settled_by_its_workflow(database_url: str) -> None:
    async with open_diary(database_url) as diary:
        diary.tuples.fault = PermissionBackendUnavailableError("down")
        async with settling_promptly(diary):
            entry_id = await diary.create()
            await eventually(lambda: diary.calls(entry_id))
        diary.tuples.fault = None

        assert await diary.all_tuples() == set()

        async with diary.runtime():
            await eventually(diary.is_settled)

        assert await agrees(diary)


async def test_an_entry_whose_tuples_somebody_holds_is_settled_once_they_are_let_go(
    database_url: str,
) -> None:
    """Whoever holds them may sleep, and no workflow of the entry runs then: they wait for his."""
    impatient = f"{database_url}&options={quote('-c lock_timeout=200')}"
    async with open_diary(database_url) as diary, open_database(impatient, max_size=2) as tuples:
        backend = EmbeddedPermissions(PostgresTuples(tuples))
        failed = asyncio.Event()

        async def settle_and_tell(ids: Sequence[RelatedId]) -> None:
            try:
                await settle(ids, diary.settlements, backend)
            except DiaryError:
                failed.set()
                raise

        async with settling_promptly(diary, settle_and_tell):
            async with diary.database.transaction() as holder:
                await holder.execute("lock table diary.relation_tuple in share mode")
                await diary.create()
                await asyncio.wait_for(failed.wait(), 60)

            await eventually(lambda: agrees(diary))


async def test_what_was_cut_off_lets_go_of_the_entry(database_url: str) -> None:
    async with open_diary(database_url) as diary:
        diary.tuples.answers.clear()
        async with settling_promptly(diary):
            entry_id = await diary.create()
            await eventually(lambda: diary.calls(entry_id))
        diary.tuples.answers.set()

        async with diary.runtime():
            await eventually(diary.is_settled)

        assert await agrees(diary)


async def test_it_outlives_an_error_that_nobody_has_thought_of(database_url: str) -> None:
    async with open_diary(database_url) as diary, settling_promptly(diary):
        diary.tuples.fault = LookupError()
        first = await diary.create()
        await eventually(lambda: diary.calls(first))
        diary.tuples.fault = None
        second = await diary.create()
        await eventually(lambda: diary.calls(second))
        await diary.settle([first])

        await eventually(lambda: agrees(diary))


async def test_only_what_was_committed_is_told(database_url: str) -> None:
    async with open_diary(database_url) as diary:
        told: list[RelatedId] = []
        store = PostgresStore(diary.database, committed=told.extend)

        async def create_and_fail() -> None:
            async with store.unit_of_work() as unit:
                await add_entry(unit, EntryId(uuid4()))
                raise RuntimeError

        with pytest.raises(RuntimeError):
            await create_and_fail()

        assert told == []

        entry_id = EntryId(uuid4())
        async with store.unit_of_work() as unit:
            await add_entry(unit, entry_id)
            assert told == []

        assert told == [entry_id]
