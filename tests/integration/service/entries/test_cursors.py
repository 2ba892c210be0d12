"""A cursor is good at every replica of the database that it was made on, and at no other."""

from collections.abc import Awaitable, Callable

import pytest

from diary_mcp.app import Foundation, open_foundation
from diary_mcp.domain.entry import EntryDraft, EntryFilters
from diary_mcp.domain.errors import InvalidArgumentError
from diary_mcp.domain.fields import AgentName, Grantee
from diary_mcp.settings import Settings
from support.databases import fresh_database
from support.ground_truth import ask

pytestmark = pytest.mark.anyio

ALICE = AgentName("alice")
GRANTEES = [Grantee("bob"), Grantee("cleo")]
Page = tuple[list[object], str | None]
"""What stands on it, and where the next one begins."""


async def entries(foundation: Foundation, cursor: str | None) -> Page:
    page = await foundation.diary.listing.list_entries(ALICE, EntryFilters(), cursor, 1)
    return [row.id for row in page.rows], page.next_cursor


async def hits(foundation: Foundation, cursor: str | None) -> Page:
    search = foundation.diary.search
    page = await search.search(ALICE, "rain", EntryFilters(), mode="text", cursor=cursor, limit=1)
    return [row.id for row in page.rows], page.next_cursor


async def shares(foundation: Foundation, cursor: str | None) -> Page:
    page = await foundation.diary.diaries.list_shares(ALICE, None, cursor, 1)
    return [(row.grantee, row.created_at) for row in page.rows], page.next_cursor


async def trail(foundation: Foundation, cursor: str | None) -> Page:
    page = await foundation.diary.trail.list_given(ALICE, cursor, 1)
    return [row.id for row in page.rows], page.next_cursor


LISTS = [entries, hits, shares, trail]


async def write(foundation: Foundation) -> None:
    diary = foundation.diary
    for agent in (ALICE, *GRANTEES):
        await diary.agents.register(AgentName(agent))
    for content in ("Rain in the morning.", "Rain in the evening."):
        entry = await diary.entries.create(ALICE, EntryDraft(content=content))
    for grantee in GRANTEES:
        await diary.sharing.share(ALICE, str(entry.id), grantee)
    await foundation.indexer.index_waiting()


def with_key_of_its_own(url: str) -> str:
    """The databases of tests are copies, keys included, which those of users are not."""
    ask(url, "update diary.identity set cursor_key = sha256('another'::bytea)")
    return url


@pytest.mark.parametrize("read", LISTS)
async def test_a_cursor_goes_on_at_another_replica_and_after_a_restart(
    database_url: str, read: Callable[[Foundation, str | None], Awaitable[Page]]
) -> None:
    here = Settings(database_url=database_url)
    async with open_foundation(here) as first, open_foundation(here) as second:
        await write(first)
        seen, cursor = await read(first, None)
        assert cursor is not None
        others = await read(second, cursor)
        assert await read(first, cursor) == others
    async with open_foundation(here) as restarted:
        assert await read(restarted, cursor) == others
    assert len(seen) == len(others[0]) == 1
    assert seen != others[0]


async def test_a_cursor_of_another_database_is_refused(
    foundation: Foundation, postgres_url: str
) -> None:
    async with (
        fresh_database(postgres_url) as url,
        open_foundation(Settings(database_url=with_key_of_its_own(url))) as elsewhere,
    ):
        for opened in (foundation, elsewhere):
            await write(opened)
        for read in LISTS:
            _, cursor = await read(elsewhere, None)
            assert cursor is not None
            with pytest.raises(InvalidArgumentError):
                await read(foundation, cursor)
