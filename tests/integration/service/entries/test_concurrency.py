"""Use cases that run at the same time, on PostgreSQL, many times over."""

from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from functools import partial
from random import Random

import anyio
import pytest

from diary_mcp.app import Foundation, open_foundation, run_workflows
from diary_mcp.domain.entry import EntryChanges, EntryDraft
from diary_mcp.domain.errors import DiaryError
from diary_mcp.domain.fields import AgentName, Grantee
from diary_mcp.service.diary import Diary
from diary_mcp.settings import Settings
from support.ground_truth import ask, check_promise, is_quiet
from support.sites import add_agents
from support.workflows import eventually

pytestmark = pytest.mark.anyio

ALICE = AgentName("alice")
GRANTEES = [Grantee("bob"), Grantee("cleo")]
ROUNDS = 3

Call = Callable[[], Awaitable[object]]


@pytest.fixture
async def diaries(foundation: Foundation, database_url: str) -> AsyncGenerator[tuple[Diary, Diary]]:
    """Two diaries on one database, each with connections of its own."""
    add_agents(database_url, *GRANTEES)
    async with open_foundation(Settings(database_url=database_url)) as other:
        yield foundation.diary, other.diary


async def race(calls: Iterable[Call]) -> Counter[str]:
    """How many of the calls went well, and which errors the others got."""
    outcomes: Counter[str] = Counter()
    # More than there are connections, fewer than would have to wait too long for one.
    at_once = anyio.Semaphore(20)

    async def run(call: Call) -> None:
        try:
            async with at_once:
                await call()
            outcomes["ok"] += 1
        except DiaryError as error:
            outcomes[error.code] += 1

    async with anyio.create_task_group() as racers:
        for call in calls:
            racers.start_soon(run, call)
    return outcomes


async def settled(url: str) -> None:
    async def check() -> bool:
        return is_quiet(url)

    await eventually(check, within_s=60)


async def test_of_updates_of_one_version_one_wins_every_time(
    diaries: tuple[Diary, Diary],
) -> None:
    entry = await diaries[0].entries.create(ALICE, EntryDraft(content="0"))
    for version in range(1, ROUNDS + 1):
        outcomes = await race(
            partial(
                diaries[number % 2].entries.update,
                ALICE,
                str(entry.id),
                version,
                EntryChanges(content=f"{version}, {number}"),
            )
            for number in range(10)
        )

        assert outcomes == {"ok": 1, "conflict": 9}
    assert (await diaries[1].entries.get(ALICE, str(entry.id))).version == ROUNDS + 1


async def test_of_deletes_of_one_entry_one_wins_every_time(diaries: tuple[Diary, Diary]) -> None:
    for _ in range(ROUNDS):
        entry = await diaries[0].entries.create(ALICE, EntryDraft(content="x"))

        outcomes = await race(
            partial(diaries[number % 2].entries.delete, ALICE, str(entry.id)) for number in range(6)
        )

        assert outcomes == {"ok": 1, "not_found": 5}


async def test_an_idempotency_key_makes_one_entry_every_time(
    database_url: str, diaries: tuple[Diary, Diary]
) -> None:
    for number in range(ROUNDS):
        outcomes = await race(
            partial(
                diaries[each % 2].entries.create,
                ALICE,
                EntryDraft(content="once"),
                idempotency_key=f"k{number}",
            )
            for each in range(10)
        )

        assert outcomes == {"ok": 10}
        assert ask(database_url, "select count(*) from diary.entry") == [(number + 1,)]


async def test_after_a_storm_of_every_change_the_tuples_equal_the_rows(
    foundation: Foundation, diaries: tuple[Diary, Diary]
) -> None:
    random = Random(2026)
    references = [
        str((await diaries[0].entries.create(ALICE, EntryDraft(content="x"))).id) for _ in range(10)
    ]

    def change() -> Call:
        diary, reference = random.choice(diaries), random.choice(references)
        grantee = random.choice(GRANTEES)
        return random.choices(
            [
                partial(diary.sharing.share, ALICE, reference, grantee),
                partial(diary.sharing.unshare, ALICE, reference, grantee),
                partial(diary.entries.create, ALICE, EntryDraft(content="x")),
                partial(diary.entries.delete, ALICE, reference),
            ],
            [10, 10, 2, 1],
        )[0]

    async with run_workflows(foundation):
        outcomes = await race(change() for _ in range(40))
        await settled(foundation.database_url)

    assert outcomes.keys() <= {"ok", "not_found"}
    check_promise(foundation.database_url)


async def test_calls_cancelled_at_any_moment_are_done_as_a_whole_or_not_at_all(
    foundation: Foundation, diaries: tuple[Diary, Diary]
) -> None:
    random = Random(2026)

    async def create_and_be_cancelled() -> None:
        with anyio.move_on_after(random.uniform(0, 0.05)):
            entry = await diaries[0].entries.create(ALICE, EntryDraft(content="x"))
            await diaries[1].sharing.share(ALICE, str(entry.id), GRANTEES[0])

    async with run_workflows(foundation):
        for _ in range(2):
            async with anyio.create_task_group() as callers:
                for _ in range(20):
                    callers.start_soon(create_and_be_cancelled)
        await settled(foundation.database_url)
    check_promise(foundation.database_url)

    # No connection is lost to a cancelled call.
    for diary in diaries:
        creates = [partial(diary.entries.create, ALICE, EntryDraft(content="x"))] * 20
        with anyio.fail_after(60):
            assert await race(creates) == {"ok": 20}
