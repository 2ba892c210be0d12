"""Which entry a file is, and when it may replace what its entry says."""

import shutil
from pathlib import Path

import pytest

from diary_mcp.app import Foundation
from diary_mcp.domain.entry import EntryChanges, EntryDraft
from diary_mcp.files.export_folder import ExportChoice, export_entries
from diary_mcp.files.import_paths import import_paths
from diary_mcp.files.markdown import read_markdown
from diary_mcp.files.proof_check import check_files
from diary_mcp.keys.ed25519 import check_signature
from support.diary_files import (
    get_entry,
    list_entries,
    list_links,
    run_export,
    run_import,
    write_files,
)
from support.journal import MODIFIED_AT, OWNER

pytestmark = pytest.mark.anyio


async def keys(foundation: Foundation) -> list[str | None]:
    return [entry.key for entry in await list_entries(foundation)]


async def test_files_of_one_name_in_two_folders_are_two_entries_in_whichever_run(
    foundation: Foundation, tmp_path: Path
) -> None:
    work = write_files(tmp_path / "work", {"note": "of work", "old": "old"})
    home = write_files(
        tmp_path / "home", {"note": "of home", "new": "---\nsupersedes: note\n---\nnew"}
    )

    await run_import(foundation, work)
    first = await run_import(foundation, home)
    again = await run_import(foundation, work, home / "note.md")
    write_files(home, {"note": "of home, changed"})
    await run_import(foundation, home)

    assert (first.imported, again.unchanged, again.imported) == (2, 3, 0)
    assert await keys(foundation) == ["home/note", "new", "note", "old"]
    assert (await get_entry(foundation, "note")).content == "of work"
    assert (await get_entry(foundation, "home/note")).version == 2
    assert await list_links(foundation) == {"new": "home/note"}


async def test_a_folder_that_was_moved_has_the_same_files(
    foundation: Foundation, tmp_path: Path
) -> None:
    folder = write_files(tmp_path / "a", {"note": "one"})
    await run_import(foundation, folder)
    shutil.move(folder, tmp_path / "b")

    await run_import(foundation, write_files(tmp_path / "b", {"note": "two"}))

    entry = await get_entry(foundation, "note")
    assert (entry.content, entry.version) == ("two", 2)


async def test_an_exported_file_stands_for_its_entry_wherever_that_was_imported_from(
    foundation: Foundation, tmp_path: Path
) -> None:
    await run_import(foundation, write_files(tmp_path / "in", {"note": "one"}))
    await run_export(foundation, tmp_path / "out")

    await run_import(foundation, write_files(tmp_path / "out", {"note": "two"}))
    report = await run_export(foundation, tmp_path / "out")

    assert (report.kept, await keys(foundation)) == ([], ["note"])
    assert (await get_entry(foundation, "note")).content == "two"


async def test_a_file_does_not_replace_what_was_changed_in_the_diary_since(
    foundation: Foundation, tmp_path: Path
) -> None:
    folder = write_files(tmp_path / "in", {"a": "one", "b": "one"})
    await run_import(foundation, folder)
    await foundation.diary.entries.update(OWNER, "a", 1, EntryChanges(content="by a tool"))
    write_files(folder, {"a": "by hand", "b": "by hand"})

    refused = await run_import(foundation, folder)
    kept = (await get_entry(foundation, "a")).content
    forced = await import_paths([folder], owner=OWNER, store=foundation.store, may_overwrite=True)

    assert (refused.imported, kept) == (1, "by a tool")
    (rejection,) = refused.rejected
    assert rejection.path == str(folder / "a.md")
    assert "changed in the diary since" in rejection.reason
    assert "--force" in rejection.reason
    assert forced.imported == 1
    assert (await get_entry(foundation, "a")).content == "by hand"


async def test_an_entry_goes_into_the_diary_that_its_file_names(
    foundation: Foundation, tmp_path: Path
) -> None:
    folder = write_files(
        tmp_path / "in",
        {
            "a": "---\ndiary: proj\n---\nof the project",
            "b": "in main",
            "c": "---\ndate: 2026-03-01\ndiary: bob/team\n---\nof a team that is closed",
            "d": "---\ndiary: My Diary\n---\nnone of ours",
        },
    )
    (folder / "lines.jsonl").write_text('{"content": "a line", "diary": "proj", "key": "e"}\n')
    places = foundation.diary.places
    await foundation.diary.entries.create(OWNER, EntryDraft(content="# Odd: a/b?\n\nx"))

    report = await import_paths([folder], owner=OWNER, store=foundation.store, places=places)
    again = await import_paths([folder], owner=OWNER, store=foundation.store, places=places)
    by_diary = ExportChoice(by_diary=True, with_titles=True)
    for name in ("out", "again"):
        exported = await export_entries(
            tmp_path / name, owner=OWNER, store=foundation.store, choice=by_diary
        )
    from_export = await import_paths(
        [tmp_path / "out"], owner=OWNER, store=foundation.store, places=places
    )

    found = {entry.key: entry.diary_name for entry in await list_entries(foundation)}
    assert found == {"a": "proj", "b": None, "c": None, "d": None, "e": "proj", None: None}
    assert (report.closed, report.rejected) == ({"bob/team": 1}, [])
    assert (again.imported, from_export.imported, exported.written) == (0, 0, 6)
    files = {str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*.md")}
    (titled,) = files - {"proj/a.md", "proj/e.md", "main/b.md", "main/c.md", "main/d.md"}
    assert titled.startswith("main/20")
    assert titled.endswith(" Odd a b.md")
    assert (tmp_path / "out" / "main" / "c.md").read_bytes() == (folder / "c.md").read_bytes()
    (entry,) = (entry for entry in await list_entries(foundation) if entry.key is None)
    read = read_markdown(
        (tmp_path / "out" / titled).read_bytes(),
        name=titled.removeprefix("main/").removesuffix(".md"),
        modified_at=MODIFIED_AT,
    )
    assert (read.draft.key, read.entry_id) == (None, entry.id)
    assert all(
        each.problem is None for each in check_files([tmp_path / "out"], check_signature, [])
    )
