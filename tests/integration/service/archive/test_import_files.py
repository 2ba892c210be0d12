"""Importing files: what is new, what changed, what is rejected."""

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from diary_mcp.app import Foundation
from diary_mcp.domain.entry import EntryChanges, EntryDraft
from diary_mcp.domain.fields import AgentName
from diary_mcp.domain.version import Version, content_hash
from diary_mcp.files.import_paths import import_paths
from support.diary_files import get_entry, list_entries, query, run_import, write_files
from support.journal import OWNER, SAMPLES, real_journal

pytestmark = pytest.mark.anyio

BOB = AgentName("bob")


async def test_every_sample_is_imported_and_a_second_import_changes_nothing(
    foundation: Foundation,
) -> None:
    first = await run_import(foundation, SAMPLES)
    entries = await list_entries(foundation)
    second = await run_import(foundation, SAMPLES)

    assert (first.imported, first.unchanged, first.rejected) == (8, 0, [])
    assert (second.imported, second.unchanged, second.rejected) == (0, 8, [])
    assert await list_entries(foundation) == entries
    assert {entry.key for entry in entries} == {path.stem for path in SAMPLES.rglob("*.md")}


async def test_a_real_journal_is_imported_without_a_rejection_and_only_once(
    foundation: Foundation,
) -> None:
    journal = real_journal()

    first = await run_import(foundation, journal)
    second = await run_import(foundation, journal)

    count = len(list(journal.glob("*.md")))
    assert (first.imported, first.unchanged, first.rejected) == (count, 0, [])
    assert (second.imported, second.unchanged, second.rejected) == (0, count, [])


async def test_an_imported_entry_is_an_entry_like_any_other(foundation: Foundation) -> None:
    await run_import(foundation, SAMPLES / "2026-03-02-03-queue-again.md")

    entry = await foundation.diary.entries.get(OWNER, "2026-03-02-03-queue-again")

    assert entry.author == "model-b"
    assert entry.session == "02"
    assert entry.version == 1
    assert entry.role == "owner"
    assert entry.sharing == "pending"
    assert entry.signature.state == "pending"
    said = Version(
        id=entry.id,
        owner=OWNER,
        author="model-b",
        session="02",
        type="handoff",
        title="Handoff: The queue, seen from the other side",
        content="# Handoff: The queue, seen from the other side\n",
        tags=(),
        importance=0.5,
        date=datetime(2026, 3, 2, 15, tzinfo=UTC),
        version=1,
        updated_at=entry.updated_at,
        content_hash="",
    )
    assert entry.content_hash == content_hash(said)


async def test_a_file_that_names_no_author_is_its_importers(foundation: Foundation) -> None:
    await run_import(foundation, SAMPLES / "2026-03-02-01-plain.md", owner=BOB)

    assert (await get_entry(foundation, "2026-03-02-01-plain", BOB)).author == BOB


async def test_a_changed_file_makes_a_new_version_of_the_same_entry(
    foundation: Foundation, tmp_path: Path
) -> None:
    folder = write_files(tmp_path / "in", {"a": "---\ntype: note\nx: 1\n---\nold", "b": "same"})
    await run_import(foundation, folder)
    before = await get_entry(foundation, "a")

    write_files(folder, {"a": "---\ndate: 2026-03-01\nauthor: m\nsession: s\nx: 2\n---\n# New"})
    report = await run_import(foundation, folder)

    after = await get_entry(foundation, "a")
    assert (report.imported, report.unchanged) == (1, 1)
    assert (after.id, after.version, after.content) == (before.id, 2, "# New")
    assert (after.author, after.session, after.title) == ("m", "s", "New")
    assert after.date == datetime(2026, 3, 1, tzinfo=UTC)
    assert after.front_matter == "---\ndate: 2026-03-01\nauthor: m\nsession: s\nx: 2\n---\n"
    assert await query(foundation, "select version, content from diary.entry_version") == [
        (1, "old")
    ]


