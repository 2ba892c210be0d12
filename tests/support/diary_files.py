"""Importing and exporting in tests, and what the database holds afterwards."""

from collections.abc import Sequence
from pathlib import Path

from diary_mcp.app import Foundation
from diary_mcp.domain.fields import AgentName
from diary_mcp.domain.version import EntryRecord
from diary_mcp.files.export_folder import ExportReport, export_entries
from diary_mcp.files.import_paths import ImportReport, import_paths
from support.journal import OWNER


async def run_import(
    foundation: Foundation, *paths: Path, owner: AgentName = OWNER, dry_run: bool = False
) -> ImportReport:
    return await import_paths(
        paths, owner=owner, store=foundation.store, signing=foundation.signing, dry_run=dry_run
    )


async def run_export(
    foundation: Foundation, directory: Path, owner: AgentName = OWNER
) -> ExportReport:
    return await export_entries(directory, owner=owner, store=foundation.store)


async def list_entries(foundation: Foundation, owner: AgentName = OWNER) -> list[EntryRecord]:
    """Everything the owner has, by key."""
    async with foundation.store.reading() as rows:
        entries = await rows.archive.list_stored(owner, None, 10_000)
    return sorted(entries, key=lambda entry: entry.key or str(entry.id))


async def get_entry(foundation: Foundation, key: str, owner: AgentName = OWNER) -> EntryRecord:
    """The owner's entry with this key."""
    async with foundation.store.reading() as rows:
        (entry,) = await rows.archive.find_stored(owner, keys=[key])
    return entry


async def list_links(foundation: Foundation, owner: AgentName = OWNER) -> dict[str, str]:
    """Which key supersedes which."""
    return {
        entry.key or str(entry.id): " ".join(
            key or str(older)
            for older, key in zip(entry.supersedes, entry.superseded_keys, strict=True)
        )
        for entry in await list_entries(foundation, owner)
        if entry.supersedes
    }


async def query(foundation: Foundation, statement: str) -> list[tuple[object, ...]]:
    """Rows of a statement of the test's own."""
    async with foundation.database.connection() as connection:
        cursor = await connection.execute(statement.encode())
        return await cursor.fetchall() if cursor.description else []


def write_files(directory: Path, texts: dict[str, str]) -> Path:
    """A folder with these files, by name without `.md`."""
    directory.mkdir(exist_ok=True)
    for name, text in texts.items():
        (directory / f"{name}.md").write_text(text, encoding="utf-8", newline="")
    return directory


def contents(directory: Path, names: Sequence[str] = ("*.md",)) -> dict[str, bytes]:
    """The bytes of the folder's files, hidden ones too where `names` asks for them."""
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for name in names
        for path in directory.rglob(name)
        if path.is_file()
    }
