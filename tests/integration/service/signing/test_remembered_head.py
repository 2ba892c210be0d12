"""A new entry is signed where this machine has seen the chain end, without looking."""

import contextlib
import shutil
from collections.abc import AsyncGenerator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import anyio
import pytest

from diary_mcp.app import Foundation
from diary_mcp.service.ports.chain import Head, HeadMovedError
from diary_mcp.service.ports.workflows import EXPIRY_WORKFLOW
from support.signed_diaries import (
    ALICE,
    first_broken,
    run_sql,
    signed_diary,
    statements,
    verify,
    write,
)
from support.workflows import eventually

pytestmark = pytest.mark.anyio


@contextlib.asynccontextmanager
async def second_machine(database_url: str, tmp_path: Path) -> AsyncGenerator[Foundation]:
    """One with the same key, that remembers for itself how far the chain has come."""
    shutil.copytree(tmp_path / "data", tmp_path / "second", ignore=shutil.ignore_patterns("chains"))
    async with signed_diary(database_url, tmp_path / "second") as foundation:
        yield foundation


@contextlib.asynccontextmanager
async def writing_up_to_its_link(diary: Foundation) -> AsyncGenerator[None]:
    """An entry is being written; its link waits for the head until the block ends."""

    async def waits() -> bool:
        waiting = await run_sql(
            diary, "select query from pg_stat_activity where wait_event_type = 'Lock'"
        )
        return any("insert into diary.link" in str(query) for (query,) in waiting)

    async with anyio.create_task_group() as writers, diary.database.transaction() as other:
        await other.execute("select from diary.chain_head for update")
        writers.start_soon(write, diary, "the second")
        await eventually(waits, within_s=10)
        yield


async def check_one_chain(diary: Foundation, entries: int) -> None:
    """Each entry is there once with all that belongs to it, and signed by a link of one chain."""
    report = await verify(diary)
    assert first_broken(report) is None
    assert (report.entries, report.totals.signed) == ((), entries)
    assert [each["sequence"] for each in await statements(diary)] == list(range(1, entries + 1))
    ((rows, documents, permissions, workflows),) = await run_sql(
        diary,
        "select (select count(*) from diary.entry), (select count(*) from diary.search_document),"
        " (select count(*) from diary.entry_permission), (select count(*)"
        " from dbos.workflow_status where workflow_uuid like 'grant_ownership:%')",
    )
    assert (rows, documents, permissions, workflows) == (entries,) * 4


async def test_it_is_signed_before_anything_is_known_of_the_chain(diary: Foundation) -> None:
    await write(diary, "the first")

    async with writing_up_to_its_link(diary):
        pass

    await check_one_chain(diary, 2)


async def test_an_entry_is_told_of_whose_link_cannot_be_remembered(
    diary: Foundation, tmp_path: Path
) -> None:
    await write(diary, "the first")
    memory = tmp_path / "data" / "keys" / "chains" / "alice.json"

    async with writing_up_to_its_link(diary):
        memory.write_text("{")

    memory.unlink()
    await check_one_chain(diary, 2)


async def test_machines_that_write_in_turn_make_one_chain(
    diary: Foundation, database_url: str, tmp_path: Path
) -> None:
    await write(diary, "the first")
    async with second_machine(database_url, tmp_path) as second:
        for number in range(6):
            for machine in (diary, second, second):
                entry = await write(machine, f"number {number}")
                assert entry.signature.state == "signed"

    await check_one_chain(diary, 19)


async def test_machines_that_write_at_the_same_time_make_one_chain(
    diary: Foundation, database_url: str, tmp_path: Path
) -> None:
    await write(diary, "the first")

    async def write_some(machine: Foundation) -> None:
        for number in range(12):
            await write(machine, f"number {number}")

    async with second_machine(database_url, tmp_path) as second:
        with anyio.fail_after(60):
            async with anyio.create_task_group() as writers:
                for machine in (diary, second, diary):
                    writers.start_soon(write_some, machine)

    await check_one_chain(diary, 37)


MOVED = {
    "further on": {"sequence": 1},
    "another link": {"hash": "sha256:" + "0" * 64},
    "nothing signed": {"sequence": 0, "hash": None},
}


async def test_nothing_is_there_of_a_unit_of_work_that_expects_another_end(
    diary: Foundation, subtests: pytest.Subtests
) -> None:
    for number in range(3):
        await write(diary, f"number {number}")
    head = await end_of_chain(diary)

    for name, changes in MOVED.items():
        with subtests.test(name):
            with pytest.raises(HeadMovedError):
                await append_nothing(diary, replace(head, **changes))

            assert await end_of_chain(diary) == head
    await run_sql(diary, "delete from diary.chain_head")
    with subtests.test("no chain"), pytest.raises(HeadMovedError):
        await append_nothing(diary, head)
    workflows = [name for (name,) in await run_sql(diary, "select name from dbos.workflow_status")]
    assert EXPIRY_WORKFLOW not in workflows
    assert "grant_ownership" in workflows


async def append_nothing(diary: Foundation, expected: Head) -> None:
    async with diary.store.unit_of_work() as unit:
        await unit.workflows.enqueue_expiry(uuid4(), datetime.now(UTC))
        await unit.chain.append(ALICE, [], expected, expected)


async def end_of_chain(diary: Foundation) -> Head:
    async with diary.store.reading() as rows:
        head = await rows.chain.find_head(ALICE)
    assert head is not None
    return head
