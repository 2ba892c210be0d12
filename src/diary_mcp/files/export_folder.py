"""Exporting an owner's diary into a folder.

A file that is there already is only replaced where the diary has everything that it says: then
nothing is lost. Exporting again into the same folder, or back into the folder that was imported,
therefore works, and an edit that nobody imported yet is kept and named.
"""

import re
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, Literal

import anyio.to_thread

from diary_mcp.domain.diaries import MAIN
from diary_mcp.domain.entry import EntryDraft
from diary_mcp.domain.errors import InvalidArgumentError
from diary_mcp.domain.fields import AgentName, EntryId
from diary_mcp.domain.version import EntryRecord, EntryVersion
from diary_mcp.files.bundle import export_bundle
from diary_mcp.files.extra_fields import is_json
from diary_mcp.files.folder import ExportFolder
from diary_mcp.files.json_lines import render_line
from diary_mcp.files.markdown import read_markdown, render_markdown
from diary_mcp.files.names import SUFFIX, file_names, folder_name, titled_names
from diary_mcp.files.sources import Rejection, shown
from diary_mcp.service.archive.exporter import EntryExport
from diary_mcp.service.archive.importer import ImportedEntry
from diary_mcp.service.chain.proofs import covers
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


@dataclass(frozen=True)
class ExportChoice:
    """Which entries are exported, and how their files are called."""

    diary: str | None = None
    """Only those in this diary: `main`, NAME or OWNER/NAME."""
    by_diary: bool = False
    """Each diary in a folder of its own."""
    with_titles: bool = False
    """Day and title in place of the id where an entry has no key."""

    def has(self, entry: EntryRecord) -> bool:
        """Whether the entry is to be exported."""
        return self.diary is None or self.diary == (entry.diary_name or MAIN)

    def folder_of(self, entry: EntryRecord) -> str:
        """The folder within the one that is exported to; a name that every system takes."""
        name = (entry.diary_name or MAIN).replace("/", "~") if self.by_diary else ""
        return name and folder_name(name)


EVERYTHING = ExportChoice()


async def export_entries(
    directory: Path,
    *,
    owner: AgentName,
    store: Store,
    file_format: ExportFormat = "markdown",
    choice: ExportChoice = EVERYTHING,
) -> ExportReport:
    """Writes the owner's entries; one that is created meanwhile may be missing.

    As JSON Lines they are one file, `entries.jsonl`, which is always replaced; so is the bundle,
    which always has all of them.

    Raises:
        InvalidArgumentError: the folder cannot be written; the files before are complete.
        DatabaseUnavailableError: likewise.
    """
    if file_format == "bundle":
        return ExportReport(written=await export_bundle(directory, owner=owner, store=store))
    await anyio.to_thread.run_sync(ExportFolder, directory)
    export = EntryExport(store, owner)
    if file_format == "jsonl":
        return await _export_lines(export, directory, choice)
    return await _export_files(export, directory, choice)


async def _export_lines(export: EntryExport, directory: Path, choice: ExportChoice) -> ExportReport:
    report = ExportReport()
    with ExitStack() as stack:
        files: dict[str, BinaryIO] = {} if choice.by_diary else {"": _lines_in(directory, stack)}
        async for page in export.pages():
            for entry in filter(choice.has, page):
                name = choice.folder_of(entry)
                if name not in files:
                    files[name] = _lines_in(directory / name, stack)
                files[name].write(render_line(entry))
                report.written += 1
    return report


def _lines_in(directory: Path, stack: ExitStack) -> BinaryIO:
    return stack.enter_context(ExportFolder(directory).replacing(JSON_LINES_NAME))


@dataclass(frozen=True)
class _File:
    """One entry's file: its name, what it is to hold, and what it holds now."""

    entry: EntryRecord
    name: str
    wanted: bytes
    present: bytes | None
    obstacle: str | None = None
    """Why what is there cannot be read."""


async def _export_files(export: EntryExport, directory: Path, choice: ExportChoice) -> ExportReport:
    began_at = datetime.now(UTC)
    report = ExportReport()
    references = await export.list_references()
    names = (titled_names if choice.with_titles else file_names)(references)
    # What an entry without a key is claimed by is its id, which an import knows.
    claims = file_names(references)
    folders: dict[str, ExportFolder] = {}
    async for page in export.pages():
        for entry in page:
            name = names.get(entry.id)
            if name is None or not choice.has(entry):
                continue
            place = choice.folder_of(entry)
            if place not in folders:
                folders[place] = ExportFolder(directory / place)
            file = await anyio.to_thread.run_sync(_file, entry, name, claims, folders[place])
            await _put(file, folders[place], export, report)
    if not report.kept:
        for folder in folders.values():
            await export.remember(folder.place, began_at)
    return report


async def _put(
    file: "_File", folder: ExportFolder, export: EntryExport, report: ExportReport
) -> None:
    if file.present == file.wanted:
        report.unchanged += 1
    elif (reason := await _reason_to_keep(file, export)) is not None:
        report.kept.append(Rejection(shown(folder.path / (file.name + SUFFIX)), reason))
    else:
        await anyio.to_thread.run_sync(folder.write, file.name + SUFFIX, file.wanted)
        report.written += 1


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
    if _unknown(said, file) != _unknown(wanted, file) or not _is_own(said, file.entry):
        return False
    earlier = await export.list_earlier_versions(file.entry.id)
    return _said(draft) in map(_said, (file.entry, *earlier))


def _unknown(said: ImportedEntry, file: _File) -> set[str]:
    """What a file says beyond its entry; of its signature an imported entry keeps every word."""
    was_imported = file.entry.front_matter is not None and not is_json(file.entry.front_matter)
    lines = said.unknown_keys
    return {line for line in lines if not (was_imported and _SIGNATURE.match(line))}


def _is_own(said: ImportedEntry, entry: EntryRecord) -> bool:
    """Whether the diary has what a file says of its signature: an own link, or what it kept.

    A signature of something else than what the file says is worth nothing.
    """
    proof = read_proof(said.origin)
    if proof is None or said.origin == entry.origin or proof.statement.entry == entry.id:
        return True
    return not covers(proof, said.draft)


def _said(version: EntryDraft | EntryRecord | EntryVersion) -> tuple[object, ...]:
    return (
        version.type,
        version.title,
        version.content,
        tuple(version.tags),
        version.importance,
    )
