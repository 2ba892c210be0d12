"""Whether entries still say what was written and signed (docs/signing.md)."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Sequence
from time import monotonic

import anyio.to_thread

from diary_mcp.domain.chain import ChainHead, PublicKey
from diary_mcp.domain.errors import NotFoundError
from diary_mcp.domain.fields import AgentName
from diary_mcp.domain.verification import (
    ChainReport,
    Verification,
    VerificationReport,
    VerificationTotals,
)
from diary_mcp.domain.version import EntryRecord
from diary_mcp.service.chain.check import ChainCheck, CheckedEntry
from diary_mcp.service.chain.continuity import end_of
from diary_mcp.service.chain.key_history import CheckSignature
from diary_mcp.service.chain.links import ChainSigning
from diary_mcp.service.entries.access import Access
from diary_mcp.service.ports.chain import KeptLink
from diary_mcp.service.ports.entries import EntryPosition
from diary_mcp.service.ports.store import Reading, Store

_MAX_LISTED = 100
_MAX_SECONDS = 20.0
_PAGE_SIZE = 100
_LINKS_AT_ONCE = 1_000

Progress = Callable[[int, int], Awaitable[None]]
"""Told how much is done, and how much there is: links of the chain, and entries."""


class VerificationService:
    """Checks entries of one diary."""

    def __init__(
        self,
        store: Store,
        access: Access,
        check_signature: CheckSignature,
        signing: ChainSigning,
    ) -> None:
        self._store = store
        self._access = access
        self._check_signature = check_signature
        self._signing = signing

    async def verify(
        self, caller: AgentName, reference: str, *, most_seconds: float = _MAX_SECONDS
    ) -> VerificationReport:
        """Checks one entry that the caller may read, and the chain that it is in.

        It is valid where nothing is wrong with the chain either: what was taken away from that,
        or put into it, may be about this entry.

        Raises:
            NotFoundError: there is none.
        """
        entry = await self._access.get(caller, reference)
        deadline = monotonic() + most_seconds
        remembered = self._signing.recall(entry.owner)
        async with self._store.snapshot() as rows:
            stored = await rows.archive.find_stored(entry.owner, ids=[entry.id])
            if not stored:
                raise NotFoundError(f"Entry {entry.id} was deleted a moment ago.")
            (checked,) = await list_checked(rows, entry.owner, stored)
            head = await rows.chain.find_head(entry.owner)
            check = ChainCheck(
                entry.owner, self._check_signature, remembered=remembered, about={entry.id}
            )
            is_whole = await _add_links(check, rows, deadline)
        if entry.role == "viewer":
            # Whoever may not read it any more learns nothing of what was read here.
            await self._access.get(caller, str(entry.id))
        found = check.check_entry(checked)
        if is_whole:
            check.finish(end_of(head))
        found = _in_its_chain(found, check, is_whole=is_whole)
        collected = Collected(1)
        collected.add([found])
        told = found.model_copy(update=check.proof_of(checked))
        report = collected.report(check, 1, None if is_whole else "link").model_copy(
            update={"entries": (told,)}
        )
        # How much else the owner has written is not a viewer's to know.
        return report if entry.role == "owner" else report.model_copy(update={"chain": None})

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

        Without a remembered head it is the one that this machine has seen, where it has.

        Only entries with a problem are listed. When the time is up it stops, and says how far it
        came.
        """
        remembered = remembered or self._signing.recall(owner)
        check = ChainCheck(owner, self._check_signature, trusted, remembered)
        collected = Collected(most_listed)
        deadline = monotonic() + most_seconds
        async with self._store.snapshot() as rows:
            head = await rows.chain.find_head(owner)
            entry_count = (await rows.entries.count(owner))["entries"]
            link_count = 0 if head is None else head.sequence
            total = link_count + entry_count

            async def report_link() -> None:
                await report_progress(check.sequence, max(total, check.sequence))

            if not await _add_links(check, rows, deadline, report_link):
                return collected.report(check, entry_count, "link")
            async for stored in entry_pages(rows, owner):
                checked = await list_checked(rows, owner, stored)
                collected.add(await anyio.to_thread.run_sync(_check_entries, check, checked))
                done = check.sequence + collected.totals.checked
                await report_progress(done, max(total, done))
                if monotonic() > deadline and collected.totals.checked < entry_count:
                    return collected.report(check, entry_count, "entry")
        collected.add(check.finish(end_of(head)))
        return collected.report(check, entry_count)


class Collected:
    """What was found so far."""

    def __init__(self, most_listed: int) -> None:
        self._most_listed = most_listed
        self._problems: list[Verification] = []
        self._problem_count = 0
        self.totals = VerificationTotals()

    def add(self, found: Sequence[Verification]) -> None:
        """Counts what was found, and keeps the first that have a problem."""
        for each in found:
            self.totals = self.totals.plus(each)
            if not each.is_sound:
                self._problem_count += 1
                if len(self._problems) < self._most_listed:
                    self._problems.append(each)

    def report(
        self, check: ChainCheck, entry_count: int, stopped_at: str | None = None
    ) -> VerificationReport:
        """What it adds up to; `stopped_at` says why it ended early."""
        listed = len(self._problems)
        checked = self.totals.checked
        notice = None
        if stopped_at is not None:
            notice = (
                f"Checked {check.sequence} links and the newest {checked} of {entry_count} "
                "entries, then time was up; verify an older one by its entry_id, or all with "
                "`diary-mcp verify`."
            )
        elif listed < self._problem_count:
            notice = f"{listed} of {self._problem_count} entries with a problem are listed."
        broken = check.broken
        return VerificationReport(
            entries=tuple(self._problems),
            totals=self.totals,
            chain=ChainReport(
                sequence=check.sequence,
                hash=check.hash,
                broken=broken and f"link {broken.sequence}: {broken.problem}",
            ),
            notice=notice,
        )


async def link_pages(rows: Reading, owner: AgentName) -> AsyncGenerator[Sequence[KeptLink]]:
    """The owner's chain, from the first link on."""
    after = 0
    while page := await rows.chain.list_links(owner, after, _LINKS_AT_ONCE):
        yield page
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
    earlier = await rows.chain.list_whole_versions(owner, ids)
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


async def _nothing() -> None:
    """For whoever is told of no progress."""


async def _add_links(
    check: ChainCheck,
    rows: Reading,
    deadline: float,
    report: Callable[[], Awaitable[None]] = _nothing,
) -> bool:
    """Adds the owner's whole chain, page by page; `False` where time was up before its end."""
    async for links in link_pages(rows, check.owner):
        if monotonic() > deadline:
            return False
        await anyio.to_thread.run_sync(_check_links, check, links)
        await report()
    return True


def _check_links(check: ChainCheck, links: Sequence[KeptLink]) -> None:
    for row in links:
        check.add_link(row.link)
        if row.sequence != check.sequence:
            check.break_at(check.sequence, f"link {check.sequence} is kept as {row.sequence}")


def _check_entries(check: ChainCheck, entries: Sequence[CheckedEntry]) -> list[Verification]:
    return [check.check_entry(entry) for entry in entries]


def _in_its_chain(found: Verification, check: ChainCheck, *, is_whole: bool) -> Verification:
    """What was found of a signed entry, with what is wrong with its chain."""
    if found.problem is not None or not found.is_signed:
        return found
    problem = None
    if check.broken is not None:
        problem = f"its chain is broken at link {check.broken.sequence}: {check.broken.problem}"
    elif not is_whole:
        problem = "its chain could not be checked to the end in time"
    if problem is None:
        return found
    return found.model_copy(update={"signature_valid": False, "problem": problem})
