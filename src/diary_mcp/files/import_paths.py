"""Importing files and folders into an owner's diary."""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import anyio.to_thread

from diary_mcp.domain.credentials import CredentialDoor
from diary_mcp.domain.errors import ForbiddenError, NotFoundError
from diary_mcp.domain.fields import AgentName, DiaryId
from diary_mcp.domain.version import EntryRecord
from diary_mcp.files.drafts import source_hash
from diary_mcp.files.json_lines import render_line
from diary_mcp.files.markdown import render_markdown
from diary_mcp.files.reading import CLOSED_DOOR, read_batches
from diary_mcp.files.sources import Rejection, Source, find_sources
from diary_mcp.service.archive.importer import EntryImport, ImportedEntry
from diary_mcp.service.chain.links import ChainSigning
from diary_mcp.service.entries.target_diary import Places, Target
from diary_mcp.service.ports.store import Store, UnitOfWork

BATCH_SIZE = 100

OnProgress = Callable[[int, int], None]
"""Called with how many files are done, and how many there are."""


@dataclass
class ImportReport:
    """What became of the entries. New and changed ones both count as imported."""

    imported: int = 0
    unchanged: int = 0
    rejected: list[Rejection] = field(default_factory=list[Rejection])
    closed: Mapping[str, int] = field(default_factory=dict[str, int])
    """Diaries that files name and their importer may not write to, and how many do."""


async def import_paths(
    paths: Iterable[Path],
    *,
    owner: AgentName,
    store: Store,
    signing: ChainSigning | None = None,
    dry_run: bool = False,
    door: CredentialDoor = CLOSED_DOOR,
    may_overwrite: bool = False,
    places: Places | None = None,
    diary: str | None = None,
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
        may_overwrite: whether a file replaces what was changed in the diary since.
        places: finds the diaries that files name; without it, all goes into `main`.
        diary: where what names none goes.
        dry_run: compare only, change nothing; the report is the same.
        on_progress: told after each batch.

    Raises:
        DatabaseUnavailableError: the batches before are imported; run it again for the rest.
        ConflictError: somebody else keeps changing the same entries; likewise.
    """
    report = ImportReport()
    placing = _Placing(owner, places, diary)
    if diary is not None and places is not None:
        await places.target(owner, diary, diary)
    found = await anyio.to_thread.run_sync(list, find_sources(paths))
    report.rejected += [item for item in found if isinstance(item, Rejection)]
    sources = [item for item in found if isinstance(item, Source)]
    run = EntryImport(
        store,
        owner,
        is_own_export,
        signing,
        is_there=os.path.lexists,
        hold_diary=placing.hold,
        may_overwrite=may_overwrite,
    )
    batches = read_batches(sources, BATCH_SIZE, door)
    while batch := await anyio.to_thread.run_sync(next, batches, None):
        entries = [await placing.admit(entry) for entry in batch.entries]
        outcome = await (run.compare(entries) if dry_run else run.write(entries))
        report.imported += outcome.imported
        report.unchanged += outcome.unchanged + batch.repeated
        report.rejected += batch.rejected
        report.rejected += [Rejection(place, reason) for place, reason in outcome.refused]
        if on_progress is not None:
            on_progress(batch.files_done, len(sources))
    if not dry_run:
        await run.link()
    report.closed = placing.closed
    return report


class _Placing:
    """Into which diary each entry goes: the one that its file names, where that may be written to.

    One of the owner's own is made where there is none.
    """

    def __init__(self, owner: AgentName, places: Places | None, otherwise: str | None) -> None:
        self.closed: Counter[str] = Counter()
        self._owner = owner
        self._places = places
        self._otherwise = otherwise
        self._targets: dict[str, Target | None] = {}

    async def admit(self, entry: ImportedEntry) -> ImportedEntry:
        """The entry, with a diary only where it can go there."""
        named = entry.draft.diary
        if named is not None and await self._find(named) is None:
            self.closed[named] += 1
            named = None
        return replace(
            entry, draft=entry.draft.model_copy(update={"diary": named or self._otherwise})
        )

    async def hold(self, unit: UnitOfWork, name: str) -> DiaryId | None:
        """The diary, in the unit of work that writes into it; `None`: the owner's `main`."""
        target = await self._find(name)
        if self._places is None or target is None or target.is_own_main:
            return None
        held = await self._places.hold(unit, target)
        return held and held.id

    async def _find(self, name: str) -> Target | None:
        if name not in self._targets:
            self._targets[name] = None
            if self._places is not None:
                with suppress(ForbiddenError, NotFoundError):
                    self._targets[name] = await self._places.target(self._owner, name, name)
        return self._targets[name]


def is_own_export(entry: ImportedEntry, stored: EntryRecord) -> bool:
    """Whether a file or line is, to the byte, what an export of the stored entry gives now."""
    if entry.name is None:
        exported = render_line(stored).strip()
    else:
        exported = render_markdown(stored, name=entry.name)
    return source_hash(exported) == entry.source_hash
