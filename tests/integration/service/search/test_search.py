"""What search finds, in which order, and what it says about it; on PostgreSQL."""

# ruff: noqa: RUF001  # what looks alike is what is meant

from collections.abc import Collection
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diary_mcp.app import Foundation
from diary_mcp.domain.entry import EntryChanges, EntryDraft, EntryFilters, SearchMode
from diary_mcp.domain.errors import InvalidArgumentError
from diary_mcp.domain.fields import EntryId
from diary_mcp.embeddings.model_process import OfflineEmbedder
from diary_mcp.service.ports.search import Indexed, Postings
from diary_mcp.service.search import phrases
from diary_mcp.store import search as store_search
from support.searching import ALICE, BOB, Searching, SilentPermissions, WordEmbedder

pytestmark = pytest.mark.anyio

MODES: tuple[SearchMode, ...] = ("hybrid", "text", "semantic")
CURRENT = EntryFilters(scope="all", include_superseded=False)


@pytest.fixture
def diary(foundation: Foundation) -> Searching:
    return Searching(foundation, WordEmbedder())


@pytest.mark.parametrize("mode", ["hybrid", "text"])
async def test_an_entry_is_found_as_soon_as_it_was_created(
    diary: Searching, mode: SearchMode
) -> None:
    await diary.write("The weather was fine.")
    (entry,) = await diary.write("The backup of the disk failed.")

    page = await diary.find("backup", mode=mode)

    assert [hit.id for hit in page.rows] == [entry.id]
    assert page.rows[0].matched[0] == "backup"
    assert page.rows[0].snippet == "The backup of the disk failed."


async def test_words_rank_the_same_before_and_after_they_are_indexed(diary: Searching) -> None:
    await diary.write(
        *(f"Entry {number} about the backup. {'And more. ' * number}" for number in range(12))
    )

    before = await diary.find("which backup failed?", mode="text", limit=50)
    await diary.index()
    after = await diary.find("which backup failed?", mode="text", limit=50)

    assert len(before.rows) == 12
    assert [(hit.id, hit.score) for hit in before.rows] == [
        (hit.id, hit.score) for hit in after.rows
    ]


async def test_a_changed_entry_is_found_by_what_it_says_now(diary: Searching) -> None:
    (entry,) = await diary.write("The backup failed.")
    await diary.index()
    await diary.foundation.diary.entries.update(
        ALICE, str(entry.id), 1, EntryChanges(content="The restore went well.")
    )

    assert (await diary.find("backup", mode="text")).rows == []
    assert [hit.id for hit in (await diary.find("restore", mode="text")).rows] == [entry.id]


async def test_what_has_no_embedding_yet_is_searched_by_words_and_counted(
    diary: Searching,
) -> None:
    await diary.write("An old backup.")
    await diary.index()
    await diary.write("A new backup.")

    page = await diary.find("what about the backup?")

    assert len(page.rows) == 2
    assert page.notice is not None
    assert page.notice.startswith("Without an embedding yet: 1 of 2 entries, ")


@pytest.mark.parametrize("mode", ["hybrid", "semantic"])
async def test_what_waits_for_its_embedding_is_neither_before_nor_behind_the_others(
    diary: Searching, mode: SearchMode
) -> None:
    texts = [f"Note {number}: the {word}." for number, word in enumerate(("dog", "cat", "sun") * 4)]
    await diary.write(*texts, "The old backup of the disk failed.")
    await diary.index()
    await diary.write(*texts, "The new backup of the disk failed.")

    page = await diary.find("why did the backup of the disk fail?", mode=mode, limit=2)

    assert {hit.snippet for hit in page.rows} == {
        "The old backup of the disk failed.",
        "The new backup of the disk failed.",
    }


async def test_right_after_writing_meaning_is_searched_by_words(diary: Searching) -> None:
    (entry,) = await diary.write("The backup of the disk failed.")

    page = await diary.find("what about the backup?", mode="semantic")

    assert [hit.id for hit in page.rows] == [entry.id]
    assert page.notice is not None
    assert page.notice.startswith("Without an embedding yet: 1 of 1 entry, searched by words")


