"""Exporting a diary, and importing an export."""

import os
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal
from uuid import UUID

import pytest
from uuid_utils.compat import uuid7

from diary_mcp.app import Foundation
from diary_mcp.domain.entry import EntryChanges, EntryDraft
from diary_mcp.domain.errors import InvalidArgumentError
from diary_mcp.domain.fields import AgentName, EntryId
from diary_mcp.domain.version import EntryRecord
from diary_mcp.files.export_folder import export_entries
from support.diary_files import (
    contents,
    get_entry,
    list_entries,
    query,
    run_export,
    run_import,
    write_files,
)
from support.journal import OWNER, SAMPLES, real_journal

pytestmark = pytest.mark.anyio

BOB = AgentName("bob")
A_DAY = datetime(2026, 3, 1, 12, 30, 15, 250_000, tzinfo=UTC)


async def _fill(foundation: Foundation) -> None:
    """A diary with entries of every origin and with keys of every kind."""
    entries = foundation.diary.entries
    await run_import(foundation, SAMPLES)
    for key in ("../../etc/passwd", "Note", "note", ".hidden", "x" * 255, "é" * 200, str(uuid7())):
        await entries.create(OWNER, EntryDraft(content=f"# {key[:9]}", key=key, date=A_DAY))
    older = await entries.create(OWNER, EntryDraft(content="---\nno: front matter\n---\n"))
    newer = await entries.create(OWNER, EntryDraft(content="x", supersedes=[str(older.id)]))
    await entries.create(OWNER, EntryDraft(content="y", supersedes=["../../etc/passwd"], key="a b"))
    await entries.update(
        OWNER, str(newer.id), 1, EntryChanges(title="T: 1", tags=["a, b", "\n"], importance=0.1)
    )
    await entries.update(OWNER, "2026-03-02-01-plain", 1, EntryChanges(content="\ufeff\r\n\ttext"))


def _comparable(entries: list[EntryRecord]) -> list[EntryRecord]:
    """What an export must bring back: a link by what it leads to, no ids, a new history."""
    names = {entry.id: entry.key or entry.content for entry in entries}
    return [
        replace(
            entry,
            id=EntryId(UUID(int=0)),
            supersedes=(),
            superseded_keys=sorted(names[older] for older in entry.supersedes),
            version=1,
            created_at=entry.date,
            updated_at=entry.date,
            content_hash="",
            source_keys=[] if entry.supersedes else entry.source_keys,
            source_hash=None,
            front_matter=None,
            imported_version=None,
            source_path=None,
            origin=None,
        )
        for entry in entries
    ]


@pytest.mark.parametrize("file_format", ["markdown", "jsonl"])
async def test_an_export_imported_into_an_empty_diary_gives_the_same_entries(
    foundation: Foundation, tmp_path: Path, file_format: Literal["markdown", "jsonl"]
) -> None:
    await _fill(foundation)
    before = await list_entries(foundation)
    await export_entries(tmp_path, owner=OWNER, store=foundation.store, file_format=file_format)
    await query(foundation, "truncate diary.entry, diary.entry_permission cascade")

    report = await run_import(foundation, tmp_path)

    after = await list_entries(foundation)
    assert report.rejected == []
    assert _comparable(after) == _comparable(before)
    keyless = {entry.id for entry in before if entry.key is None}
    assert len(keyless) == 2
    assert keyless == {entry.id for entry in after if entry.key is None}
    ids_are_kept = [entry.id for entry in after] == [entry.id for entry in before]
    assert ids_are_kept == (file_format == "jsonl")


async def test_importing_an_export_into_the_same_diary_changes_nothing(
    foundation: Foundation, tmp_path: Path
) -> None:
    await _fill(foundation)
    before = await list_entries(foundation)
    await run_export(foundation, tmp_path)

    report = await run_import(foundation, tmp_path)

    assert (report.imported, report.unchanged, report.rejected) == (0, len(before), [])
    assert await list_entries(foundation) == before


async def test_a_real_journal_comes_back_to_the_byte(
    foundation: Foundation, tmp_path: Path
) -> None:
    journal = real_journal()
    await run_import(foundation, journal)

    report = await run_export(foundation, tmp_path)

    assert report.kept == []
    assert contents(tmp_path, ["*"]) == contents(journal)


