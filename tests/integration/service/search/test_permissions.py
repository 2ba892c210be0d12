"""Search never shows, counts or ranks by an entry that the caller may not read."""

from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diary_mcp.app import Foundation
from diary_mcp.domain.entry import (
    EntryChanges,
    EntryDraft,
    EntryFilters,
    SearchHit,
    SearchMode,
)
from diary_mcp.domain.errors import NotFoundError
from diary_mcp.domain.fields import AgentName, DiaryId, EntryId, Grantee, GroupName
from diary_mcp.service.ports.entries import Place, Readership
from diary_mcp.service.ports.search import Postings, QueryWords
from diary_mcp.service.search.corpus import SearchedEntries
from diary_mcp.service.search.loader import DocumentLoader
from diary_mcp.service.search.query import SearchRequest
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


async def test_what_is_shared_with_a_group_is_found_by_a_member_who_has_searched_before(
    diary: Searching,
) -> None:
    (entry,) = await diary.write("The backup failed.")
    await diary.foundation.diary.agents.register(BOB)
    await diary.query("insert into diary.agent_group (name) values ('team')")
    await diary.foundation.permissions.add(GroupName("team"), Grantee(BOB))
    before = await diary.find("backup", reader=BOB)

    await diary.share(entry, Grantee("group:team"))
    found = [await diary.find("backup", reader=BOB) for _ in range(2)]
    await diary.foundation.diary.sharing.unshare(ALICE, str(entry.id), Grantee("group:team"))
    after = [await diary.find("backup", reader=BOB) for _ in range(2)]

    assert before.rows == []
    assert [[hit.id for hit in page.rows] for page in found] == [[entry.id], [entry.id]]
    assert [page.rows for page in after] == [[], []]


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


TEAM = EntryFilters(scope="all", include_superseded=False, diary="alice/team")
DRAFTS = st.tuples(st.sampled_from([ALICE, BOB]), contents)


@settings(max_examples=10)
@given(
    written=st.lists(DRAFTS, min_size=1, max_size=5),
    elsewhere=st.lists(DRAFTS, min_size=1, max_size=5),
    query=contents,
    mode=st.sampled_from(MODES),
    indexed=st.booleans(),
)
async def test_a_diary_is_searched_as_if_its_writers_wrote_nowhere_else(
    diary: Searching,
    *,
    written: list[tuple[AgentName, str]],
    elsewhere: list[tuple[AgentName, str]],
    query: str,
    mode: SearchMode,
    indexed: bool,
) -> None:
    await diary.query("delete from diary.entry")
    await diary.open_team(BOB)

    def drafts(
        texts: list[tuple[AgentName, str]], place: str
    ) -> list[tuple[EntryDraft, AgentName]]:
        return [
            (EntryDraft(content=text, diary=place, session="s", author="ann"), writer)
            for writer, text in texts
        ]

    for draft, owner in drafts(written, "alice/team"):
        await diary.write(draft, owner=owner)
    if indexed:
        await diary.index()
    before = [
        await diary.find(query, reader=each, mode=mode, filters=TEAM) for each in (ALICE, BOB)
    ]

    for draft, owner in drafts(elsewhere, "main"):
        await diary.write(draft, owner=owner)
    await diary.query("update diary.search_document set words_by = null where diary_id is null")
    if indexed:
        await diary.index()
    after = [await diary.find(query, reader=each, mode=mode, filters=TEAM) for each in (ALICE, BOB)]

    assert len({str(seen(list(page.rows))) for page in (*before, *after)}) == 1
    assert len({page.notice for page in (*before, *after)}) == 1


async def test_a_diary_is_searched_with_what_is_in_it_now(diary: Searching) -> None:
    await diary.open_team(BOB)
    elsewhere = Searching(diary.foundation, diary.embedder)
    drafts = [
        EntryDraft(content=f"The backup of {day} failed.", diary="alice/team") for day in "abc"
    ]
    first, second, third = await elsewhere.write(*drafts, owner=BOB)
    entries = diary.foundation.diary.entries
    await diary.index()

    async def found(mode: SearchMode = "hybrid") -> set[EntryId]:
        page = await diary.find("backup", mode=mode, filters=TEAM)
        return {hit.id for hit in page.rows}

    assert await found() == {first.id, second.id, third.id}
    await entries.update(BOB, str(first.id), 1, EntryChanges(diary="main"))
    assert await found() == {second.id, third.id}
    await entries.update(BOB, str(first.id), 2, EntryChanges(diary="alice/team"))
    await entries.delete(BOB, str(third.id))
    await diary.index()
    for mode in MODES:
        assert await found(mode) == {first.id, second.id}
    # The owner reads it whole; who may read it no more is told nothing of it.
    await diary.foundation.diary.diaries.unshare(ALICE, "team", Grantee(BOB))
    assert await found() == {first.id, second.id}
    with pytest.raises(NotFoundError):
        await diary.find("backup", reader=BOB, filters=TEAM)


async def test_the_owner_of_a_diary_finds_without_naming_it_what_others_wrote_there(
    diary: Searching,
) -> None:
    (own,) = await diary.write("The backup failed.")
    before = await diary.find("backup")

    await diary.open_team(BOB)
    drafts = [EntryDraft(content="A backup of the disk.", diary="alice/team")]
    (written,) = await diary.write(*drafts, owner=BOB)
    after = await diary.find("backup")

    assert [hit.id for hit in before.rows] == [own.id]
    assert {hit.id for hit in after.rows} == {own.id, written.id}


async def test_a_role_that_the_backend_denies_opens_no_diary_to_a_search(diary: Searching) -> None:
    await diary.open_team(BOB)
    (entry,) = await diary.write(EntryDraft(content="The backup failed.", diary="team"))
    await diary.index()
    ((diary_id,),) = await diary.query("select id::text from diary.diary")
    looked = Place(ALICE, "team", DiaryId(UUID(str(diary_id))))
    loader = DocumentLoader(diary.foundation.store, diary.foundation.permissions, no_model)
    request = SearchRequest(BOB, "backup", TEAM, "text", 10, None)
    reader = Readership(BOB, place=looked)
    words = QueryWords((), ("backup", "moon"))
    open_to_bob = await loader.read(request, reader, words, None)

    await diary.query("delete from diary.relation_tuple where relation = 'writer'")

    denied = await loader.read(request, reader, words, None)
    assert isinstance(open_to_bob.entries, SearchedEntries)
    assert isinstance(denied.entries, SearchedEntries)
    assert (open_to_bob.entries.size, denied.entries.size) == (1, 0)
    assert open_to_bob.postings == [Postings("backup", entry.id.bytes, (1).to_bytes(4, "big"))]
    assert denied.postings is None


async def no_model() -> None:
    return None


async def test_no_word_is_guessed_that_stands_in_another_diary(diary: Searching) -> None:
    await diary.open_team(BOB)
    await diary.write(EntryDraft(content="A backup of the disk.", diary="alice/team"), owner=BOB)
    await diary.write("The walrus is secret.", owner=BOB)
    await diary.index()

    page = await diary.find("walrsu disk", filters=TEAM, mode="text")
    own = await diary.find("walrsu", reader=BOB, mode="text")

    assert ["walrus" in str(hit.matched) for hit in page.rows] == [False]
    assert "walrus" not in str(page.notice)
    assert "walrus" in str(own.rows)