async def test_an_entry_without_text_does_not_wait_for_an_embedding_for_ever(
    diary: Searching,
) -> None:
    await diary.write("```\n```", "The backup failed.")
    await diary.index()

    assert (await diary.find("backup")).notice is None


async def test_an_exact_identifier_comes_first_and_alone(diary: Searching) -> None:
    await diary.write(
        "We run every transaction twice.",
        "Call run_transaction before the launch.",
        "A launch of DBOS happened; the transaction did not run.",
        "Nothing to see here.",
    )
    await diary.index()

    found = [hit.snippet for hit in (await diary.find("run_transaction")).rows]

    assert found[0] == "Call run_transaction before the launch."
    assert "Nothing to see here." not in found


async def test_a_paraphrase_is_found_by_meaning(foundation: Foundation) -> None:
    diary = Searching(foundation, OfflineEmbedder())
    (wanted,) = await diary.write("The database ran out of disk space and refused all writes.")
    await diary.write(
        "The new colleague starts on Monday.",
        "Lunch was soup and bread.",
        "We chose the blue logo for the site.",
        "The garden needs water in summer.",
    )
    await diary.index()

    page = await diary.find("storage was full so nothing could be saved")

    assert page.rows[0].id == wanted.id
    assert "meaning" in page.rows[0].matched


async def test_a_key_and_a_file_name_lead_to_their_entry(diary: Searching) -> None:
    other, wanted = await diary.write(
        EntryDraft(content="About 2026 and January.", key="other"),
        EntryDraft(content="What was handed over.", key="2026-01-31-handoff"),
    )

    for query in ("2026-01-31-handoff.md", f"what does {wanted.id} say?"):
        hit = (await diary.find(query)).rows[0]
        assert hit.id == wanted.id != other.id
        assert "name" in hit.matched


AS_PEOPLE_WRITE = {
    '"disk is full"': "a",
    '"DISK  IS full" disk': "a",
    "disk -full": "b",
    'disk -"is full"': "b",
    "full OR empty": "ab",
    "emtpy": "b",
    "8199be6": "c",
    "Übergabe": "d",
    "ubergabe": "d",
    "-disk": "",
    "データ": "e",
    "🦊": "e",
    "50%": "f",
}


async def test_queries_as_people_write_them(diary: Searching, subtests: pytest.Subtests) -> None:
    contents = {
        "a": "The disk is full.",
        "b": "The disk was empty.",
        "c": "Fixed by 8199be6f699a395f99f89df973f9dc5285fbcfcd.",
        "d": "Die Übergabe war kurz.",
        "e": "データベース 🦊",
        "f": "Now at 50% of it.",
    }
    names = dict(zip([e.id for e in await diary.write(*contents.values())], contents, strict=True))
    await diary.index()

    for query, expected in AS_PEOPLE_WRITE.items():
        page = await diary.find(query, mode="text")

        with subtests.test(query):
            assert "".join(sorted(names[hit.id] for hit in page.rows)) == expected


async def test_a_date_in_the_query_prefers_what_it_is_about(diary: Searching) -> None:
    now = datetime.now(UTC)
    await diary.write(
        *(
            EntryDraft(content="We met the team.", date=now - timedelta(days=days), key=str(days))
            for days in (400, 90, 1)
        )
    )

    page = await diary.find("when did we meet the team, yesterday?")

    assert page.rows[0].key == "1"
    assert "date" in page.rows[0].matched


async def test_the_named_author_and_the_answer_beside_a_question_rank_higher(
    diary: Searching,
) -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    lines = [
        ("ann", "Where do you keep the spare key?"),
        ("bo", "Under the mat."),
        ("ann", "Good to know."),
        ("bo", "The spare tyre is flat."),
    ]
    await diary.write(
        *(
            EntryDraft(
                content=line,
                author=author,
                session="s",
                key=str(number),
                date=start + timedelta(minutes=number),
            )
            for number, (author, line) in enumerate(lines)
        )
    )

    page = await diary.find("where does Bo keep the spare key?", mode="text")

    assert page.rows[0].key == "1"
    assert {"author", "neighbour"} <= set(page.rows[0].matched)


