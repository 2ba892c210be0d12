"""Search never shows, counts or ranks by an entry that the caller may not read."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diary_mcp.app import Foundation
from diary_mcp.domain.entry import EntryDraft, EntryFilters, SearchHit, SearchMode
from diary_mcp.domain.fields import Grantee
from support.searching import ALICE, BOB, Searching, WordEmbedder

pytestmark = pytest.mark.anyio

WORDS = ("backup", "disk", "failed", "restore", "moon")
MODES: tuple[SearchMode, ...] = ("hybrid", "text", "semantic")

contents = st.lists(st.sampled_from(WORDS), min_size=1, max_size=6).map(" ".join)


@pytest.fixture
def diary(foundation: Foundation) -> Searching:
    return Searching(foundation, WordEmbedder())


def seen(hits: list[SearchHit]) -> list[tuple[object, ...]]:
    return [(hit.id, hit.score, hit.matched, hit.snippet, hit.superseded_by) for hit in hits]


@settings(max_examples=8)
@given(
    own=st.lists(contents, max_size=4),
    shared=st.lists(contents, max_size=4),
    private=st.lists(contents, min_size=1, max_size=6),
    query=contents,
    mode=st.sampled_from(MODES),
    indexed=st.booleans(),
)
async def test_what_others_write_for_themselves_changes_nothing(
    diary: Searching,
    *,
    own: list[str],
    shared: list[str],
    private: list[str],
    query: str,
    mode: SearchMode,
    indexed: bool,
) -> None:
    await diary.query("delete from diary.entry")
    await diary.write(*own, owner=BOB)
    session = [EntryDraft(content=text, session="s", author="ann") for text in shared]
    readable = await diary.write(*session)
    for entry in readable:
        await diary.share(entry, BOB)
    await diary.index()
    before = await diary.find(query, reader=BOB, mode=mode, limit=50)

    await diary.write(*(EntryDraft(content=text, session="s", author=query) for text in private))
    if readable:
        await diary.write(EntryDraft(content="moon", supersedes=[str(readable[0].id)]))
    if indexed:
        await diary.index()
    after = await diary.find(query, reader=BOB, mode=mode, limit=50)

    assert seen(list(before.rows)) == seen(list(after.rows))
    assert before.notice == after.notice


async def test_a_removed_viewer_finds_nothing_any_more(diary: Searching) -> None:
    (entry,) = await diary.write("The backup failed.")
    await diary.share(entry, BOB)
    with_share = await diary.find("backup", reader=BOB)

    await diary.foundation.diary.sharing.unshare(ALICE, str(entry.id), Grantee(BOB))
    without = await diary.find("backup", reader=BOB)

    assert [hit.id for hit in with_share.rows] == [entry.id]
    assert without.rows == []


async def test_a_share_that_the_backend_denies_is_not_searched(diary: Searching) -> None:
    (entry,) = await diary.write("The backup failed.")
    await diary.share(entry, BOB)
    await diary.query("delete from diary.relation_tuple where relation = 'viewer'")

    for mode in MODES:
        page = await diary.find("The backup failed.", reader=BOB, mode=mode)
        assert page.rows == []

    assert (await diary.find("backup", reader=BOB)).rows == []


async def test_shared_entries_can_be_searched_alone(diary: Searching) -> None:
    (shared,) = await diary.write("A backup of Alice's.")
    await diary.write("A backup of Bob's.", owner=BOB)
    await diary.share(shared, BOB)

    page = await diary.find("backup", reader=BOB, filters=EntryFilters(scope="shared"))

    assert [(hit.id, hit.role) for hit in page.rows] == [(shared.id, "viewer")]
