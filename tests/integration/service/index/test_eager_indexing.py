"""What is indexed beside the queue, by whom, and how much of it at the end of a process."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, nullcontext
from threading import Event

import anyio
import anyio.to_thread
import pytest

from diary_mcp.app import Foundation, lay_foundation, settle_beside_queue, watch_queue
from diary_mcp.domain.entry import EntryChanges, EntryDraft
from diary_mcp.service.activity import Activity
from diary_mcp.service.index import eager_indexing as eager_module
from diary_mcp.service.index import indexer as indexer_module
from diary_mcp.service.index.eager_indexing import EagerIndexing
from diary_mcp.service.index.indexer import EntryIndexer
from diary_mcp.service.ports.index import Embedder
from diary_mcp.settings import Settings
from diary_mcp.store.search_index import PostgresSearchIndex
from support.ground_truth import ask
from support.searching import ALICE, Searching, WordEmbedder
from support.workflows import eventually

pytestmark = pytest.mark.anyio

WAITING = (
    "select count(*)::integer from diary.search_document"
    " where words_by is null or vectors_by is null"
)
WITHOUT_WORDS = "select count(*)::integer from diary.search_document where words_by is null"


class SlowEmbedder(WordEmbedder):
    """Begins with its first text when it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.begun, self.go_on = Event(), Event()

    def embed(self, texts: Sequence[str]) -> list[bytes]:
        self.begun.set()
        self.go_on.wait(60)
        return super().embed(texts)

    async def wait_until_asked(self) -> None:
        await eventually(lambda: anyio.to_thread.run_sync(self.begun.wait, 60))


class BrokenEmbedder(WordEmbedder):
    """Fails as no embedder should."""

    def embed(self, texts: Sequence[str]) -> list[bytes]:
        raise RuntimeError(texts)


class Session:
    """A process that writes, and indexes beside the queue."""

    def __init__(self, foundation: Foundation, embedder: Embedder) -> None:
        self.activity = Activity()
        index = PostgresSearchIndex(foundation.settling_database)
        self.eager = EagerIndexing(EntryIndexer(index, embedder, self.activity), self.activity)
        self.diary = Searching(foundation, embedder)

    async def write(self, count: int) -> None:
        await self.diary.write(*(f"Entry {number}." for number in range(count)))
        self.eager.written.set()

    async def count_waiting(self) -> object:
        ((count,),) = await self.diary.query(WAITING)
        return count

    async def is_indexed(self) -> bool:
        return await self.count_waiting() == 0

    @asynccontextmanager
    async def running(self, *, needed: bool = True) -> AsyncGenerator[None]:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self.eager.run)
            with self.eager.needed() if needed else nullcontext():
                yield
            tasks.cancel_scope.cancel()


async def test_what_is_written_is_indexed_while_nothing_runs_workflows(database_url: str) -> None:
    settings = Settings(database_url=database_url, embeddings="none")

    async def is_indexed() -> bool:
        return ask(database_url, WITHOUT_WORDS) == [(0,)]

    async with (
        lay_foundation(database_url, settings) as foundation,
        settle_beside_queue(foundation),
        watch_queue(foundation),
    ):
        entries = foundation.diary.entries
        entry = await entries.create(ALICE, EntryDraft(content="The backup failed."))
        await eventually(is_indexed)
        await entries.update(ALICE, str(entry.id), 1, EntryChanges(content="It went well."))
        await eventually(is_indexed)


async def test_who_stands_by_indexes_once_it_is_needed(foundation: Foundation) -> None:
    session = Session(foundation, WordEmbedder())

    async with session.running(needed=False):
        await session.write(2)
        await anyio.wait_all_tasks_blocked()
        before = await session.count_waiting()
        with session.eager.needed():
            await eventually(session.is_indexed)

    assert before == 2


