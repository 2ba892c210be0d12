"""The index: what it holds, what it leaves alone, and that it survives what happens to it."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

import anyio
import psycopg
import pytest

from diary_mcp.app import Foundation, run_queue
from diary_mcp.domain.entry import EntryChanges, EntryDraft
from diary_mcp.domain.errors import EmbeddingUnavailableError
from diary_mcp.service.activity import Activity
from diary_mcp.service.index import indexer as indexer_module
from diary_mcp.service.index.indexer import EntryIndexer
from diary_mcp.service.ports.index import IndexStage, WordsOfEntry
from diary_mcp.store.database import Database
from diary_mcp.store.search_index import PostgresClaim, PostgresSearchIndex
from support.ground_truth import ask
from support.ground_truth import eventually as soon
from support.searching import ALICE, BOB, Searching, WordEmbedder
from support.sites import site
from support.workflows import eventually

pytestmark = pytest.mark.anyio

WAITING = (
    "select count(*)::integer from diary.search_document"
    " where words_by is null or vectors_by is null"
)


WITHOUT_WORDS = "select count(*)::integer from diary.search_document where words_by is null"


class CountingEmbedder(WordEmbedder):
    """Knows what it was given."""

    def __init__(self, name: str = "words") -> None:
        super().__init__(name)
        self.batches: list[int] = []

    def embed(self, texts: Sequence[str]) -> list[bytes]:
        self.batches.append(len(texts))
        return super().embed(texts)


class CountingIndex(PostgresSearchIndex):
    """Knows how many entries were claimed at a time."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.batches: list[int] = []

    @asynccontextmanager
    async def claim(
        self, stage: IndexStage, version: str, limit: int
    ) -> AsyncGenerator[PostgresClaim]:
        async with super().claim(stage, version, limit) as claim:
            if claim.texts:
                self.batches.append(len(claim.texts))
            yield claim


@pytest.fixture
def diary(foundation: Foundation) -> Searching:
    return Searching(foundation, WordEmbedder())


async def test_deleting_an_entry_removes_its_words_and_vectors(diary: Searching) -> None:
    entry, kept = await diary.write("The backup failed.", "The restore went well.")
    await diary.index()

    await diary.foundation.diary.entries.delete(ALICE, str(entry.id))

    assert await diary.query("select entry_id from diary.search_document") == [(kept.id,)]
    assert await diary.query("select distinct entry_id from diary.posting") == [(kept.id,)]


async def test_a_run_indexes_what_waits_and_the_next_has_nothing_to_do(diary: Searching) -> None:
    await diary.write(*(f"Entry {number}." for number in range(70)))

    first, second = await diary.index(), await diary.index()

    assert (first, second) == (140, 0)
    assert await diary.query(WAITING) == [(0,)]


async def test_a_new_model_embeds_everything_again_and_words_stay(foundation: Foundation) -> None:
    await Searching(foundation, WordEmbedder()).write("The backup failed.")
    await Searching(foundation, WordEmbedder()).index()
    newer = Searching(foundation, CountingEmbedder("newer"))

    missing = (await newer.find("backup")).notice
    indexed = await newer.index()
    complete = (await newer.find("backup")).notice

    assert missing is not None
    assert indexed == 1
    assert complete is None


async def test_without_a_model_vectors_of_others_are_left_alone(foundation: Foundation) -> None:
    diary = Searching(foundation, WordEmbedder())
    await diary.write("The backup failed.")
    await diary.index()

    assert await Searching(foundation, None).index() == 0
    assert (await diary.find("backup")).notice is None


async def test_words_are_indexed_even_where_the_model_fails(foundation: Foundation) -> None:
    broken = WordEmbedder()
    broken.is_broken = True
    diary = Searching(foundation, broken)
    await diary.write("The backup failed.")

    with pytest.raises(EmbeddingUnavailableError):
        await diary.index()

    assert await diary.query(
        "select count(*)::integer from diary.posting where term = 'backup'"
    ) == [(1,)]


async def test_what_was_changed_while_it_was_indexed_is_indexed_again(diary: Searching) -> None:
    (entry,) = await diary.write("The backup failed.")
    store = PostgresSearchIndex(diary.foundation.settling_database)

    async with store.claim("words", "1", 10) as claim:
        await diary.foundation.diary.entries.update(
            ALICE, str(entry.id), 1, EntryChanges(content="The restore went well.")
        )
        others = Searching(diary.foundation, None)
        nothing_left = await others.index()
        outdated = WordsOfEntry(claim.texts[0], {"backup": 1}, is_question=False)
        written = await claim.write_words("1", [outdated])
    await diary.index()

    assert (nothing_left, written) == (0, 0)
    assert await diary.query("select term from diary.posting order by term") == [
        ("alic",), ("restor",), ("well",), ("went",)
    ]  # fmt: skip


