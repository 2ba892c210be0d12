"""A new entry that repeats or contradicts an earlier one says so."""

import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import product
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from psycopg.types.json import Json

from diary_mcp.app import Foundation
from diary_mcp.domain.entry import Entry, EntryChanges, EntryDraft, SimilarEntry
from diary_mcp.domain.errors import DatabaseUnavailableError, NotFoundError
from diary_mcp.domain.fields import DiaryId
from diary_mcp.domain.version import text_of
from diary_mcp.service.entries.similarity import SimilarityService
from diary_mcp.service.ports.store import Reading
from diary_mcp.store.sql import load_queries
from support.searching import ALICE, BOB, Searching, WordEmbedder

pytestmark = pytest.mark.anyio

WORDS = ("alpha", "beta", "gamma", "delta", "omega")
LIMIT = "The API allows 100 requests per minute for each key."


@pytest.fixture
def diary(foundation: Foundation) -> Searching:
    return Searching(foundation, WordEmbedder())


async def similar_to(diary: Searching, entry: Entry) -> list[SimilarEntry]:
    return await diary.foundation.diary.similarity.find_similar(text_of(entry))


SAID_BEFORE = {
    "repeated": (LIMIT, LIMIT),
    "changed number": (LIMIT, "The API allows 500 requests per minute for each key."),
    "other words around": (
        "We chose Redis for the cache because of its speed",
        "We chose Redis for caching: fast!",
    ),
    "the opposite": (
        "The user prefers dark mode in the editor.",
        "User prefers light mode in the editor",
    ),
    "negated": (
        "PostgreSQL is our main database.",
        "Our main database is MySQL, not PostgreSQL.",
    ),
    "other order": ("We deploy on Fridays at 5 pm.", "Deploys never happen on Fridays."),
}


@pytest.mark.parametrize("indexed", [True, False])
async def test_what_was_said_before_is_found(
    diary: Searching, subtests: pytest.Subtests, *, indexed: bool
) -> None:
    for name, (earlier, later) in SAID_BEFORE.items():
        await diary.write("The garden needs water in summer.", "We run every transaction once.")
        (first,) = await diary.write(EntryDraft(content=earlier, title="As it was"))
        await diary.write("Lunch was soup and bread, as on every other day of this week.")
        if indexed:
            await diary.index()

        (second,) = await diary.write(EntryDraft(content=later, title="As it was"))
        found = await similar_to(diary, second)

        with subtests.test(name):
            assert [(each.id, each.title) for each in found] == [(first.id, "As it was")]
            assert (found[0].similarity == 1) == (earlier == later)
        await diary.query("delete from diary.entry")


async def test_it_is_the_same_before_and_after_the_index_and_when_asked_again(
    diary: Searching,
) -> None:
    await diary.write(*(f"{LIMIT} Measured on day {number} again." for number in range(6)))
    (new,) = await diary.write(f"{LIMIT} Measured on day 3 as well.")

    before = await similar_to(diary, new)
    await diary.index()
    after = await similar_to(diary, new)
    await diary.write(LIMIT)
    again = await similar_to(diary, new)

    assert len(before) == 3
    assert before == after == again
    assert [each.similarity for each in before] == sorted(
        (each.similarity for each in before), reverse=True
    )


async def test_something_else_and_what_says_little_is_not_similar(diary: Searching) -> None:
    await diary.write(LIMIT, "Done.", "x")

    for text in ("The API is written in Python.", "Done.", "x", "🦊"):
        (entry,) = await diary.write(text)
        assert await similar_to(diary, entry) == []


async def test_what_is_corrected_already_or_deleted_is_not_named_again(diary: Searching) -> None:
    old, gone = await diary.write(LIMIT, LIMIT)
    await diary.foundation.diary.entries.delete(ALICE, str(gone.id))
    await diary.index()

    (correction,) = await diary.write(
        EntryDraft(content=LIMIT.replace("100", "500"), supersedes=[str(old.id)])
    )
    (repeated,) = await diary.write(LIMIT)

    assert await similar_to(diary, correction) == []
    assert [each.id for each in await similar_to(diary, repeated)] == [correction.id]