async def test_the_model_begins_to_load_before_the_words_are_indexed(
    foundation: Foundation, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A write that may be followed by another is waited for.
    monkeypatch.setattr(indexer_module, "_GATHER_S", 3_600)
    embedder = WordEmbedder()
    embedder.is_warm = False
    session = Session(foundation, embedder)

    async def is_warm() -> bool:
        return embedder.is_warm

    with session.activity.change():
        async with session.running():
            await session.write(1)
            await eventually(is_warm)


def signal() -> anyio.Event:
    """One that has come."""
    event = anyio.Event()
    event.set()
    return event


async def test_at_the_end_what_waits_is_embedded_by_a_model_that_is_there(
    foundation: Foundation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexer_module, "_GATHER_S", 3_600)
    monkeypatch.setattr(eager_module, "_LAST_S", 60)
    session = Session(foundation, WordEmbedder())

    with session.activity.change():
        async with session.running():
            await session.write(7)
            await session.eager.finish(signal())

    assert await session.is_indexed()


async def test_after_a_signal_the_end_waits_for_no_model_that_is_still_to_be_loaded(
    foundation: Foundation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(eager_module, "_LAST_S", 3_600)
    embedder = SlowEmbedder()
    embedder.is_warm = False
    session = Session(foundation, embedder)

    async with session.running():
        await session.write(1)
        await embedder.wait_until_asked()
        embedder.is_warm = False
        with anyio.fail_after(60):
            await session.eager.finish(signal())
    embedder.go_on.set()

    assert await session.count_waiting() == 1


async def test_the_end_waits_for_nothing_once_another_process_is_found_to_index(
    foundation: Foundation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(eager_module, "_UNHURRIED_S", 3_600)
    session = Session(foundation, WordEmbedder())

    async with session.running(needed=False):
        await session.write(1)
        with anyio.fail_after(60):
            async with anyio.create_task_group() as ending:
                ending.start_soon(session.eager.finish, anyio.Event())
                await anyio.wait_all_tasks_blocked()
                with session.eager.left_to_others():
                    await anyio.wait_all_tasks_blocked()

    assert await session.count_waiting() == 1


async def test_the_end_goes_on_where_indexing_fails_as_nobody_expects(
    foundation: Foundation,
) -> None:
    session = Session(foundation, BrokenEmbedder())

    async with session.running():
        await session.write(1)
        await session.eager.finish(anyio.Event())

    assert await session.count_waiting() == 1


async def test_without_a_signal_the_end_waits_for_the_model_that_embeds_what_was_written(
    foundation: Foundation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(eager_module, "_UNHURRIED_S", 60)
    embedder = SlowEmbedder()
    embedder.is_warm = False
    session = Session(foundation, embedder)

    async with session.running(), anyio.create_task_group() as tasks:
        await session.write(3)
        tasks.start_soon(session.eager.finish, anyio.Event())
        await embedder.wait_until_asked()
        embedder.is_warm = False
        embedder.go_on.set()

    assert await session.is_indexed()


async def test_a_signal_ends_the_wait_for_a_model_that_is_still_to_be_loaded(
    foundation: Foundation, monkeypatch: pytest.MonkeyPatch
) -> None:
    for patience in ("_UNHURRIED_S", "_LAST_S"):
        monkeypatch.setattr(eager_module, patience, 3_600)
    embedder, coming = SlowEmbedder(), anyio.Event()
    session = Session(foundation, embedder)

    with anyio.fail_after(60):
        async with session.running(), anyio.create_task_group() as tasks:
            await session.write(1)
            tasks.start_soon(session.eager.finish, coming)
            await embedder.wait_until_asked()
            embedder.is_warm = False
            coming.set()
    embedder.go_on.set()

    assert await session.count_waiting() == 1


async def test_the_end_of_a_session_that_wrote_nothing_loads_no_model(
    foundation: Foundation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(eager_module, "_UNHURRIED_S", 3_600)
    embedder = WordEmbedder()
    embedder.is_warm = False
    session = Session(foundation, embedder)
    await session.diary.write("Left by a session before.")

    async with session.running():
        with anyio.fail_after(60):
            await session.eager.finish(anyio.Event())

    assert not embedder.is_warm


async def test_the_end_writes_what_is_embedded_of_a_batch_that_is_not_done(
    foundation: Foundation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(eager_module, "_LAST_S", 60)
    embedder = SlowEmbedder()
    session = Session(foundation, embedder)

    async with session.running():
        await session.write(3)
        await embedder.wait_until_asked()
        session.activity.end()
        embedder.go_on.set()
        await session.eager.finish(signal())

    assert await session.is_indexed()


async def test_the_end_does_not_wait_for_long(
    foundation: Foundation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(eager_module, "_LAST_S", 0.01)
    embedder = SlowEmbedder()
    session = Session(foundation, embedder)

    async with session.running():
        await session.write(3)
        await embedder.wait_until_asked()
        with anyio.fail_after(60):
            await session.eager.finish(signal())
    embedder.go_on.set()

    assert await session.count_waiting() == 3