async def test_an_entry_whose_id_is_taken_gets_it_as_its_key(
    foundation: Foundation, tmp_path: Path
) -> None:
    entries = foundation.diary.entries
    older = await entries.create(OWNER, EntryDraft(content="older"))
    newer = await entries.create(OWNER, EntryDraft(content="newer", supersedes=[str(older.id)]))
    await run_export(foundation, tmp_path)

    first = await run_import(foundation, tmp_path, owner=BOB)
    second = await run_import(foundation, tmp_path, owner=BOB)

    copies = await list_entries(foundation, BOB)
    assert (first.imported, second.unchanged) == (2, 2)
    assert [entry.key for entry in copies] == [str(older.id), str(newer.id)]
    assert copies[1].supersedes == [copies[0].id]


async def test_an_entry_that_was_deleted_a_moment_ago_is_imported_again_and_granted(
    foundation: Foundation, tmp_path: Path
) -> None:
    entries = foundation.diary.entries
    created = await entries.create(OWNER, EntryDraft(content="x"))
    await run_export(foundation, tmp_path)
    await entries.delete(OWNER, str(created.id))
    taken = await run_import(foundation, tmp_path)
    await entries.delete(OWNER, str(created.id))
    await query(foundation, "delete from diary.entry_permission where deleted_at is not null")

    free = await run_import(foundation, tmp_path)

    (entry,) = await list_entries(foundation)
    workflows = await query(
        foundation,
        "select workflow_uuid from dbos.workflow_status"
        f" where starts_with(workflow_uuid, 'grant_ownership:{created.id}:')",
    )
    assert (taken.imported, free.imported) == (1, 1)
    assert (entry.id, entry.key) == (created.id, None)
    assert len(workflows) == 2


async def test_exporting_again_replaces_what_the_diary_wrote_and_nothing_else(
    foundation: Foundation, tmp_path: Path
) -> None:
    entries = foundation.diary.entries
    for key in ("a", "b", "c"):
        await entries.create(OWNER, EntryDraft(content="one", key=key))
    first = await run_export(foundation, tmp_path)
    for version in (1, 2):
        changes = EntryChanges(content=f"after {version}", importance=0.1 * version)
        await entries.update(OWNER, "a", version, changes)
        await entries.update(OWNER, "b", version, changes)
    (tmp_path / "b.md").write_text("edited by hand, not imported")

    second = await run_export(foundation, tmp_path)

    assert (first.written, first.unchanged, first.kept) == (3, 0, [])
    assert (second.written, second.unchanged) == (1, 1)
    assert [kept.path for kept in second.kept] == [str(tmp_path / "b.md")]
    assert (tmp_path / "a.md").read_text().endswith("after 2")
    assert (tmp_path / "b.md").read_text() == "edited by hand, not imported"


@pytest.mark.parametrize(
    "edit",
    [
        pytest.param(("importance: 0.5", "importance: 0.6"), id="field"),
        pytest.param(("date: ", "mood: good\ndate: "), id="unknown key"),
        pytest.param(("author: alice", "author: bob"), id="author"),
        pytest.param(("signature: none", "signature: [broken"), id="broken"),
    ],
)
async def test_a_file_that_was_edited_by_hand_is_kept(
    foundation: Foundation, tmp_path: Path, edit: tuple[str, str]
) -> None:
    entries = foundation.diary.entries
    await entries.create(OWNER, EntryDraft(content="one", key="a"))
    await run_export(foundation, tmp_path)
    path = tmp_path / "a.md"
    edited = path.read_text().replace(*edit)
    path.write_text(edited)
    await entries.update(OWNER, "a", 1, EntryChanges(content="two"))

    report = await run_export(foundation, tmp_path)

    assert len(report.kept) == 1
    assert path.read_text() == edited


async def test_an_export_goes_back_into_the_folder_that_was_imported(
    foundation: Foundation, tmp_path: Path
) -> None:
    folder = write_files(tmp_path / "in", {"a": "---\ndate: 2026-03-01\nx: [1]\n---\nold"})
    await run_import(foundation, folder)
    await foundation.diary.entries.update(OWNER, "a", 1, EntryChanges(content="new"))

    report = await run_export(foundation, folder)

    assert (report.written, report.kept) == (1, [])
    assert (folder / "a.md").read_text() == "---\ndate: 2026-03-01\nx: [1]\n---\nnew"