async def test_a_changed_entry_is_compared_by_what_it_says_now(diary: Searching) -> None:
    (entry,) = await diary.write(LIMIT)
    await diary.index()
    await diary.foundation.diary.entries.update(
        ALICE, str(entry.id), 1, EntryChanges(content="Lunch was soup and bread today.")
    )

    (limit,) = await diary.write(LIMIT)
    (lunch,) = await diary.write("Lunch was soup and bread again today.")

    assert await similar_to(diary, limit) == []
    assert [each.id for each in await similar_to(diary, lunch)] == [entry.id]


@pytest.mark.parametrize("indexed", [True, False])
async def test_only_what_the_same_diary_says_is_similar(
    diary: Searching, subtests: pytest.Subtests, *, indexed: bool
) -> None:
    earlier, later = await diary.write(LIMIT, LIMIT)
    if indexed:
        await diary.index()
    diaries = {"no row": None, "main": DiaryId(uuid4()), "work": DiaryId(uuid4())}
    for name in ("main", "work"):
        await diary.query(
            "insert into diary.diary (id, owner, name) values (%s, %s, %s)",
            diaries[name],
            ALICE,
            name,
        )

    similar = diary.foundation.diary.similarity
    for there, here in product(diaries, diaries):
        await diary.query(
            "update diary.entry set diary_id = %s where id = %s", diaries[there], earlier.id
        )
        found = await similar.find_similar(text_of(later), diaries[here])

        with subtests.test(f"{there}, {here}"):
            is_same = there == here or "work" not in {there, here}
            assert [each.id for each in found] == ([earlier.id] if is_same else [])


async def test_old_entries_are_found_among_many_that_share_their_words(diary: Searching) -> None:
    (old,) = await diary.write("The API gateway terminates TLS with the wildcard certificate.")
    await diary.write(*(f"API and TLS, gateway number {number}." for number in range(50)))
    await diary.index()

    (new,) = await diary.write("The API gateway terminates TLS with a wildcard certificate.")

    assert old.id in [each.id for each in await similar_to(diary, new)]


async def test_what_shares_too_few_words_is_not_read(diary: Searching) -> None:
    repeated, _ = await diary.write(LIMIT, "Each key of the house opens one door per floor.")
    await diary.index()
    (new,) = await diary.write(LIMIT)

    look = await diary.foundation.diary.similarity.begin(text_of(new))
    assert look is not None
    async with diary.foundation.store.reading() as rows:
        await look.read(rows, None)

    assert look.found is not None
    assert [each.id for each in look.found.indexed] == [repeated.id]


async def test_what_is_said_again_within_a_longer_text_is_found(diary: Searching) -> None:
    (short,) = await diary.write("Alpha beta gamma delta omega.")
    await diary.index()

    # With the author's name 6 words of 14: no similar entry shares a smaller part.
    (new,) = await diary.write(
        "Alpha beta gamma delta omega, birds fish trees stone water cloud light sound."
    )

    found = await similar_to(diary, new)
    assert [(each.id, each.similarity) for each in found] == [(short.id, 0.6)]


@settings(max_examples=20)
@given(
    texts=st.lists(
        st.lists(st.sampled_from(WORDS), min_size=3, max_size=6),
        min_size=1,
        max_size=4,
    ),
    shared=st.booleans(),
    indexed=st.booleans(),
)
async def test_entries_of_others_are_never_named_shared_or_not(
    diary: Searching, texts: list[list[str]], *, shared: bool, indexed: bool
) -> None:
    await diary.query("delete from diary.entry")
    for entry in await diary.write(*(" ".join(words) for words in texts)):
        if shared:
            await diary.share(entry, BOB)
    if indexed:
        await diary.index()

    (own,) = await diary.write(" ".join(texts[0]), owner=BOB)

    assert await similar_to(diary, own) == []


@dataclass
class _BrokenStore:
    """Cannot be read."""

    error: Exception

    @asynccontextmanager
    async def reading(self) -> AsyncGenerator[Reading]:
        raise self.error
        yield  # pyright: ignore[reportUnreachable]  # what makes it a generator

    unit_of_work = reading


async def test_a_write_tells_of_what_was_there_before_it_and_not_of_itself(
    diary: Searching,
) -> None:
    first = await diary.foundation.diary.entries.create(ALICE, EntryDraft(content=LIMIT))
    second = await diary.foundation.diary.entries.create(ALICE, EntryDraft(content=LIMIT))
    await diary.index()
    third = await diary.foundation.diary.entries.create(ALICE, EntryDraft(content=LIMIT))

    assert first.similar == ()
    assert [each.id for each in second.similar] == [first.id]
    assert {each.id for each in third.similar} == {first.id, second.id}


