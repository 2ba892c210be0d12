"""A diary that is too large to be kept whole finds what a small one does."""

import json
from collections.abc import Collection, Sequence
from functools import cache
from hashlib import blake2b
from pathlib import Path
from random import Random

import anyio
import anyio.from_thread
import numpy as np
import pytest
from numpy.typing import NDArray
from uuid_utils.compat import uuid7

from diary_mcp.app import Foundation
from diary_mcp.domain.entry import EntryChanges, EntryDraft, EntryFilters, SearchHit, SearchMode
from diary_mcp.domain.fields import AgentName
from diary_mcp.service.ports.search import Whose
from diary_mcp.service.search import candidates, large, material, narrowing, outline, terms
from diary_mcp.service.search.cache import Documents
from diary_mcp.service.search.codes import Coder
from diary_mcp.store.migrations import migrate
from diary_mcp.store.outlines import PostgresOutlines
from support.saved_states import go_back
from support.searching import ALICE, BOB, Searching, WordEmbedder
from support.signed_diaries import signed_diary

pytestmark = pytest.mark.anyio

MODES: tuple[SearchMode, ...] = ("hybrid", "text", "semantic")
WORDS = (
    "backup", "disk", "failed", "restore", "moon", "river", "stone", "table", "window", "garden",
    "letter", "bridge", "copper", "lantern", "harbour", "violin", "meadow", "thunder", "pepper",
    "orchard",
)  # fmt: skip
SIZE = 240
OTHERS = """
with copy as (
    insert into diary.entry (
        id, key, owner, author, session, type, content, tags, importance, date, created_at,
        updated_at, content_hash, diary_id
    )
    select
        made.id, made.key, e.owner, e.author, made.session, e.type, made.content, e.tags,
        made.importance, e.date, e.created_at, e.updated_at, e.content_hash, e.diary_id
    from diary.entry as e
    cross join jsonb_to_recordset(%s::jsonb)
    as made (id uuid, key text, session text, content text, importance float8)
    where e.id = %s
    returning id, owner, diary_id
),
documents as (
    insert into diary.search_document (entry_id, owner, diary_id)
    select id, owner, diary_id from copy
)
insert into diary.entry_permission (entry_id, owner)
select id, owner from copy
"""
"""Entries as the first one is: writing each by itself takes a hundred times as long."""
COPIED = (
    """
    insert into diary.entry (
        id, key, owner, author, session, type, content, tags, importance, date, created_at,
        updated_at, content_hash
    )
    select
        gen_random_uuid(), 'copy', owner, 'zoe', session, type, content, tags, importance, date,
        created_at, updated_at, content_hash
    from diary.entry where key = 'key-5'
    """,
    """
    insert into diary.search_document (entry_id, owner)
    select id, owner from diary.entry where key = 'copy'
    """,
    """
    insert into diary.entry_permission (entry_id, owner)
    select id, owner from diary.entry where key = 'copy'
    """,
)


class DenseEmbedder:
    """A model whose vectors are as a sentence model's: every number of them says a little."""

    name = "dense"
    is_warm = True

    def warm_up(self) -> None:
        pass

    def embed(self, texts: Sequence[str]) -> list[bytes]:
        return [
            sum(map(_word_vector, text.lower().split()), start=_NOTHING).tobytes() for text in texts
        ]


@cache
def _word_vector(word: str) -> NDArray[np.float32]:
    seed = blake2b(word.strip(".,?!").encode(), digest_size=4).digest()
    return np.random.default_rng([*seed]).standard_normal(256).astype("<f4")


_NOTHING = np.full(256, 0.01, dtype="<f4")


@pytest.fixture(autouse=True)
def few_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that of the diaries of these tests most is left out, as of a large one."""
    monkeypatch.setattr(material, "READ", 60)
    monkeypatch.setattr(material, "SIFTED", 0)
    monkeypatch.setattr(candidates, "REFINED", 120)
    monkeypatch.setattr(large, "SAMPLED", 100)
    monkeypatch.setattr(large, "_AT_ONCE", 50)


@pytest.fixture
async def diary(foundation: Foundation) -> Searching:
    """Alice's, with entries in sessions; every search of it is by an outline."""
    searching = Searching(foundation, DenseEmbedder(), large_from=0)
    await fill(searching, made_up())
    await searching.index()
    await until_decided(searching)
    return searching