async def test_nothing_outside_the_folder_is_written_and_nothing_half_done_is_left(
    foundation: Foundation, tmp_path: Path
) -> None:
    await _fill(foundation)
    outside = write_files(tmp_path / "outside", {"victim": "safe"})
    folder = tmp_path / "new" / "out"
    folder.mkdir(parents=True)
    (folder / "note.md").symlink_to(outside / "victim.md")
    (folder / "2026-03-01-01-kickoff.md").mkdir()
    os.mkfifo(folder / "2026-03-01-02-naming.md")

    report = await run_export(foundation, folder)

    written = [path for path in folder.rglob("*") if path.is_file()]
    assert {Path(kept.path).name for kept in report.kept} == {
        "note.md",
        "2026-03-01-01-kickoff.md",
        "2026-03-01-02-naming.md",
    }
    assert contents(outside) == {"victim.md": b"safe"}
    assert [path for path in written if path.name.startswith(".")] == []
    assert {Path(name).parts[0] for name in contents(tmp_path, ["*"])} == {"new", "outside"}


async def test_a_folder_that_cannot_be_written_is_an_error_that_names_it(
    foundation: Foundation, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()

    for directory in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(InvalidArgumentError, match=str(directory)):
            await run_export(foundation, directory)


async def test_only_the_owners_entries_are_exported(foundation: Foundation, tmp_path: Path) -> None:
    await run_import(foundation, SAMPLES)
    await foundation.diary.entries.create(BOB, EntryDraft(content="mine", key="b"))

    report = await run_export(foundation, tmp_path, owner=BOB)

    assert report.written == 1
    assert list(contents(tmp_path)) == ["b.md"]


async def test_more_than_a_page_is_exported_in_full(foundation: Foundation, tmp_path: Path) -> None:
    same_date = "---\ndate: 2026-03-01\n---\nx"
    folder = write_files(tmp_path / "in", {f"{number:03}": same_date for number in range(250)})
    await run_import(foundation, folder)

    report = await run_export(foundation, tmp_path / "out")

    assert report.written == 250
    assert contents(tmp_path / "out") == contents(folder)
    assert (await get_entry(foundation, "000")).version == 1


async def test_a_vault_of_another_program_comes_back_to_the_byte(
    foundation: Foundation, tmp_path: Path
) -> None:
    day = "date: 2024-01-05\n"
    vault = {
        "note.md": f"---\n{day}author:\n  - '[[Jane Doe]]'\n---\nat the top\n",
        "Projects/note.md": f"---\n{day}tags: #a #b\n...\nof a project\n",
        "Areas/Home: Garden?.md": f"---\n{day}importance: high\n---\nx\n",
        "journals/2024_01_05.markdown": "---\nACME Ltd.\n12 Main Street\n---\nDear diary,\n",
        "hugo.md": '+++\ndate = 2024-01-05\ntitle = "T"\n[params]\nx = 1\n+++\nx\n',
        "aux.md": f"---\n{day}supersedes: '[[Projects/note]]'\n---\nx\n",
    }
    for name, text in vault.items():
        (tmp_path / "vault" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "vault" / name).write_text(text, "utf-8")

    imported = await run_import(foundation, tmp_path / "vault")
    await run_export(foundation, tmp_path / "out")

    assert (imported.imported, imported.rejected) == (6, [])
    assert {path.name: path.read_text("utf-8") for path in (tmp_path / "out").iterdir()} == {
        "note.md": vault["note.md"],
        "Projects%2Fnote.md": vault["Projects/note.md"],
        "Home%3A Garden%3F.md": vault["Areas/Home: Garden?.md"],
        "2024_01_05.md": vault["journals/2024_01_05.markdown"],
        "hugo.md": vault["hugo.md"],
        "%61ux.md": vault["aux.md"],
    }
    again = await run_import(foundation, tmp_path / "out")
    assert (again.imported, again.unchanged, again.rejected) == (0, 6, [])
    entries = await list_entries(foundation)
    assert {entry.key for entry in entries} == {
        "note", "Projects/note", "Home: Garden?", "2024_01_05", "hugo", "aux",
    }  # fmt: skip