FILTERS = {
    "scope": (EntryFilters(scope="mine"), "abcd"),
    "types": (EntryFilters(scope="all", types=["problem"]), "a"),
    "tags": (EntryFilters(scope="all", tags=["x", "y"]), "b"),
    "any_tags": (EntryFilters(scope="all", any_tags=["x", "z"]), "abd"),
    "exclude_tags": (EntryFilters(scope="all", exclude_tags=["x"]), "cd"),
    "author": (EntryFilters(scope="all", author="model"), "c"),
    "since": (EntryFilters(scope="all", since=datetime(2026, 1, 3, tzinfo=UTC)), "cd"),
    "until": (EntryFilters(scope="all", until=datetime(2026, 1, 2, tzinfo=UTC)), "ab"),
    "importance": (EntryFilters(scope="all", min_importance=0.5), "cd"),
    "superseded": (EntryFilters(scope="all", include_superseded=False), "bcd"),
    "several": (EntryFilters(scope="all", any_tags=["x"], min_importance=0.4), "b"),
    "nothing": (EntryFilters(scope="shared"), ""),
}


@pytest.mark.parametrize("mode", MODES)
async def test_every_filter_combines_with_every_mode(diary: Searching, mode: SearchMode) -> None:
    def draft(day: int, **fields: object) -> EntryDraft:
        fields |= {"content": "The backup failed.", "date": f"2026-01-0{day}"}
        return EntryDraft.model_validate(fields)

    await diary.write(
        draft(1, key="a", type="problem", tags=["x"], importance=0.1),
        draft(2, key="b", tags=["x", "y"], importance=0.4, supersedes="a"),
        draft(3, key="c", tags=["y"], importance=0.5, author="model"),
        draft(4, key="d", tags=["z"], importance=0.9),
    )
    await diary.index()

    for name, (filters, expected) in FILTERS.items():
        page = await diary.find("The backup failed.", mode=mode, filters=filters)
        assert "".join(sorted(str(hit.key) for hit in page.rows)) == expected, name
        assert expected or page.notice is not None


@pytest.mark.parametrize("mode", MODES)
async def test_pages_go_on_while_entries_come_go_and_are_indexed(
    diary: Searching, mode: SearchMode
) -> None:
    texts = [f"A backup, number {number}.{' More.' * (number % 2)}" for number in range(20)]
    made = {entry.id for entry in await diary.write(*texts)}
    if mode == "semantic":
        await diary.index()

    shown: list[EntryId] = []
    scores: list[float] = []
    cursor: str | None = None
    deleted: EntryId | None = None
    while True:
        page = await diary.find("which backup?", mode=mode, cursor=cursor, limit=3)
        shown += [hit.id for hit in page.rows]
        scores += [hit.score for hit in page.rows]
        cursor = page.next_cursor
        if cursor is None:
            break
        await diary.write("A backup backup backup, the newest.")
        await diary.index()
        if deleted is None:
            deleted = next(iter(made - set(shown)))
            await diary.foundation.diary.entries.delete(ALICE, str(deleted))

    assert len(shown) == len(set(shown))
    assert set(shown) == made - {deleted}
    assert scores == sorted(scores, reverse=True)


@pytest.mark.parametrize("limit", [1, 2, 3, 50])
async def test_what_corrects_a_hit_comes_before_it_on_whatever_page_it_would_be(
    diary: Searching, limit: int
) -> None:
    """The last of the chain has no word of the query, the first one all of them, others most."""
    await diary.write(
        EntryDraft(content="The backup of the disk failed at night.", key="problem"),
        *(f"The backup of the disk, number {number}." for number in range(4)),
        EntryDraft(content="It failed as the disk was full.", key="cause", supersedes=["problem"]),
        EntryDraft(content="A larger disk.", key="solution", supersedes=["cause"]),
        EntryDraft(content="Nothing of the kind.", key="end", supersedes=["solution"]),
    )
    filters = EntryFilters(scope="all", include_superseded=True)
    shown: list[tuple[str | None, float]] = []
    cursor: str | None = None
    while cursor is not None or not shown:
        page = await diary.find(
            "backup disk failed night", mode="text", filters=filters, cursor=cursor, limit=limit
        )
        assert len(page.rows) <= limit
        shown += [(hit.key, hit.score) for hit in page.rows]
        cursor = page.next_cursor

    assert [key for key, _ in shown if key] == ["end", "solution", "cause", "problem"]
    assert len(shown) == 8
    assert [score for _, score in shown] == sorted((score for _, score in shown), reverse=True)