async def fill(diary: Searching, drafts: Sequence[EntryDraft], owner: AgentName = ALICE) -> None:
    """Writes these entries."""
    first, *others = drafts
    (written,) = await diary.write(first, owner=owner)
    rows = [{"id": uuid7(), **draft.model_dump(mode="json")} for draft in others]
    await diary.query(OTHERS, json.dumps(rows, default=str), written.id)


async def until_decided(diary: Searching) -> None:
    """Waits for transactions that are older than the entries, in any database of the server.

    What was made while one of them ran is read in full, as what changed.
    """
    older = "select max(changed_in) >= pg_snapshot_xmin(pg_current_snapshot()) from search_document"
    with anyio.fail_after(60):
        while await diary.query(older) != [(False,)]:  # noqa: ASYNC110  # nothing tells
            await anyio.sleep(0.05)


def made_up() -> list[EntryDraft]:
    randomly = Random(1)
    return [
        EntryDraft(
            content=" ".join(randomly.choices(WORDS, k=randomly.randint(4, 12))),
            session=f"session-{number // 8}",
            importance=0.9 if number % 10 == 0 else 0.3,
            key=f"key-{number}",
        )
        for number in range(SIZE)
    ]


def exact(diary: Searching) -> Searching:
    """The same diary, searched whole and with nothing kept."""
    return Searching(diary.foundation, diary.embedder)


async def test_the_best_are_those_of_the_exact_ranking(
    diary: Searching, subtests: pytest.Subtests
) -> None:
    whole = exact(diary)
    for mode in MODES:
        shared = total = 0
        for query in ("backup failed", "violin meadow river", "copper lantern", "stone"):
            found = await diary.find(query, mode=mode)
            expected = await whole.find(query, mode=mode)

            with subtests.test(mode=mode, query=query):
                assert found.rows[0].id == expected.rows[0].id
            shared += len({hit.id for hit in found.rows} & {hit.id for hit in expected.rows})
            total += len(expected.rows)

        with subtests.test(mode=mode):
            assert shared >= 0.9 * total


