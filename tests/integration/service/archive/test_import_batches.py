"""Batches: each commits whole, with the one workflow that grants all its entries."""

import os
import sys
from contextlib import suppress
from pathlib import Path

import anyio
import psycopg
import pytest

from diary_mcp.app import Foundation, run_workflows
from diary_mcp.domain.entry import EntryChanges, EntryDraft
from diary_mcp.domain.errors import ConflictError
from diary_mcp.files.import_paths import import_paths
from diary_mcp.service.ports.workflows import INDEXING_WORKFLOW
from support.diary_files import get_entry, list_entries, query, run_import, write_files
from support.journal import OWNER
from support.paths import TESTS
from support.workflows import eventually

pytestmark = pytest.mark.anyio

BATCH = 100


def _many(directory: Path, count: int) -> Path:
    return write_files(
        directory,
        {f"{number:04}": f"---\ndate: 2026-03-01\n---\n{number}" for number in range(count)},
    )


async def _granted(foundation: Foundation) -> list[set[str]]:
    """The entries that each workflow was scheduled for."""
    rows = await query(
        foundation,
        "select status.workflow_uuid, entry.id from dbos.workflow_status as status"
        " inner join dbos.workflow_input as input using (workflow_uuid)"
        " cross join lateral json_array_elements_text(input.inputs::json #> '{positionalArgs,0}')"
        " as entry (id) where status.name = 'grant_ownership'",
    )
    granted: dict[str, set[str]] = {}
    for workflow_id, entry_id in rows:
        granted.setdefault(str(workflow_id), set()).add(str(entry_id))
    return list(granted.values())


async def _is_quiet(foundation: Foundation) -> bool:
    """Whether no session but this one is at work, or in a transaction."""
    at_work = await query(
        foundation,
        "select pid from pg_stat_activity where datname = current_database()"
        " and backend_type = 'client backend' and state <> 'idle' and pid <> pg_backend_pid()",
    )
    return at_work == []


async def _is_settled(foundation: Foundation) -> bool:
    return not (await foundation.settlements.count_backlog()).pending


async def test_each_batch_schedules_one_workflow_for_all_its_new_entries(
    foundation: Foundation, tmp_path: Path
) -> None:
    folder = _many(tmp_path / "in", 2 * BATCH + 1)

    await run_import(foundation, folder)
    await run_import(foundation, folder)

    granted = await _granted(foundation)
    ids = {str(entry.id) for entry in await list_entries(foundation)}
    assert sorted(map(len, granted)) == [1, BATCH, BATCH]
    assert {entry_id for batch in granted for entry_id in batch} == ids


async def test_changed_files_schedule_no_workflow(foundation: Foundation, tmp_path: Path) -> None:
    folder = write_files(tmp_path / "in", {"a": "old"})
    await run_import(foundation, folder)

    await run_import(foundation, write_files(folder, {"a": "new"}))

    assert len(await _granted(foundation)) == 1


async def test_new_and_changed_entries_are_to_be_indexed(
    foundation: Foundation, tmp_path: Path
) -> None:
    folder = write_files(tmp_path / "in", {"a": "old"})
    await run_import(foundation, folder)
    await query(foundation, "update diary.search_document set words_by = 'x', vectors_by = 'x'")
    await query(foundation, "delete from dbos.workflow_status")

    await run_import(foundation, write_files(folder, {"a": "new", "b": "new"}))

    assert await query(
        foundation, "select version, words_by, vectors_by from diary.search_document order by 1"
    ) == [(1, None, None), (2, None, None)]
    scheduled = await query(foundation, "select name from dbos.workflow_status")
    assert set(scheduled) == {("grant_ownership",), (INDEXING_WORKFLOW,)}


async def test_a_batch_whose_workflow_cannot_be_scheduled_is_not_imported(
    foundation: Foundation, tmp_path: Path
) -> None:
    folder = _many(tmp_path / "in", 3)
    await run_import(foundation, folder / "0000.md")
    write_files(folder, {"0000": "changed"})
    await query(foundation, "alter function dbos.enqueue_workflow rename to hidden")

    with pytest.raises(psycopg.Error):
        await run_import(foundation, folder)

    (entry,) = await list_entries(foundation)
    assert (entry.content, entry.version) == ("0", 1)
    assert await query(foundation, "select entry_id from diary.entry_version") == []


async def test_a_killed_import_leaves_whole_batches_and_can_be_run_again(
    foundation: Foundation, tmp_path: Path
) -> None:
    folder = _many(tmp_path / "in", 6 * BATCH)
    script = str(TESTS / "support" / "import_process.py")
    process = await anyio.open_process(
        [sys.executable, script, foundation.database_url, str(folder)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS), *sys.path])},
        stderr=None,
    )
    async with process:
        assert process.stdout is not None
        await process.stdout.receive()
        process.kill()
    # A commit that was on its way goes through without its client.
    await eventually(lambda: _is_quiet(foundation))
    left = {str(entry.id) for entry in await list_entries(foundation)}
    granted = await _granted(foundation)

    report = await run_import(foundation, folder)

    assert 0 < len(left) < 6 * BATCH
    assert len(left) % BATCH == 0
    assert {entry_id for batch in granted for entry_id in batch} == left
    assert (report.imported, report.unchanged) == (6 * BATCH - len(left), len(left))
    assert len(await list_entries(foundation)) == 6 * BATCH


async def test_imported_entries_get_their_owners_tuples(
    foundation: Foundation, tmp_path: Path
) -> None:
    await run_import(foundation, _many(tmp_path / "in", BATCH + 1))

    async with run_workflows(foundation):
        await eventually(lambda: _is_settled(foundation))

    tuples = await query(
        foundation, "select object, relation, subject_id from diary.relation_tuple"
    )
    entries = await list_entries(foundation)
    assert set(tuples) == {(str(entry.id), "owner", OWNER) for entry in entries}


async def test_two_imports_of_one_folder_at_once_make_each_entry_once(
    foundation: Foundation, tmp_path: Path
) -> None:
    folder = _many(tmp_path / "in", 2 * BATCH)
    imported: list[int] = []

    async def run() -> None:
        imported.append((await run_import(foundation, folder)).imported)

    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(run)

    assert sum(imported) == 2 * BATCH
    assert len(await list_entries(foundation)) == 2 * BATCH


async def test_a_change_by_a_tool_between_comparing_and_writing_is_not_lost(
    foundation: Foundation, tmp_path: Path
) -> None:
    entries = foundation.diary.entries
    await entries.create(OWNER, EntryDraft(content="0", key="a"))
    stop = anyio.Event()

    async def edit() -> None:
        while not stop.is_set():
            entry = await entries.get(OWNER, "a")
            changes = EntryChanges(content=f"by a tool {entry.version}")
            with suppress(ConflictError):
                await entries.update(OWNER, "a", entry.version, changes)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(edit)
        for number in range(10):
            folder = write_files(tmp_path / "in", {"a": f"from a file {number}"})
            await import_paths([folder], owner=OWNER, store=foundation.store, may_overwrite=True)
        stop.set()

    entry = await get_entry(foundation, "a")
    kept = await query(foundation, "select version, content from diary.entry_version order by 1")
    assert [version for version, _ in kept] == list(range(1, entry.version))
    assert {f"from a file {number}" for number in range(10)} <= {
        content for _, content in (*kept, (entry.version, entry.content))
    }
