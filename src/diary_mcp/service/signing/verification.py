"""Whether entries still say what was written and signed (docs/signing.md)."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Sequence
from time import monotonic

import anyio.to_thread

from diary_mcp.domain.errors import NotFoundError
from diary_mcp.domain.fields import AgentName, EntryId
from diary_mcp.domain.signing import ChainHead, PublicKey
from diary_mcp.domain.verification import (
    ChainReport,
    Verification,
    VerificationReport,
    VerificationTotals,
)
from diary_mcp.service.chain.check import ChainCheck, CheckedEntry
from diary_mcp.service.chain.key_history import CheckSignature
from diary_mcp.service.chain.statements import read_statement
from diary_mcp.service.entries.access import Access
from diary_mcp.service.ports.chain import Head, SignedLink
from diary_mcp.service.ports.entries import EntryPosition, EntryRecord
from diary_mcp.service.ports.store import Reading, Store

_MAX_LISTED = 100
_MAX_SECONDS = 20.0
_PAGE_SIZE = 100
_LINKS_AT_ONCE = 200

Progress = Callable[[int, int], Awaitable[None]]
"""Told how much is done, and how much there is: links of the chain, and entries."""


class VerificationService:
    """Checks entries of one diary."""

    def __init__(self, store: Store, access: Access, check_signature: CheckSignature) -> None:
        self._store = store
        self._access = access
        self._check_signature = check_signature

    async def verify(self, caller: AgentName, reference: str) -> VerificationReport:
        """Checks one entry that the caller may read, its last link, and the keys up to there.

        Raises:
            NotFoundError: there is none.
        """
        entry = await self._access.get(caller, reference)
        async with self._store.snapshot() as rows:
            stored = await rows.archive.find_stored(entry.owner, ids=[entry.id])
            if not stored:
                raise NotFoundError(f"Entry {entry.id} was deleted a moment ago.")
            links = await _links_about(rows, stored[0])
            checked = await list_checked(rows, entry.owner, stored)
        if entry.role == "viewer":
            # Whoever may not read it any more learns nothing of what was read here.
            await self._access.get(caller, str(entry.id))
        check = ChainCheck(entry.owner, self._check_signature, is_whole=False)
        found = await anyio.to_thread.run_sync(_check_all, check, links, checked)
        return VerificationReport(entries=tuple(found), totals=_totals(found))

    async def verify_all(
        self,
        owner: AgentName,
        report_progress: Progress,
        *,
        trusted: Collection[PublicKey] = (),
        remembered: ChainHead | None = None,
        most_seconds: float = _MAX_SECONDS,
        most_listed: int = _MAX_LISTED,
    ) -> VerificationReport:
        """Checks the owner's chain and every entry, as of one moment.

        Entries with a problem are listed first, then those that are not signed. When the time is
        up it stops, and says how far it came.
        """
        check = ChainCheck(owner, self._check_signature, trusted, remembered)
        collected = Collected(most_listed)
        deadline = monotonic() + most_seconds
        async with self._store.snapshot() as rows:
            head = await rows.chain.find_head(owner)
            entry_count = (await rows.entries.count(owner))["entries"]
            link_count = 0 if head is None else head.sequence
            total = link_count + entry_count
            async for links in link_pages(rows, owner):
                await anyio.to_thread.run_sync(_check_all, check, links, ())
                await report_progress(check.sequence, max(total, check.sequence))
                if monotonic() > deadline:
                    return collected.report(check, entry_count, "link")
            async for stored in entry_pages(rows, owner):
                checked = await list_checked(rows, owner, stored)
                collected.add(await anyio.to_thread.run_sync(_check_all, check, (), checked))
                done = check.sequence + collected.totals.checked
                await report_progress(done, max(total, done))
                if monotonic() > deadline and collected.totals.checked < entry_count:
                    return collected.report(check, entry_count, "entry")
        collected.add(check.finish(end_of(head)))
        return collected.report(check, entry_count)


class Collected:
    """What was found so far, the worst first."""

    def __init__(self, most_listed: int) -> None:
        self._most_listed = most_listed
        self._lists: tuple[list[Verification], ...] = ([], [], [])
        self.totals = VerificationTotals()

    def add(self, found: Sequence[Verification]) -> None:
        """Counts what was found, and keeps the first of each kind."""
        for each in found:
            self.totals = self.totals.plus(each)
            listed = self._lists[0 if not each.is_sound else 1 if not each.is_signed else 2]
            if len(listed) < self._most_listed:
                listed.append(each)

    def report(
        self, check: ChainCheck, entry_count: int, stopped_at: str | None = None
    ) -> VerificationReport:
        """What it adds up to; `stopped_at` says why it ended early."""
        entries = tuple(each for some in self._lists for each in some)[: self._most_listed]
        checked = self.totals.checked
        notice = None
        if stopped_at is not None:
            notice = (
                f"Checked {check.sequence} links and the newest {checked} of {entry_count} "
                "entries, then time was up; verify an older one by its entry_id, or all with "
                "`diary-mcp verify`."
            )
        elif len(entries) < checked:
            notice = f"{len(entries)} of {checked} entries are listed, those with a problem first."
        broken = check.broken
        return VerificationReport(
            entries=entries,
            totals=self.totals,
            chain=ChainReport(
                sequence=check.sequence,
                hash=check.hash,
                broken=broken and f"link {broken.sequence}: {broken.problem}",
            ),
            notice=notice,
        )


async def link_pages(rows: Reading, owner: AgentName) -> AsyncGenerator[Sequence[SignedLink]]:
    """The owner's chain, from the first link on."""
    after = 0
    while page := await rows.chain.list_links(owner, after, _LINKS_AT_ONCE):
        yield [row.link for row in page]
        after = page[-1].sequence


