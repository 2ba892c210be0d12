"""Generated histories and attacks in the database: `diary_verify` and the page's checker agree."""

import random
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from diary_mcp.app import Foundation
from diary_mcp.domain.entry import EntryChanges
from support.signed_diaries import (
    ALICE,
    check_elsewhere,
    first_broken,
    run_sql,
    signed_diary,
    take_over,
    verify,
    write,
)

pytestmark = pytest.mark.anyio

ENTRY_ATTACKS = (
    "update diary.entry set content = 'forged' where key = 'k{}'",
    "update diary.entry set created_at = created_at - interval '1 day' where key = 'k{}'",
    "update diary.entry set supersedes = null where key = 'k{}'",
    "update diary.entry set version = version + 1 where key = 'k{}'",
    (
        "update diary.entry_version set content = 'forged' where entry_id in "
        "(select id from diary.entry where key = 'k{}')"
    ),
    "delete from diary.entry where key = 'k{}'",
)
LINK_ATTACKS = (
    "delete from diary.link where sequence = {}",
    (
        "update diary.link set statement = replace(statement, '\"version\":1', '\"version\":2') "
        "where sequence = {}"
    ),
    "update diary.link set statement = replace(statement, 'write', 'import') where sequence = {}",
    "update diary.link set salt = null where sequence = {}",
)


async def grow(diary: Foundation, chance: random.Random) -> None:
    """Three entries, and what chance makes of them."""
    entries = diary.diary.entries
    for number in range(3):
        await write(diary, f"number {number}", key=f"k{number}")
    for step in range(chance.randrange(5)):
        own = f"k{chance.randrange(3)}"
        match chance.choice(("update", "update", "supersede", "delete")):
            case "update":
                entry = await entries.get(ALICE, own)
                changes = EntryChanges(content=f"step {step}")
                await entries.update(ALICE, own, entry.version, changes)
            case "supersede" if (await entries.get(ALICE, own)).superseded_by is None:
                await write(diary, f"step {step}", key=f"k{3 + step}", supersedes=own)
            case "delete":
                extra = await write(diary, f"step {step}")
                await entries.delete(ALICE, str(extra.id))
            case _:
                pass


async def attack(diary: Foundation, operator: Foundation, chance: random.Random) -> None:
    kind = chance.choice(("entry", "entry", "link", "takeover", "nothing"))
    if kind == "takeover":
        await take_over(operator)
        await write(operator, "forged")
    elif kind == "entry":
        await run_sql(diary, chance.choice(ENTRY_ATTACKS).format(chance.randrange(4)))
    elif kind == "link":
        (row,) = await run_sql(diary, "select count(*) from diary.link")
        place = chance.randrange(1, int(str(row[0])) + 1)
        await run_sql(diary, chance.choice(LINK_ATTACKS).format(place))


async def compare(database_url: str, directory: Path, chance: random.Random) -> None:
    async with (
        signed_diary(database_url, directory / "own") as diary,
        signed_diary(database_url, directory / "operator") as operator,
    ):
        for table in ("link", "chain_head", "entry"):
            await run_sql(diary, f"truncate diary.{table} cascade")
        await grow(diary, chance)
        await attack(diary, operator, chance)
        # A checker that remembers nothing, as the other one does.
        async with signed_diary(database_url, directory / "elsewhere") as checker:
            report = await verify(checker)
            ids = [str(row[0]) for row in await run_sql(diary, "select id from diary.entry")]
            alone = {
                entry_id: (await checker.diary.verification.verify(ALICE, entry_id)).entries[0]
                for entry_id in ids
            }
        others = await check_elsewhere(diary, directory / "out")

    assert {str(each.entry_id) for each in report.entries if not each.is_sound} == others.bad
    unsigned = {entry_id for entry_id, found in alone.items() if not found.is_signed}
    assert unsigned - others.bad == others.unsigned - others.bad
    assert first_broken(report) == others.first_broken
    for entry_id, found in alone.items():
        is_right = entry_id not in others.bad and others.first_broken is None
        is_unsigned = entry_id in others.unsigned - others.bad
        assert found.is_sound == (is_right or is_unsigned)


@settings(
    max_examples=5,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(seed=st.integers(0, 2**32))
async def test_diary_verify_says_what_the_other_checker_says(
    database_url: str, tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)  # chance is all it is for

    await compare(database_url, tmp_path / uuid4().hex, chance)