@pytest.mark.parametrize("limit", [1, 2, 50])
@pytest.mark.parametrize(
    "query",
    ["gateway timeout", '"Gateway timeouts"', "gateway timeuots", "why is the gateway slow"],
)
async def test_a_solution_is_found_in_the_place_of_what_it_solves_without_a_word_of_it(
    diary: Searching, query: str, limit: int
) -> None:
    await diary.write(
        EntryDraft(content="Gateway timeouts under load.", key="one", type="problem"),
        EntryDraft(content="Gateway timeouts at night.", key="two", type="problem"),
        *(f"Note {number}: gateway timeouts are worth a page." for number in range(3)),
        EntryDraft(content="Pool raised to 40.", key="cause", supersedes=["one", "two"]),
        EntryDraft(content="Pool of 60 it is.", key="end", supersedes=["cause"], type="decision"),
        EntryDraft(content="Nothing to do with it."),
    )
    page = await diary.find(query, mode="text", limit=limit, filters=CURRENT)
    shown = [*page.rows]
    while cursor := page.next_cursor:
        page = await diary.find(query, mode="text", cursor=cursor, limit=limit, filters=CURRENT)
        shown += page.rows

    first, *others = shown
    assert (first.key, first.matched) == ("end", ("supersedes",))
    assert len(others) == 3
    assert all("supersedes" not in hit.matched and hit.key is None for hit in others)
    scores = [hit.score for hit in shown]
    assert scores == sorted(scores, reverse=True)


async def test_a_solution_is_found_so_only_where_it_may_be_shown(diary: Searching) -> None:
    await diary.write(
        EntryDraft(content="Gateway timeouts.", key="problem", type="problem"),
        EntryDraft(content="A larger pool.", supersedes=["problem"], type="progress", tags=["x"]),
    )

    async def found(query: str, **filters: object) -> int:
        asked = EntryFilters.model_validate(CURRENT.model_dump() | filters)
        return len((await diary.find(query, mode="text", filters=asked)).rows)

    assert await found("gateway", tags=["x"]) == 1
    assert await found("gateway", types=["problem"]) == 0
    assert await found("gateway -pool") == 0
    assert await found("gateway -timeouts") == 0


async def test_a_solution_that_was_not_shared_stays_unfound(diary: Searching) -> None:
    (problem,) = await diary.write("Gateway timeouts.")
    (solution,) = await diary.write(
        EntryDraft(content="A larger pool.", supersedes=[str(problem.id)])
    )
    await diary.share(problem, BOB)
    before = await diary.find("gateway", reader=BOB, mode="text", filters=CURRENT)

    await diary.share(solution, BOB)
    after = await diary.find("gateway", reader=BOB, mode="text", filters=CURRENT)

    assert [hit.id for hit in before.rows] == [problem.id]
    assert [hit.id for hit in after.rows] == [solution.id]


async def test_a_cursor_of_another_search_is_refused(diary: Searching) -> None:
    await diary.write("one backup", "two backups")
    cursor = (await diary.find("backup", limit=1)).next_cursor

    with pytest.raises(InvalidArgumentError):
        await diary.find("other", cursor=cursor)
    with pytest.raises(InvalidArgumentError):
        await diary.find("backup", mode="text", cursor=cursor)


