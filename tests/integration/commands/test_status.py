"""`diary-mcp status` is not ok for long while something cannot work, or does not settle."""

from pathlib import Path

import pytest

from diary_mcp.app import open_foundation, standing_by
from diary_mcp.commands.status import look_at
from diary_mcp.domain.entry import EntryDraft
from diary_mcp.domain.fields import AgentName
from diary_mcp.settings import Settings
from support.ground_truth import ask

pytestmark = pytest.mark.anyio

ALICE = AgentName("alice")


def names_in(folder: Path) -> list[str]:
    return [each.name for each in folder.iterdir()]


@pytest.mark.parametrize("where", ["file", "file/below", "a" * 300, "/proc/below"])
async def test_a_data_directory_that_cannot_be_is_named(tmp_path: Path, where: str) -> None:
    (tmp_path / "file").touch()
    data_dir = tmp_path / where

    report = await look_at(Settings(data_dir=data_dir))

    assert not report.ok
    (problem,) = report.problems
    assert problem.startswith(f"The data directory {data_dir} cannot be ")
    assert "DIARY_MCP_DATA_DIR" in problem
    assert names_in(tmp_path) == ["file"]


async def test_a_data_directory_that_can_be_made_is_well_and_is_not_made(tmp_path: Path) -> None:
    assert (await look_at(Settings(data_dir=tmp_path / "a" / "b"))).ok
    assert names_in(tmp_path) == []


async def test_a_change_that_waits_is_well_for_a_minute_and_told_where_no_server_runs(
    database_url: str, tmp_path: Path
) -> None:
    settings = Settings(database_url=database_url, data_dir=tmp_path, signing="off")
    async with open_foundation(settings) as foundation:
        await foundation.diary.entries.create(ALICE, EntryDraft(content="Not settled."))

        alone = await look_at(settings, compares=False)
        async with standing_by(foundation) as standby:
            await standby.look()
            served = await look_at(settings, compares=False)
        ask(
            database_url,
            "update diary.entry_permission set changed_at = now() - interval '61 s'",
        )
        late = await look_at(settings, compares=False)

    assert served.ok, served.problems
    assert served.notes == []
    assert alone.ok, alone.problems
    assert "1 permission change, and no server runs" in alone.notes[0]
    assert not late.ok
    assert (late.problems, late.notes) == (alone.notes, [])


async def test_an_expiry_that_nobody_carries_out_is_told(database_url: str, tmp_path: Path) -> None:
    settings = Settings(database_url=database_url, data_dir=tmp_path, signing="off")
    async with open_foundation(settings) as foundation:
        entry = await foundation.diary.entries.create(ALICE, EntryDraft(content="Expired."))
    ask(database_url, "update diary.entry_permission set applied_generation = generation")
    ask(
        database_url,
        "insert into diary.share (entry_id, grantee, granted_by, created_at, expires_at)"
        " values (%s, 'bob', 'alice', now(), now() - interval '3 minutes')",
        entry.id,
    )

    report = await look_at(settings, compares=False)

    assert "1 share or role" in report.problems[0]