async def entry_pages(rows: Reading, owner: AgentName) -> AsyncGenerator[Sequence[EntryRecord]]:
    """The owner's entries, newest `date` first."""
    position: EntryPosition | None = None
    while page := await rows.archive.list_stored(owner, position, _PAGE_SIZE):
        yield page
        position = EntryPosition(page[-1].date, page[-1].id)


async def list_checked(
    rows: Reading, owner: AgentName, stored: Sequence[EntryRecord]
) -> list[CheckedEntry]:
    """The entries with their history, and the salts of what is signed."""
    ids = [entry.id for entry in stored]
    salts = await rows.chain.list_salts(owner, ids)
    earlier = await rows.chain.list_versions(owner, ids)
    return [
        CheckedEntry(
            id=entry.id,
            key=entry.key,
            owner=entry.owner,
            supersedes=entry.supersedes,
            created_at=entry.created_at,
            versions=(entry, *earlier.get(entry.id, ())),
            salts=salts.get(entry.id, {}),
        )
        for entry in stored
    ]


async def _links_about(rows: Reading, entry: EntryRecord) -> list[SignedLink]:
    """The links of keys, of the entry, and of what it says it supersedes, in order."""
    own = await rows.chain.list_entry_links(entry.owner, [entry.id])
    claimed = _claimed(own[max(own)]) if own else None
    others = await rows.chain.list_entry_links(entry.owner, [claimed]) if claimed else {}
    links = {**await rows.chain.list_key_links(entry.owner), **own, **others}
    return [link for _, link in sorted(links.items(), key=lambda each: each[0])]


def _claimed(link: SignedLink) -> EntryId | None:
    try:
        statement = read_statement(link.statement)
    except ValueError:
        return None
    return None if statement.supersedes is None else statement.supersedes.entry


def _check_all(
    check: ChainCheck, links: Sequence[SignedLink], entries: Sequence[CheckedEntry]
) -> list[Verification]:
    for link in links:
        check.add_link(link)
    return [check.check_entry(entry) for entry in entries]


def _totals(found: Sequence[Verification]) -> VerificationTotals:
    totals = VerificationTotals()
    for each in found:
        totals = totals.plus(each)
    return totals


def end_of(head: Head | None) -> ChainHead | None:
    """The head as a checker is told it."""
    if head is None or head.hash is None:
        return None
    return ChainHead(sequence=head.sequence, hash=head.hash)