async def test_what_a_write_supersedes_is_not_similar_to_it(diary: Searching) -> None:
    old, kept = await diary.write(EntryDraft(content=LIMIT, key="limit"), LIMIT)

    written = await diary.foundation.diary.entries.create(
        ALICE, EntryDraft(content=LIMIT, supersedes=["limit"])
    )

    assert written.supersedes == (old.id,)
    assert [each.id for each in written.similar] == [kept.id]


async def test_a_write_that_is_repeated_tells_of_what_was_there_before_the_first(
    diary: Searching,
) -> None:
    draft = EntryDraft(content=LIMIT)
    (before,) = await diary.write(LIMIT)
    first = await diary.foundation.diary.entries.create(ALICE, draft, idempotency_key="once")
    await diary.write(LIMIT)

    again = await diary.foundation.diary.entries.create(ALICE, draft, idempotency_key="once")

    assert again.id == first.id
    assert [each.id for each in again.similar] == [before.id]


async def test_a_write_that_is_refused_says_why(diary: Searching) -> None:
    with pytest.raises(NotFoundError, match="supersedes"):
        await diary.foundation.diary.entries.create(
            ALICE, EntryDraft(content=LIMIT, supersedes=["nothing"])
        )


@pytest.mark.parametrize(
    "error", [DatabaseUnavailableError("No answer."), ZeroDivisionError()], ids=["away", "mistake"]
)
async def test_a_write_does_not_fail_by_the_look_for_similar_ones(
    diary: Searching, error: Exception
) -> None:
    await diary.write(LIMIT)
    (entry,) = await diary.write(LIMIT)
    service = SimilarityService(_BrokenStore(error))  # pyright: ignore[reportArgumentType]

    assert await service.find_similar(text_of(entry)) == []
    assert await similar_to(diary, replace_content(entry, LIMIT * 500)) == []


async def test_a_write_stays_where_the_look_behind_it_fails(diary: Searching) -> None:
    await diary.write(LIMIT)
    await diary.query("alter table diary.posting rename to posting_elsewhere")
    try:
        written = await diary.foundation.diary.entries.create(ALICE, EntryDraft(content=LIMIT))
    finally:
        await diary.query("alter table diary.posting_elsewhere rename to posting")

    assert written.similar == ()
    kept = await diary.foundation.diary.entries.get(ALICE, str(written.id))
    assert kept.content == LIMIT


def replace_content(entry: Entry, content: str) -> Entry:
    return entry.model_copy(update={"content": content})


async def test_the_statement_reads_by_an_index(diary: Searching) -> None:
    await diary.query(
        "insert into diary.agent (name) select 'agent-' || number"
        " from generate_series(0, 299) as number"
    )
    await diary.query(
        "insert into diary.entry (id, owner, author, type, content, tags, importance, date,"
        " created_at, updated_at, content_hash) select gen_random_uuid(),"
        " 'agent-' || number % 300, 'model', 'note', 'x', '{}', 0.5, now(), now(), now(), ''"
        " from generate_series(1, 8000) as number"
    )
    await diary.query(
        "insert into diary.search_document (entry_id, owner, words_by, words)"
        " select id, owner, '1', 4 from diary.entry"
    )
    await diary.query(
        "insert into diary.posting (owner, term, entry_id, count)"
        " select owner, 'term-' || number, id, 1 from diary.entry, generate_series(1, 3) as number"
    )
    (before,) = await diary.query("select max(id::text)::uuid from diary.entry")
    await diary.query("analyze")

    parameters = {
        "owner": "agent-1",
        "before": before[0],
        "diary": None,
        "counts": Json({"term-1": 1, "term-2": 1}),
        "rarest": ["term-1", "term-2"],
        "fewest": 1,
    }
    statement = b"explain " + load_queries("similar")["list_candidates"].encode()
    async with diary.foundation.database.connection() as connection:
        cursor = await connection.execute(statement, parameters)
        plan = "\n".join(str(row[0]) for row in await cursor.fetchall())

    # There is no diary to look for.
    assert re.search("Seq Scan on (?!diary )", plan) is None