async def test_the_model_rests_while_changes_come_in_and_words_do_not(
    foundation: Foundation, monkeypatch: pytest.MonkeyPatch
) -> None:
    # After each batch, for as long as the test may last.
    monkeypatch.setattr(indexer_module, "_REST", 1_000_000)
    embedder, activity = CountingEmbedder(), Activity()
    diary = Searching(foundation, embedder)
    indexer = EntryIndexer(PostgresSearchIndex(foundation.settling_database), embedder, activity)

    async def has_all_words() -> bool:
        return await diary.query(WITHOUT_WORDS) == [(0,)]

    embedded = 0
    await diary.write(*(f"Entry {number}." for number in range(6)))
    async with anyio.create_task_group() as group:
        with activity.change():
            group.start_soon(indexer.index_waiting)
            for number in range(3):
                await eventually(has_all_words)
                await diary.write(f"Written meanwhile, {number}.")
            await eventually(has_all_words)
            embedded = len(embedder.batches)

    assert embedded <= 4
    assert await diary.query(WAITING) == [(0,)]


async def test_words_that_come_while_changes_are_made_are_indexed_together(
    foundation: Foundation, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A busy machine takes longer over each write than the indexer would wait for the next.
    monkeypatch.setattr(indexer_module, "_GATHER_S", 2)
    index, activity = CountingIndex(foundation.settling_database), Activity()
    diary = Searching(foundation, None)

    async def are_indexed(entries: int) -> bool:
        return sum(index.batches) == entries

    await diary.write("The first.")
    async with anyio.create_task_group() as group:
        with activity.change():
            group.start_soon(EntryIndexer(index, None, activity).index_waiting)
            await eventually(lambda: are_indexed(1))
            await diary.write(*(f"Written meanwhile, {number}." for number in range(5)))
            await eventually(lambda: are_indexed(6))

    assert len(index.batches) < 6


async def test_words_are_gathered_only_for_as_long_as_somebody_writes(
    foundation: Foundation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexer_module, "_GATHER_S", 1_000_000)
    index, activity = CountingIndex(foundation.settling_database), Activity()
    diary = Searching(foundation, None)

    async def is_first_indexed() -> bool:
        return sum(index.batches) == 1

    await diary.write("The first.")
    with anyio.fail_after(60):
        async with anyio.create_task_group() as group:
            with activity.change():
                group.start_soon(EntryIndexer(index, None, activity).index_waiting)
                await eventually(is_first_indexed)
                await diary.write("The second.")

    assert sum(index.batches) == 2


async def test_a_write_does_not_wait_for_the_index(diary: Searching) -> None:
    (entry,) = await diary.write("The backup failed.")
    store = PostgresSearchIndex(diary.foundation.settling_database)

    async with store.claim("vectors", "words/1", 10) as claim:
        with anyio.fail_after(60):
            await diary.foundation.diary.entries.update(
                ALICE, str(entry.id), 1, EntryChanges(importance=0.9)
            )
            await diary.foundation.diary.entries.delete(ALICE, str(entry.id))

    assert [text.id for text in claim.texts] == [entry.id]


async def test_a_burst_of_writes_asks_for_one_run(diary: Searching) -> None:
    await diary.write(*(f"Entry {number}." for number in range(10)))
    (entry,) = await diary.write(EntryDraft(content="The last."))
    await diary.foundation.diary.entries.update(
        ALICE, str(entry.id), 1, EntryChanges(importance=0.9)
    )

    scheduled = await diary.query(
        "select name, status from dbos.workflow_status where queue_name = 'indexing'"
    )

    assert scheduled == [("index_entries", "ENQUEUED")]


def test_what_a_killed_server_left_is_indexed_by_the_next(postgres_url: str) -> None:
    with site(postgres_url, "alice", embeddings="default") as place:
        for number in range(5):
            place.server().create(f"The backup number {number} failed.")
        place.server().kill()

        place.server().wait_until_up()
        soon(lambda: ask(place.url, WAITING) == [(0,)], within_s=60)

        answer = place.server().call("diary_search", query="saving a copy did not work").data
        assert len(answer["hits"]) > 0
        assert answer.get("notice") is None


@pytest.mark.parametrize("stage", ["words", "vectors"])
async def test_nobody_waits_for_the_backlog_of_another(
    foundation: Foundation, stage: IndexStage
) -> None:
    diary = Searching(foundation, WordEmbedder())
    old = await diary.write("The oldest.", "Less old.", owner=BOB)
    backlog = await diary.write(*(f"Import {number}." for number in range(12)))
    store = PostgresSearchIndex(foundation.settling_database)

    async with store.claim(stage, "2", 4) as claim:
        claimed = {text.id for text in claim.texts}

    assert claimed == {entry.id for entry in (*old, *backlog[-2:])}


async def test_what_waits_is_indexed_before_a_workflow_can_run(
    foundation: Foundation, database_url: str
) -> None:
    """A short session ends before DBOS is there."""
    await foundation.diary.entries.create(ALICE, EntryDraft(content="Written a moment ago."))

    async def run() -> None:
        async with run_queue(foundation):
            await anyio.sleep_forever()

    async def is_indexed() -> bool:
        return ask(database_url, WITHOUT_WORDS) == [(0,)]

    async with (
        await psycopg.AsyncConnection.connect(database_url) as other,
        anyio.create_task_group() as running,
    ):
        await other.execute("lock table dbos.workflow_status in access exclusive mode")
        running.start_soon(run)

        await eventually(is_indexed)

        await other.rollback()
        running.cancel_scope.cancel()
