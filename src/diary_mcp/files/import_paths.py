"""Importing files and folders into an owner's diary."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import anyio.to_thread

from diary_mcp.domain.fields import AgentName
from diary_mcp.domain.version import EntryRecord
from diary_mcp.files.drafts import source_hash
from diary_mcp.files.json_lines import render_line
from diary_mcp.files.markdown import render_markdown
from diary_mcp.files.reading import CLOSED_DOOR, read_batches
from diary_mcp.files.sources import Rejection, Source, find_sources
from diary_mcp.service.archive.importer import EntryImport, ImportedEntry
from diary_mcp.service.chain.links import ChainSigning
from diary_mcp.service.entries.credentials import CredentialDoor
from diary_mcp.service.ports.store import Store

BATCH_SIZE = 100

OnProgress = Callable[[int, int], None]
"""Called with how many files are done, and how many there are."""


@dataclass
class ImportReport:
    """What became of the entries. New and changed ones both count as imported."""

    imported: int = 0
    unchanged: int = 0
    rejected: list[Rejection] = field(default_factory=list[Rejection])


async def import_paths(
    paths: Iterable[Path],
    *,
    owner: AgentName,
    store: Store,
    signing: ChainSigning | None = None,
    dry_run: bool = False,
    door: CredentialDoor = CLOSED_DOOR,
    on_progress: OnProgress | None = None,
) -> ImportReport:
    """Imports Markdown files, JSON Lines and folders of them.

    Each batch is committed by itself, so that a run that is killed leaves whole batches, and the
    next run goes on with the rest. What cannot be imported is rejected with its reason and does
    not keep the others back.

    Args:
        paths: files and folders.
        owner: whose diary the entries go to; the author of those that name none.
        store: where.
        signing: signs what is imported; without it all stays pending.
        door: rejects what looks like a credential, unless it is open.
        dry_run: compare only, change nothing; the report is the same.
        on_progress: told after each batch.

    Raises:
        DatabaseUnavailableError: the batches before are imported; run it again for the rest.
        ConflictError: somebody else keeps changing the same entries; likewise.
    """
    report = ImportReport()
    found = await anyio.to_thread.run_sync(list, find_sources(paths))
    report.rejected += [item for item in found if isinstance(item, Rejection)]
    sources = [item for item in found if isinstance(item, Source)]
    run = EntryImport(store, owner, is_own_export, signing)
    batches = read_batches(sources, BATCH_SIZE, door)
    while batch := await anyio.to_thread.run_sync(next, batches, None):
        outcome = await (run.compare(batch.entries) if dry_run else run.write(batch.entries))
        report.imported += outcome.imported
        report.unchanged += outcome.unchanged + batch.repeated
        report.rejected += batch.rejected
        if on_progress is not None:
            on_progress(batch.files_done, len(sources))
    if not dry_run:
        await run.link()
    return report


def is_own_export(entry: ImportedEntry, stored: EntryRecord) -> bool:
    """Whether a file or line is, to the byte, what an export of the stored entry gives now."""
    if entry.name is None:
        exported = render_line(stored).strip()
    else:
        exported = render_markdown(stored, name=entry.name)
    return source_hash(exported) == entry.source_hash