async def test_the_same_file_changes_nothing_though_a_tool_changed_the_entry(
    foundation: Foundation, tmp_path: Path
) -> None:
    folder = write_files(tmp_path / "in", {"a": "text"})
    await run_import(foundation, folder)
    await foundation.diary.entries.update(OWNER, "a", 1, EntryChanges(content="by a tool"))
    os.utime(folder / "a.md", (0, 0))

    report = await run_import(foundation, folder)

    assert (report.imported, report.unchanged) == (0, 1)
    assert (await get_entry(foundation, "a")).content == "by a tool"


@pytest.mark.parametrize(
    ("text", "imported"),
    [
        pytest.param("---\ndate: 2026-03-01\ntags: a\n---\n# T", 0, id="equal"),
        pytest.param("---\ndate: 2026-03-01\ntags: b\n---\n# T", 1, id="other tags"),
        pytest.param("---\ndate: 2026-03-01\ntags: a\nx: 1\n---\n# T", 1, id="unknown key"),
        pytest.param("---\ndate: 2026-03-01\ntags: a\nsupersedes: b\n---\n# T", 1, id="claim"),
    ],
)
async def test_a_file_with_the_key_of_a_tools_entry_is_a_new_version_only_if_it_says_more(
    foundation: Foundation, tmp_path: Path, text: str, imported: int
) -> None:
    date = datetime(2026, 3, 1, tzinfo=UTC)
    draft = EntryDraft(content="# T", title="T", key="a", date=date, tags=["a"])
    created = await foundation.diary.entries.create(OWNER, draft)

    report = await run_import(foundation, write_files(tmp_path / "in", {"a": text}))

    after = await get_entry(foundation, "a")
    assert (report.imported, report.unchanged) == (imported, 1 - imported)
    assert (after.id, after.version) == (created.id, 1 + imported)


async def test_two_owners_import_the_same_files_beside_each_other(foundation: Foundation) -> None:
    await run_import(foundation, SAMPLES)

    report = await run_import(foundation, SAMPLES, owner=BOB)

    assert report.imported == 8
    assert len(await list_entries(foundation, BOB)) == 8


async def test_what_cannot_be_imported_is_named_and_the_others_go_on(
    foundation: Foundation, tmp_path: Path
) -> None:
    folder = write_files(tmp_path / "in", {"a": "good", "b": "---\ntags: [\n---\n", "c": "good"})

    report = await run_import(foundation, folder, tmp_path / "missing")

    assert report.imported == 2
    assert [Path(rejection.path).name for rejection in report.rejected] == ["missing", "b.md"]


async def test_a_dry_run_reports_the_same_and_writes_nothing(
    foundation: Foundation, tmp_path: Path
) -> None:
    folder = write_files(tmp_path / "in", {"a": "one", "b": "two", "c": "---\ntags: [\n---\n"})
    await run_import(foundation, folder / "a.md", folder / "b.md")
    write_files(folder, {"b": "changed", "d": "new"})
    before = await list_entries(foundation)

    dry = await run_import(foundation, folder, dry_run=True)
    unwritten = await list_entries(foundation)
    wet = await run_import(foundation, folder)

    assert (dry.imported, dry.unchanged, len(dry.rejected)) == (2, 1, 1)
    assert unwritten == before
    assert wet == dry


async def test_lines_are_imported_like_files(foundation: Foundation, tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text(
        '{"content": "one", "key": "a"}\n{"content": "two", "supersedes": "a"}\n{"content": 3}\n'
    )

    first = await run_import(foundation, path)
    second = await run_import(foundation, path)

    assert (first.imported, first.unchanged) == (2, 0)
    assert (second.imported, second.unchanged) == (0, 2)
    assert [rejection.path for rejection in second.rejected] == [f"{path}:3"]
    older, newer = sorted(await list_entries(foundation), key=lambda entry: entry.content)
    assert newer.supersedes == [older.id]


async def test_progress_is_told_in_files(foundation: Foundation, tmp_path: Path) -> None:
    folder = write_files(tmp_path / "in", {f"{number:03}": "x" for number in range(150)})
    told: list[tuple[int, int]] = []

    await import_paths(
        [folder],
        owner=OWNER,
        store=foundation.store,
        on_progress=lambda done, total: told.append((done, total)),
    )

    assert told == [(100, 150), (150, 150)]
