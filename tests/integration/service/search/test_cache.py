"""A process keeps what it read for one search; the next finds what is there now all the same."""

from collections.abc import Callable, Coroutine, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diary_mcp.app import Foundation
from diary_mcp.domain.entry import EntryChanges, EntryDraft, EntryFilters, SearchHit, SearchMode
from diary_mcp.domain.fields import AgentName, Grantee
from diary_mcp.service.ports.entries import Readership
from diary_mcp.service.ports.search import QueryWords
from support.searching import ALICE, BOB, Searching, WordEmbedder

pytestmark = pytest.mark.anyio

WORDS = ("backup", "disk", "failed", "restore", "moon")
UNSEEN = (
    "alter table diary.search_document disable trigger search_document_is_renewed",
    "update diary.search_document set vectors_by = 'another model'",
    "alter table diary.search_document enable trigger search_document_is_renewed",
)
Change = Callable[[Searching, str], Coroutine[object, object, object]]


@pytest.fixture
def diary(foundation: Foundation) -> Searching:
    return Searching(foundation, WordEmbedder())


async def create(elsewhere: Searching, text: str) -> None:
    await elsewhere.write(EntryDraft(content=text, session="s", author="ann"))


async def update(elsewhere: Searching, text: str) -> None:
    for entry in await newest(elsewhere):
        await elsewhere.foundation.diary.entries.update(
            ALICE, str(entry.id), entry.version, EntryChanges(content=text)
        )


async def supersede(elsewhere: Searching, text: str) -> None:
    for entry in await newest(elsewhere):
        await elsewhere.write(EntryDraft(content=text, supersedes=[str(entry.id)]))


async def delete(elsewhere: Searching, _text: str) -> None:
    for entry in await newest(elsewhere):
        await elsewhere.foundation.diary.entries.delete(ALICE, str(entry.id))


async def replace(elsewhere: Searching, text: str) -> None:
    """As many entries before and after."""
    await delete(elsewhere, text)
    await create(elsewhere, text)


async def rename_author(elsewhere: Searching, text: str) -> None:
    """What an import does to an entry whose text stays as it is."""
    await elsewhere.query("update diary.entry set author = %s, session = 't'", text)


async def index(elsewhere: Searching, _text: str) -> None:
    await elsewhere.index()


async def newest(elsewhere: Searching) -> list[SearchHit]:
    """One entry of Alice's, or none."""
    page = await elsewhere.find(
        " ".join(WORDS), filters=EntryFilters(scope="mine", include_superseded=False), limit=1
    )
    return list(page.rows)


async def share(elsewhere: Searching, _text: str) -> None:
    for hit in await newest(elsewhere):
        entry = await elsewhere.foundation.diary.entries.get(ALICE, str(hit.id))
        await elsewhere.share(entry, BOB)


async def unshare(elsewhere: Searching, _text: str) -> None:
    for entry_id, grantee in await elsewhere.query("select entry_id, grantee from diary.share"):
        await elsewhere.foundation.diary.sharing.unshare(
            ALICE, str(entry_id), Grantee(str(grantee))
        )


async def create_in_team(elsewhere: Searching, text: str) -> None:
    await elsewhere.write(EntryDraft(content=text, diary="alice/team"), owner=BOB)


async def move(elsewhere: Searching, _text: str) -> None:
    """To where it was not."""
    for hit in await newest(elsewhere):
        entry = await elsewhere.foundation.diary.entries.get(ALICE, str(hit.id))
        place = "main" if entry.diary is not None and entry.diary.name == "team" else "team"
        await elsewhere.foundation.diary.entries.update(
            ALICE, str(hit.id), entry.version, EntryChanges(diary=place)
        )


CHANGES: tuple[Change, ...] = (
    create, update, supersede, delete, replace, rename_author, index, share, unshare,
    create_in_team, move,
)  # fmt: skip

