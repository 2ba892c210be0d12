"""Exporting an owner's diary into a folder.

A file that is there already is only replaced where the diary has everything that it says: then
nothing is lost. Exporting again into the same folder, or back into the folder that was imported,
therefore works, and an edit that nobody imported yet is kept and named.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import anyio.to_thread

from diary_mcp.domain.entry import EntryDraft
from diary_mcp.domain.errors import InvalidArgumentError
from diary_mcp.domain.fields import AgentName, EntryId
from diary_mcp.domain.version import EntryRecord, EntryVersion
from diary_mcp.files.bundle import export_bundle
from diary_mcp.files.folder import ExportFolder
from diary_mcp.files.json_lines import render_line
from diary_mcp.files.kept import is_json
from diary_mcp.files.markdown import read_markdown, render_markdown
from diary_mcp.files.names import SUFFIX, file_names
from diary_mcp.files.sources import Rejection, shown
from diary_mcp.service.archive.exporter import EntryExport
from diary_mcp.service.archive.importer import ImportedEntry
from diary_mcp.service.chain.statements import read_proof
from diary_mcp.service.ports.store import Store

ExportFormat = Literal["markdown", "jsonl", "bundle"]

_SIGNATURE = re.compile("signature *[:=]")
JSON_LINES_NAME = "entries.jsonl"


@dataclass
class ExportReport:
    """What became of the files. `kept` are those that were not replaced, with the reason."""

    written: int = 0
    unchanged: int = 0
    kept: list[Rejection] = field(default_factory=list[Rejection])


async def export_entries(
    directory: Path, *, owner: AgentName, store: Store, file_format: ExportFormat = "markdown"
) -> ExportReport:
    """Writes every entry of the owner's; one that is created meanwhile may be missing.

    As JSON Lines they are one file, `entries.jsonl`, which is always replaced; so is the bundle.

    Raises:
        InvalidArgumentError: the folder cannot be written; the files before are complete.
        DatabaseUnavailableError: likewise.
    """
    if file_format == "bundle":
        return ExportReport(written=await export_bundle(directory, owner=owner, store=store))
    folder = await anyio.to_thread.run_sync(ExportFolder, directory)
    export = EntryExport(store, owner)
    if file_format == "jsonl":
        return await _export_lines(export, folder)
    return await _export_files(export, folder)


async def _export_lines(export: EntryExport, folder: ExportFolder) -> ExportReport:
    report = ExportReport()
    with folder.replacing(JSON_LINES_NAME) as file:
        async for page in export.pages():
            await anyio.to_thread.run_sync(file.writelines, [render_line(entry) for entry in page])
            report.written += len(page)
    return report


@dataclass(frozen=True)
class _File:
    """One entry's file: its name, what it is to hold, and what it holds now."""

    entry: EntryRecord
    name: str
    wanted: bytes
    present: bytes | None
    obstacle: str | None = None
    """Why what is there cannot be read."""


async def _export_files(export: EntryExport, folder: ExportFolder) -> ExportReport:
    report = ExportReport()
    names = file_names(await export.list_references())
    async for page in export.pages():
        for file in await anyio.to_thread.run_sync(_prepare, page, names, folder):
            if file.present == file.wanted:
                report.unchanged += 1
            elif (reason := await _reason_to_keep(file, export)) is not None:
                report.kept.append(Rejection(shown(folder.path / (file.name + SUFFIX)), reason))
            else:
                await anyio.to_thread.run_sync(folder.write, file.name + SUFFIX, file.wanted)
                report.written += 1
    return report


def _prepare(
    page: Sequence[EntryRecord], names: Mapping[EntryId, str], folder: ExportFolder
) -> list[_File]:
    return [
        _file(entry, name, names, folder)
        for entry in page
        if (name := names.get(entry.id)) is not None
    ]


def _file(
    entry: EntryRecord, name: str, names: Mapping[EntryId, str], folder: ExportFolder
) -> _File:
    wanted = render_markdown(entry, name=name, names=names)
    try:
        return _File(entry, name, wanted, folder.find(name + SUFFIX))
    except InvalidArgumentError as error:
        return _File(entry, name, wanted, None, str(error))


async def _reason_to_keep(file: _File, export: EntryExport) -> str | None:
    if file.obstacle is not None:
        return f"is in the way and was left as it is: {file.obstacle}"
    if file.present is None or await _has_all_of(file, file.present, export):
        return None
    return (
        "says what the diary does not have, and was left as it is; import it, move it away, or "
        "export into another folder."
    )


async def _has_all_of(file: _File, present: bytes, export: EntryExport) -> bool:
    """Whether the diary has, in some version of the entry, everything that the file says."""
    try:
        said = read_markdown(present, name=file.name, modified_at=file.entry.date)
    except InvalidArgumentError:
        return False
    wanted = read_markdown(file.wanted, name=file.name, modified_at=file.entry.date)
    draft, now = said.draft, wanted.draft
    if (draft.date, draft.author, draft.session) != (now.date, now.author, now.session):
        return False
    if _unknown(said, file) != _unknown(wanted, file) or not _is_own(said.origin, file.entry):
        return False
    earlier = await export.list_earlier_versions(file.entry.id)
    return _said(draft) in map(_said, (file.entry, *earlier))


def _unknown(said: ImportedEntry, file: _File) -> set[str]:
    """What a file says beyond its entry; of its signature an imported entry keeps every word."""
    was_imported = file.entry.front_matter is not None and not is_json(file.entry.front_matter)
    lines = said.unknown_keys
    return {line for line in lines if not (was_imported and _SIGNATURE.match(line))}


def _is_own(origin: str | None, entry: EntryRecord) -> bool:
    """Whether the diary has what a file says of its signature: an own link, or what it kept."""
    proof = read_proof(origin)
    return proof is None or origin == entry.origin or proof.statement.entry == entry.id


def _said(version: EntryDraft | EntryRecord | EntryVersion) -> tuple[object, ...]:
    return (
        version.type,
        version.title,
        version.content,
        tuple(version.tags),
        version.importance,
    )