@settings(max_examples=15)
@given(
    query=st.one_of(
        st.text(min_size=1, max_size=80).filter(lambda text: "\0" not in text),
        st.text("ab\"'-_.()|&!:*<>%\\ OR“”🦊", min_size=1, max_size=40),
    ),
    mode=st.sampled_from(MODES),
)
async def test_no_query_is_an_error(diary: Searching, query: str, mode: SearchMode) -> None:
    if not await diary.query("select from diary.entry limit 1"):
        await diary.write("a b 'ab' (ab) a_b a-b a.b", 'some "words" 🦊')
        await diary.index()

    page = await diary.find(query, mode=mode)

    assert page.rows or page.notice
    assert all(hit.matched for hit in page.rows)


async def test_an_empty_result_says_what_was_searched_and_what_to_try(diary: Searching) -> None:
    nothing = await diary.find("x1", reader=BOB)
    await diary.write("The backup failed.")
    no_match = await diary.find("x1", mode="text")
    filtered = await diary.find("x1", mode="text", filters=EntryFilters(types=["handoff"]))

    assert nothing.notice is not None
    assert no_match.notice is not None
    assert filtered.notice is not None
    assert "there are no" in nothing.notice
    assert "among 1 entry" in no_match.notice
    assert "0 of 1" in filtered.notice


async def test_without_a_model_words_are_searched_and_the_notice_says_so(
    foundation: Foundation,
) -> None:
    broken = WordEmbedder()
    broken.is_broken = True
    for embedder in (None, broken):
        diary = Searching(foundation, embedder)
        (entry,) = await diary.write("The backup failed.")

        for mode in ("hybrid", "semantic"):
            page = await diary.find("why did the backup fail?", mode=mode)

            assert entry.id in [hit.id for hit in page.rows]
            assert page.notice is not None
            assert "by words only" in page.notice


async def test_a_query_is_embedded_once_and_a_failure_is_not_remembered(
    foundation: Foundation,
) -> None:
    embedder = WordEmbedder()
    diary = Searching(foundation, embedder)
    await diary.write("The backup failed.", "The restore went well.")
    await diary.index()

    embedder.is_broken = True
    without = await diary.find("backup", limit=1)
    embedder.is_broken = False
    first = await diary.find("backup restore", limit=1)
    embedder.is_broken = True
    further = await diary.find("backup restore", cursor=first.next_cursor, limit=1)
    embedder.is_broken = False
    again = await diary.find("backup", limit=1)

    assert without.notice is not None
    assert "by words only" in without.notice
    assert first.next_cursor is not None
    assert (first.notice, len(further.rows), further.notice) == (None, 1, None)
    assert again.notice is None


async def test_while_permissions_are_down_the_own_entries_are_searched(diary: Searching) -> None:
    (shared,) = await diary.write("A backup of Alice's.")
    (own,) = await diary.write("A backup of Bob's.", owner=BOB)
    await diary.share(shared, BOB)

    page = await diary.with_permissions(SilentPermissions()).search(
        BOB, "backup", EntryFilters(scope="all"), mode="text", cursor=None, limit=10
    )

    assert [hit.id for hit in page.rows] == [own.id]
    assert page.notice is not None
    assert page.notice.startswith("Entries that others shared with you were not searched")


@pytest.mark.parametrize("mode", MODES)
async def test_the_first_and_the_last_date_there_is_do_no_harm(
    diary: Searching, mode: SearchMode
) -> None:
    last = EntryDraft.model_validate(
        {"content": "The last backup.", "date": "9999-12-31T23:59:59.9999999Z", "key": "last"}
    )
    first = EntryDraft.model_validate({"content": "A first backup.", "date": "0001-01-01"})
    recent = EntryDraft.model_validate({"content": "Our backup.", "date": "2024-05-05"})
    await diary.write(last, first, recent)
    await diary.index()

    dated = await diary.find("backup on 5 May", mode=mode)
    repeated = await diary.find("5 May " * 166, mode=mode)
    filtered = await diary.find("backup", filters=EntryFilters(scope="all", since=last.date))

    assert dated.rows[0].snippet == "Our backup."
    assert repeated.rows[0].snippet == "Our backup."
    assert [hit.key for hit in filtered.rows] == ["last"]