TURNS: tuple[tuple[tuple[AgentName, SearchMode], ...], ...] = (
    ((ALICE, "hybrid"), (BOB, "text")),
    ((ALICE, "text"), (BOB, "hybrid")),
)
"""Who looks, and how, after every other change."""


@pytest.mark.parametrize("large_from", [None, 0])
@settings(max_examples=5)
@given(
    changes=st.lists(
        st.tuples(st.sampled_from(CHANGES), st.sampled_from(WORDS)), min_size=4, max_size=10
    )
)
async def test_whatever_others_do_a_kept_search_finds_what_a_new_one_finds(
    foundation: Foundation, large_from: int | None, changes: list[tuple[Change, str]]
) -> None:
    diary = Searching(foundation, WordEmbedder(), large_from)
    await diary.query("delete from diary.entry")
    elsewhere = Searching(diary.foundation, diary.embedder)
    await elsewhere.open_team(BOB)
    await elsewhere.write("The backup of the disk failed.", "A restore at full moon.")
    await elsewhere.index()
    for number, (change, text) in enumerate(changes):
        await change(elsewhere, text)
        for reader, mode in TURNS[number % len(TURNS)]:
            anew = Searching(diary.foundation, diary.embedder)
            expected = await anew.find("backup moon", reader=reader, mode=mode)

            found = await diary.find("backup moon", reader=reader, mode=mode)

            assert apart_from_scores(found.rows) == apart_from_scores(expected.rows)
            team = EntryFilters(scope="all", include_superseded=False, diary="alice/team")
            kept = await diary.find("backup moon", reader=reader, mode=mode, filters=team)
            read = await anew.find("backup moon", reader=reader, mode=mode, filters=team)
            assert apart_from_scores(kept.rows) == apart_from_scores(read.rows)
            # What is kept may be added up in another order.
            scores = [hit.score for hit in expected.rows]
            assert [hit.score for hit in found.rows] == pytest.approx(scores, abs=1e-4)
            assert found.notice == expected.notice


def apart_from_scores(hits: Sequence[SearchHit]) -> list[SearchHit]:
    return [hit.model_copy(update={"score": 0}) for hit in hits]


async def test_what_is_kept_is_not_read_again(diary: Searching) -> None:
    await diary.write("The backup failed.", "The moon is full.")
    await diary.index()
    await diary.find("moon")
    for statement in UNSEEN:
        await diary.query(statement)

    kept = await diary.find("moon")
    anew = await Searching(diary.foundation, diary.embedder).find("moon")

    assert kept.notice is None
    assert anew.notice is not None


async def test_where_words_stand_is_read_with_what_there_is(diary: Searching) -> None:
    """By itself, that would be one round trip more for each search of one's own."""
    (entry,) = await diary.write("backup backup")
    await diary.index()
    everything = EntryFilters(scope="all", include_superseded=False)
    asked = Readership(ALICE), everything, QueryWords((), ("backup", "moon"))

    async with diary.foundation.store.reading() as rows:
        snapshot = await rows.search.read_snapshot(*asked, 100)
        of_a_large_diary = await rows.search.read_snapshot(*asked, 1)

    assert (snapshot.terms, snapshot.posting_ids) == (["backup"], [entry.id.bytes])
    assert snapshot.posting_counts == [(2).to_bytes(4, "big")]
    assert of_a_large_diary.terms == []


async def test_a_change_that_search_reads_makes_a_new_revision(diary: Searching) -> None:
    (entry,) = await diary.write("The backup failed.")
    revisions: list[object] = []
    for statement in (
        "update diary.entry set author = 'ann'",
        "update diary.entry set session = 's'",
        "update diary.entry set date = date - interval '1 day'",
        "update diary.search_document set asks = true",
        "update diary.search_document set owner = owner",
    ):
        await diary.query(statement)
        ((revision,),) = await diary.query(
            "select revision from diary.search_document where entry_id = %s", entry.id
        )
        revisions.append(revision)

    assert len(set(revisions)) == len(revisions)