async def test_not_all_of_it_is_read(diary: Searching, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    narrow = narrowing.LargeDiary.narrow

    async def watched(self: narrowing.LargeDiary, *arguments: object) -> narrowing.Narrowed:
        narrowed = await narrow(self, *arguments)  # pyright: ignore[reportArgumentType]
        read.append(narrowed.entries.size)
        return narrowed

    monkeypatch.setattr(narrowing.LargeDiary, "narrow", watched)

    await diary.find("backup failed")
    found = await diary.find("nothingofthesort", mode="text")

    assert 0 < read[0] < SIZE
    assert found.notice is not None
    assert f"Nothing found among {SIZE} entries" in found.notice


async def test_a_search_whose_time_was_up_leaves_what_it_read_to_the_next(
    diary: Searching, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    calls: list[anyio.CancelScope] = []
    found: list[Sequence[SearchHit]] = []

    def add_and_call_off(documents: Documents, coder: Coder) -> outline.Columns:
        read.append(documents.size)
        anyio.from_thread.run_sync(calls[-1].cancel)
        return outline.as_columns(documents, coder)

    monkeypatch.setattr(large, "as_columns", add_and_call_off)
    for _ in range(SIZE):
        with anyio.CancelScope() as call:
            calls.append(call)
            found.append((await diary.find("backup failed")).rows)
            break

    assert len(calls) > len(read) > 1
    assert sum(read) == SIZE
    (at_last,) = found
    at_once = Searching(diary.foundation, diary.embedder, large_from=0)
    assert at_last == (await at_once.find("backup failed")).rows


async def test_of_outlines_that_nobody_has_finished_the_last_are_kept(
    diary: Searching, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever left first reads its diary from the beginning again."""
    monkeypatch.setattr(large, "_LEFT_AT_MOST", 1)
    carol = AgentName("carol")
    await diary.write("A zeppelin of Bob's.", "Another one.", owner=BOB)
    await diary.write("A zeppelin of Carol's.", owner=carol)
    outlines, read = large.Outlines(0), list[int]()

    def watch(documents: Documents, coder: Coder) -> outline.Columns:
        read.append(documents.size)
        if len(read) in {1, 2}:
            anyio.from_thread.run_sync(call.cancel)
        return outline.as_columns(documents, coder)

    monkeypatch.setattr(large, "as_columns", watch)
    for whose in (Whose(ALICE), Whose(BOB), Whose(carol), Whose(ALICE)):
        async with diary.foundation.store.reading() as rows:
            with anyio.CancelScope() as call:
                await outlines.look(rows, whose, None, None)

    assert sum(read) == 50 + 2 + 1 + SIZE


async def test_what_others_wrote_changed_and_deleted_meanwhile_is_known(diary: Searching) -> None:
    await diary.find("backup")
    elsewhere = exact(diary)

    (written,) = await elsewhere.write("A zeppelin above the harbour.")
    assert [hit.id for hit in (await diary.find("zeppelin")).rows][:1] == [written.id]

    await elsewhere.index()
    assert [hit.id for hit in (await diary.find("zeppelin", mode="text")).rows] == [written.id]

    await elsewhere.foundation.diary.entries.update(
        ALICE, str(written.id), 1, EntryChanges(content="An airship above the harbour.")
    )
    assert not (await diary.find("zeppelin", mode="text")).rows
    assert [hit.id for hit in (await diary.find("airship", mode="text")).rows] == [written.id]

    nothing = await diary.find("nothingofthesort", mode="text")
    assert f"among {SIZE + 1} entries" in str(nothing.notice)

    (old,) = (await diary.find("key-17", limit=1)).rows
    await elsewhere.foundation.diary.entries.delete(ALICE, str(old.id))
    assert old.id not in ids((await diary.find("key-17", limit=50)).rows)


async def test_a_page_is_as_long_as_was_asked_for(
    diary: Searching, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(material, "READ", 10)

    assert len((await diary.find("violin meadow river", limit=50)).rows) == 50


async def test_what_an_outline_says_of_entries_that_changed_keeps_no_others_out(
    diary: Searching, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(material, "READ", 10)
    best = (await diary.find("violin meadow river", mode="text")).rows
    for hit in best:
        await diary.foundation.diary.entries.update(
            ALICE, str(hit.id), 1, EntryChanges(content="Nothing of the kind.")
        )
    await diary.index()

    found = ids((await diary.find("violin meadow river", mode="text")).rows)
    expected = ids((await exact(diary).find("violin meadow river", mode="text")).rows)

    assert len(set(found) & set(expected)) >= 7
    assert not set(found) & set(ids(best))


async def test_an_entry_of_an_unfinished_transaction_is_not_missed(diary: Searching) -> None:
    """What commits after the outline was made, though it began before."""
    async with diary.foundation.database.connection() as connection:
        async with connection.transaction():
            for statement in COPIED:
                await connection.execute(statement.encode())
            # What is committed meanwhile has a higher number than this transaction.
            await diary.write("Something else.")
            diary_before = Searching(diary.foundation, diary.embedder, large_from=0)
            assert not await of_author(diary_before, "zoe")

        assert await of_author(exact(diary), "zoe") == ["copy"]
        assert await of_author(diary_before, "zoe") == ["copy"]


async def test_what_changed_becomes_part_of_the_outline(
    diary: Searching, monkeypatch: pytest.MonkeyPatch
) -> None:
    await diary.find("backup")
    monkeypatch.setattr(large, "_MERGED_FROM", 5)
    await diary.write(*(f"A zeppelin, number {number}." for number in range(12)))
    await diary.index()
    for left in (12, 11, 10):
        found = (await diary.find("zeppelin", mode="text", limit=20)).rows
        assert len(set(ids(found))) == len(found) == left
        await exact(diary).foundation.diary.entries.delete(ALICE, str(found[0].id))


async def test_of_what_was_deleted_nothing_is_left_in_an_outline(
    diary: Searching, monkeypatch: pytest.MonkeyPatch
) -> None:
    outlines = large.Outlines(0)
    (gone,) = (await diary.find("key-17", limit=1)).rows
    packed = np.frombuffer(gone.id.bytes, dtype="S16")
    monkeypatch.setattr(large, "_MERGED_FROM", 1)
    async with diary.foundation.store.reading() as rows:
        before = await outlines.look(rows, Whose(ALICE), None, None)
        await diary.foundation.diary.entries.delete(ALICE, str(gone.id))
        before.kept.gone[before.outline.find(packed)] = True
        await diary.write("Something else.")
        await until_decided(diary)
        after = await outlines.look(rows, Whose(ALICE), None, None)

    assert before.outline.find(packed)[0] >= 0
    assert after.outline.find(packed)[0] == -1
    assert after.outline.size == SIZE


async def test_beyond_what_a_process_may_keep_the_last_outline_is_kept(diary: Searching) -> None:
    await diary.write("A zeppelin of Bob's.", owner=BOB)
    outlines = large.Outlines(0, most_bytes=1)
    async with diary.foundation.store.reading() as rows:
        view = await outlines.look(rows, Whose(ALICE), None, None)
        await outlines.look(rows, Whose(BOB), None, None)

    assert view.kept.size_bytes > 1
    assert (outlines.has(Whose(ALICE)), outlines.has(Whose(BOB))) == (False, True)


async def test_words_that_are_too_many_to_keep_are_looked_up_again(
    diary: Searching, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = ids((await diary.find("copper lantern")).rows)
    monkeypatch.setattr(terms, "MAX_BYTES", 0)

    assert ids((await diary.find("copper lantern")).rows) == expected
    assert ids((await diary.find("copper lantern")).rows) == expected


async def test_an_outline_of_another_server_is_made_anew(diary: Searching) -> None:
    outlines = large.Outlines(0)
    async with diary.foundation.store.reading() as rows:
        view = await outlines.look(rows, Whose(ALICE), None, None)
        view.kept.horizon = str(2**60)
        (written,) = await diary.write("Something else.")
        now = await outlines.look(rows, Whose(ALICE), None, None)

    assert now.outline.find(np.frombuffer(written.id.bytes, dtype="S16"))[0] >= 0


async def test_filters_that_few_entries_pass_find_them(diary: Searching) -> None:
    (rare,) = await diary.write(
        EntryDraft(content="window garden", tags=["rare"], session="session-3")
    )
    await diary.index()
    for filters in (
        EntryFilters(scope="all", tags=["rare"]),
        EntryFilters(scope="all", tags=["rare"], include_superseded=False, diary="main"),
    ):
        assert ids((await diary.find("window", filters=filters)).rows) == [rare.id]
    important = EntryFilters(scope="all", min_importance=0.5)
    assert ids((await diary.find("river", filters=important, mode="text")).rows) == ids(
        (await exact(diary).find("river", filters=important, mode="text")).rows
    )


async def test_what_supersedes_an_entry_is_found_in_its_place(diary: Searching) -> None:
    (old,) = (await diary.find("key-30", limit=1)).rows
    (new,) = await exact(diary).write(EntryDraft(content="Solved.", supersedes=[str(old.id)]))
    current = EntryFilters(scope="all", include_superseded=False)

    found = (await diary.find("key-30", filters=current)).rows

    assert found[0].id == new.id
    assert old.id not in ids(found)


async def test_phrases_and_exclusions_hold(diary: Searching) -> None:
    await diary.write("The old clock struck noon twice.", "The clock is old, noon or not.")
    await diary.index()
    for query in ('"old clock struck"', "clock -struck", '"??"'):
        found = await diary.find(query)
        assert ids(found.rows) == ids((await exact(diary).find(query)).rows)


async def test_a_misspelt_word_is_taken_for_one_that_is_there(diary: Searching) -> None:
    found = await diary.find("lanern", mode="text")

    assert found.rows
    assert all("lantern" in hit.matched for hit in found.rows[:3])


async def test_how_words_begin_is_asked_once_and_new_ones_are_known(
    diary: Searching, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[set[str]] = []
    whole = PostgresOutlines.list_vocabulary

    async def list_vocabulary(
        self: PostgresOutlines, owners: Sequence[AgentName], prefixes: Collection[str]
    ) -> list[str]:
        asked.append(set(prefixes))
        return await whole(self, owners, prefixes)

    monkeypatch.setattr(PostgresOutlines, "list_vocabulary", list_vocabulary)
    for misspelt in ("lanern", "latern"):
        found = await diary.find(misspelt, mode="text")
        assert "lantern" in found.rows[0].matched
    await diary.write("A lanyard hangs at the door.")
    await diary.index()
    newer = await diary.find("lanyrd", mode="text")

    assert asked == [{"la"}]
    assert "lanyard" in newer.rows[0].matched


async def test_pages_follow_one_another(diary: Searching) -> None:
    seen: list[SearchHit] = []
    cursor: str | None = None
    for _ in range(6):
        page = await diary.find("backup disk", cursor=cursor)
        seen += page.rows
        cursor = page.next_cursor

    assert len(set(ids(seen))) == len(seen) == 60
    assert [hit.score for hit in seen] == sorted((hit.score for hit in seen), reverse=True)


async def test_a_team_s_diary_is_searched_by_whom_it_is_open_to(diary: Searching) -> None:
    await diary.open_team(BOB)
    drafts = [draft.model_copy(update={"diary": "alice/team", "key": None}) for draft in made_up()]
    await fill(diary, drafts, owner=BOB)
    await diary.index()
    team = EntryFilters(scope="all", include_superseded=False, diary="alice/team")

    of_alice = await diary.find("copper lantern", filters=team)
    of_bob = await diary.find("copper lantern", filters=team, reader=BOB)
    expected = await exact(diary).find("copper lantern", filters=team)

    assert ids(of_alice.rows) == ids(of_bob.rows)
    assert len(set(ids(of_alice.rows)) & set(ids(expected.rows))) >= 9

    await diary.query("delete from diary.diary_role")
    with pytest.raises(Exception, match="team"):
        await diary.find("copper lantern", filters=team, reader=BOB)


async def test_what_is_shared_is_searched_beside_it(diary: Searching) -> None:
    (entry,) = await diary.write("A zeppelin of Bob's.", owner=BOB)
    await diary.share(entry, ALICE)
    await diary.index()

    found = await diary.find("zeppelin")

    assert found.rows[0].id == entry.id


async def test_words_that_wait_are_read_and_what_lacks_vectors_is_told(
    foundation: Foundation,
) -> None:
    diary = Searching(foundation, WordEmbedder(), large_from=0)
    await fill(diary, made_up()[:70])

    found = await diary.find("lantern")

    assert found.notice is not None
    assert "Without an embedding yet: 70 of 70 entries" in found.notice
    assert all("lantern" in hit.snippet for hit in found.rows[:3])


async def test_without_a_model_words_are_searched(
    foundation: Foundation,
) -> None:
    diary = Searching(foundation, None, large_from=0)
    await fill(diary, made_up()[:100])
    await diary.index()

    assert ids((await diary.find("lantern")).rows) == ids((await exact(diary).find("lantern")).rows)


async def test_a_number_from_another_server_is_old(diary: Searching) -> None:
    """As after a restore: what has it is in the outline, and no change."""
    await diary.query(
        "alter table diary.search_document disable trigger search_document_is_renewed"
    )
    await diary.query("update diary.search_document set changed_in = '18446744073709551000'")
    await diary.query("alter table diary.search_document enable trigger search_document_is_renewed")
    searching = Searching(diary.foundation, diary.embedder, large_from=0)
    before = ids((await searching.find("copper lantern")).rows)

    await exact(diary).write("Another copper lantern.")

    after = ids((await searching.find("copper lantern", limit=11)).rows)
    assert set(before) <= set(after)
    assert len(after) == 11


async def test_what_was_there_before_the_migration_is_found(
    database_url: str, tmp_path: Path
) -> None:
    async with signed_diary(database_url, tmp_path) as foundation:
        searching = Searching(foundation, DenseEmbedder())
        await fill(searching, made_up()[:80])
        await searching.index()
        before = ids((await searching.find("copper lantern", mode="text")).rows)
    go_back(database_url, "0028_search_changes.sql")

    await migrate(database_url)

    async with signed_diary(database_url, tmp_path) as foundation:
        searching = Searching(foundation, DenseEmbedder(), large_from=0)
        changed = await searching.query(
            "select distinct changed_in::text from diary.search_document"
        )
        after = ids((await searching.find("copper lantern", mode="text")).rows)

    assert changed == [("0",)]
    assert len(set(after) & set(before)) >= len(before) - 1


async def of_author(diary: Searching, author: str) -> list[str | None]:
    of_author = EntryFilters(scope="all", author=author)
    found = await diary.find(" ".join(WORDS), filters=of_author, mode="text")
    return [hit.key for hit in found.rows]


def ids(hits: Sequence[SearchHit]) -> list[object]:
    return [hit.id for hit in hits]
