"""A database from before there were diaries, with all that was in it, is migrated."""

from pathlib import Path

import pytest

from diary_mcp.app import Foundation
from diary_mcp.domain.entry import Entry, EntryChanges, EntryFilters, EntrySummary
from diary_mcp.domain.fields import AgentName, Grantee
from diary_mcp.store.migrations import migrate
from support.ground_truth import read_truth
from support.in_memory import settle_all
from support.saved_states import go_back
from support.signed_diaries import ALICE, head_of, signed_diary, silent, verify, write

pytestmark = pytest.mark.anyio

BOB = AgentName("bob")
FIRST_AFTERWARDS = "0015_supersession.sql"
EVERYTHING = EntryFilters(scope="all")


async def fill(diary: Foundation) -> list[Entry]:
    """Entries of every kind: alone, superseding, changed, shared, deleted, asked for twice."""
    plain = await write(diary, "Plain.", tags=["a", "b"], importance=0.9, session="s")
    older = await write(diary, "The cache is in Redis.", key="cache", type="decision")
    newer = await write(diary, "It is in PostgreSQL.", supersedes=["cache"], type="correction")
    changed = await write(diary, "Wrogn.")
    entries, sharing = diary.diary.entries, diary.diary.sharing
    await entries.update(ALICE, str(changed.id), 1, EntryChanges(content="Right."))
    shared, gone = await write(diary, "For bob."), await write(diary, "To be forgotten.")
    await diary.diary.agents.register(BOB)
    for entry in (shared, gone):
        await sharing.share(ALICE, str(entry.id), Grantee(BOB), note="Look.")
    await entries.delete(ALICE, str(gone.id))
    await settle_all(diary)
    return [plain, older, newer, changed, shared]


async def read(diary: Foundation, made: list[Entry]) -> list[Entry]:
    """As their owner does."""
    return [await diary.diary.entries.get(ALICE, str(entry.id)) for entry in made]


async def listed(
    diary: Foundation, agent: AgentName, filters: EntryFilters = EVERYTHING
) -> list[EntrySummary]:
    return list((await diary.diary.listing.list_entries(agent, filters, None, 100)).rows)


async def test_all_that_there_was_is_in_main_and_as_good_as_before(
    database_url: str, tmp_path: Path
) -> None:
    async with signed_diary(database_url, tmp_path) as diary:
        made = await fill(diary)
        before, lists = (
            await read(diary, made),
            [await listed(diary, each) for each in (ALICE, BOB)],
        )
        head, report = await head_of(diary), await verify(diary)
    go_back(database_url, FIRST_AFTERWARDS)

    applied = await migrate(database_url)

    assert applied[0].name == FIRST_AFTERWARDS
    async with signed_diary(database_url, tmp_path) as diary:
        assert await read(diary, made) == before
        assert [await listed(diary, each) for each in (ALICE, BOB)] == lists
        assert [entry.id for entry in lists[1]] == [made[-1].id]
        in_main = await listed(diary, ALICE, EntryFilters(scope="all", diary="main"))
        assert in_main == lists[0]
        assert await verify(diary, remembered=head) == report
        assert not report.entries

        # And it goes on from there.
        await diary.diary.diaries.open(ALICE, "work")
        await diary.diary.entries.update(
            ALICE, "cache", 1, EntryChanges(diary="work", content="The cache was in Redis.")
        )
        await settle_all(diary)
        again = await diary.diary.verification.verify_all(ALICE, silent, remembered=head)
        assert (again.entries, again.chain and again.chain.broken) == ((), None)
        assert [entry.id for entry in await listed(diary, BOB)] == [made[-1].id]
    truth = read_truth(database_url)
    assert truth.tuples == truth.wanted