async def test_a_phrase_may_begin_a_word_with_a_minus(diary: Searching) -> None:
    (entry, _) = await diary.write("Run rm -rf build before packaging.", "Build it.")

    quoted = await diary.find('"rm -rf build"', mode="text")
    bare = await diary.find("rm -rf build", mode="text")

    assert [hit.id for hit in quoted.rows] == [entry.id]
    assert quoted.notice is None
    assert entry.id not in {hit.id for hit in bare.rows}
    assert "`rf`" in str(bare.notice)


HOWEVER_TYPED = [
    ("We don’t panic.", '"don\'t panic"'),
    ("We don't panic.", "“don’t panic”"),
    ("Ein Café am\u00a0See — ruhig", '"cafe\u0301 am see - ruhig"'),
    ("Işık söndü", "ışık"),
    ("Işık söndü", '"ışık sondu"'),
    ("To be or not to be.", '"or not to be"'),
    ("a 👍🏽 from everybody", "👍"),
    ("what ?? is this", "??"),
]


async def test_a_phrase_or_a_word_is_found_however_it_is_typed(
    diary: Searching, subtests: pytest.Subtests
) -> None:
    for content, query in HOWEVER_TYPED:
        (entry, _) = await diary.write(content, "Something else.")
        new = await diary.find(query, mode="text")
        await diary.index()
        indexed = await diary.find(query, mode="text")

        with subtests.test(query):
            assert [hit.id for hit in new.rows] == [hit.id for hit in indexed.rows] == [entry.id]
        await diary.query("delete from diary.entry")


async def test_a_phrase_is_looked_for_in_a_bounded_number_of_entries(
    diary: Searching, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = count_texts(monkeypatch)
    monkeypatch.setattr(phrases, "MAX_LOOKED_THROUGH_LITERALLY", 5)
    monkeypatch.setattr(phrases, "_AT_ONCE", 2)
    await diary.write(*(f"The entry number {number}." for number in range(12)))
    await diary.index()

    by_words = await diary.find('"entry number 3"', mode="text")
    assert [hit.snippet for hit in by_words.rows] == ["The entry number 3."]
    assert len(read) <= 12
    read.clear()

    missing = await diary.find('"a zebra crossed"', mode="text")
    assert missing.rows == []
    assert read == []

    stop_word = await diary.find("the", mode="text", limit=1)
    assert len(stop_word.rows) == 1
    assert len(read) == 2
    read.clear()

    punctuation = await diary.find("??", mode="text")
    assert punctuation.rows == []
    assert "only some of them were" in str(punctuation.notice)
    assert len(read) == 5


async def test_of_a_large_vocabulary_a_bounded_part_is_read(
    diary: Searching, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_search, "MAX_VOCABULARY", 20)
    words = " ".join(f"ba{number:03}x" for number in range(100))
    await diary.write(f"{words} backup")
    await diary.index()

    async with diary.foundation.store.reading() as rows:
        terms = await rows.search.list_terms(Indexed([ALICE], None, []), {"b"})
    found = await diary.find("bakcup", mode="text")

    assert len(terms) == 20
    assert len(found.rows) <= 1


async def test_a_word_that_is_asked_for_twice_is_looked_up_once(diary: Searching) -> None:
    (own,) = await diary.write("backup backup")
    await diary.index()

    async with diary.foundation.store.reading() as rows:
        of_owner = await rows.search.read_postings(Indexed([ALICE], None, []), ["backup"] * 2)
        by_name = await rows.search.read_postings(Indexed([], None, [own.id]), ["backup"] * 2)

    assert of_owner == by_name == [Postings("backup", own.id.bytes, (2).to_bytes(4, "big"))]


def count_texts(monkeypatch: pytest.MonkeyPatch) -> list[EntryId]:
    """The ids of every text that is read from now on."""
    read: list[EntryId] = []
    whole = store_search.PostgresSearch.read_texts

    async def read_texts(self: store_search.PostgresSearch, ids: Collection[EntryId]) -> object:
        read.extend(ids)
        return await whole(self, ids)

    monkeypatch.setattr(store_search.PostgresSearch, "read_texts", read_texts)
    return read
