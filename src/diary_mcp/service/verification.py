"""Whether entries still say what was written: each one's content hash, computed anew."""

from collections.abc import Awaitable, Callable
from time import monotonic

from diary_mcp.domain.entry import Entry
from diary_mcp.domain.fields import AgentName
from diary_mcp.domain.verification import Verification, VerificationReport, VerificationTotals
from diary_mcp.service.access import Access
from diary_mcp.service.archive import StoredEntry
from diary_mcp.service.exporting import EntryExport
from diary_mcp.service.hashing import content_hash
from diary_mcp.service.ports import Store

_MOST_LISTED = 100
_MOST_SECONDS = 20.0

Progress = Callable[[int, int], Awaitable[None]]
"""Told how many entries are done, and how many there are."""


class VerificationService:
    """Checks entries of one diary."""

    def __init__(self, store: Store, access: Access) -> None:
        self._store = store
        self._access = access

    async def verify(self, caller: AgentName, reference: str) -> VerificationReport:
        """Checks one entry that the caller may read.

        Raises:
            NotFoundError: there is none.
        """
        found = _check(await self._access.get(caller, reference))
        return VerificationReport(entries=(found,), totals=VerificationTotals().plus(found))

    async def verify_all(self, owner: AgentName, report_progress: Progress) -> VerificationReport:
        """Checks every entry of the owner's, newest first, page by page.

        At most 100 are listed, those with a problem first. After 20 seconds it stops, and says
        how far it came.
        """
        async with self._store.reading() as rows:
            total = (await rows.entries.count(owner))["entries"]
        deadline = monotonic() + _MOST_SECONDS
        sound: list[Verification] = []
        unsound: list[Verification] = []
        totals = VerificationTotals()
        async for page in EntryExport(self._store, owner).pages():
            for found in map(_check, page):
                totals = totals.plus(found)
                listed = sound if found.is_sound else unsound
                if len(listed) < _MOST_LISTED:
                    listed.append(found)
            await report_progress(totals.checked, max(total, totals.checked))
            if monotonic() > deadline:
                break
        entries = (*unsound, *sound)[:_MOST_LISTED]
        return VerificationReport(
            entries=entries, totals=totals, notice=_notice(len(entries), totals.checked, total)
        )


def _check(entry: Entry | StoredEntry) -> Verification:
    computed = content_hash(
        entry_id=entry.id,
        owner=entry.owner,
        author=entry.author,
        session=entry.session,
        entry_type=entry.type,
        title=entry.title,
        content=entry.content,
        tags=entry.tags,
        importance=entry.importance,
        date=entry.date,
        version=entry.version,
    )
    return Verification(entry_id=entry.id, hash_matches=computed == entry.content_hash)


def _notice(listed: int, checked: int, total: int) -> str | None:
    if checked < total:
        return (
            f"Checked the newest {checked} of {total} entries, then time was up; verify an older "
            "one by its entry_id."
        )
    if listed < checked:
        return f"{listed} of {checked} entries are listed, those with a problem first."
    return None
