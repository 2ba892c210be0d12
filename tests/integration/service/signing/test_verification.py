"""Checking entries against their content hashes, on PostgreSQL."""

import pytest

from diary_mcp.app import Foundation
from diary_mcp.domain.entry import Entry, EntryChanges, EntryDraft
from diary_mcp.domain.errors import NotFoundError
from diary_mcp.domain.fields import AgentName
from diary_mcp.domain.verification import Verification, VerificationTotals

pytestmark = pytest.mark.anyio

ALICE = AgentName("alice")
BOB = AgentName("bob")
TAMPERING = [
    "content = content || '.'",
    "title = 'another'",
    "tags = array['another']",
    "type = 'decision'",
    "importance = 0.75",
    "author = 'another'",
    "session = 'another'",
    "date = date + interval '1 microsecond'",
    "version = version + 1",
]


async def write(foundation: Foundation, content: str = "What happened.") -> Entry:
    return await foundation.diary.entries.create(ALICE, EntryDraft(content=content, tags=["a"]))


async def tamper(foundation: Foundation, entry: Entry, change: str) -> None:
    async with foundation.database.connection() as connection:
        await connection.execute(
            f"update diary.entry set {change} where id = %(id)s".encode(), {"id": entry.id}
        )


class Told:
    """Progress as it was told."""

    def __init__(self) -> None:
        self.steps: list[tuple[int, int]] = []

    async def __call__(self, done: int, total: int) -> None:
        self.steps.append((done, total))


async def test_an_entry_as_it_was_written_matches_its_hash(foundation: Foundation) -> None:
    entry = await write(foundation, "Ünïcode \u2028 🦊\r\n")
    await foundation.diary.entries.update(
        ALICE, str(entry.id), 1, EntryChanges(importance=0.1, tags=["b", "ü"])
    )
    present = await foundation.diary.entries.get(ALICE, str(entry.id))

    report = await foundation.diary.verification.verify(ALICE, str(entry.id))

    assert report.entries == (
        Verification(entry_id=entry.id, content_hash=present.content_hash, hash_matches=True),
    )
    assert report.totals == VerificationTotals(checked=1)
    assert report.notice is None


@pytest.mark.parametrize("change", TAMPERING)
async def test_a_row_that_was_changed_behind_the_diary_does_not_match(
    foundation: Foundation, change: str
) -> None:
    entry = await write(foundation)
    await tamper(foundation, entry, change)

    report = await foundation.diary.verification.verify(ALICE, str(entry.id))

    assert report.entries == (
        Verification(entry_id=entry.id, content_hash=entry.content_hash, hash_matches=False),
    )
    assert report.totals == VerificationTotals(checked=1, hash_mismatches=1)


async def test_an_entry_that_the_caller_may_not_read_is_not_found(foundation: Foundation) -> None:
    entry = await write(foundation)

    with pytest.raises(NotFoundError):
        await foundation.diary.verification.verify(BOB, str(entry.id))


async def test_all_own_entries_are_checked_and_the_bad_ones_listed(
    foundation: Foundation,
) -> None:
    for _ in range(3):
        await write(foundation)
    bad = await write(foundation)
    await foundation.diary.entries.create(BOB, EntryDraft(content="bob's"))
    await write(foundation)
    await tamper(foundation, bad, "content = 'forged'")
    told = Told()

    report = await foundation.diary.verification.verify_all(ALICE, told)

    assert report.entries == (
        Verification(entry_id=bad.id, content_hash=bad.content_hash, hash_matches=False),
    )
    assert report.totals == VerificationTotals(checked=5, hash_mismatches=1)
    assert (report.notice, told.steps) == (None, [(5, 5)])


async def test_a_long_diary_is_checked_whole_and_its_problems_listed_in_part(
    foundation: Foundation,
) -> None:
    entries = [await write(foundation) for _ in range(130)]
    for each in entries:
        await tamper(foundation, each, "content = 'forged'")
    told = Told()

    report = await foundation.diary.verification.verify_all(ALICE, told)

    assert len(report.entries) == 100
    assert report.totals == VerificationTotals(checked=130, hash_mismatches=130)
    assert report.notice == "100 of 130 entries with a problem are listed."
    assert told.steps == [(100, 130), (130, 130)]


async def test_an_empty_diary_has_nothing_to_check(foundation: Foundation) -> None:
    report = await foundation.diary.verification.verify_all(ALICE, Told())

    assert (report.entries, report.totals) == ((), VerificationTotals())
