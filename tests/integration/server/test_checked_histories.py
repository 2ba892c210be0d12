"""The checker of histories finds a broken build by what its callers are told, and no other.

What the chaos tests check after kills is checked here in one process without any, on builds that
break a promise: so it is known that those tests would see it.
"""

from collections.abc import AsyncGenerator, Callable, Collection, Generator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from itertools import count

import anyio
import psycopg
import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal
from mcp.client.client import Client

from diary_mcp.app import open_foundation
from diary_mcp.settings import Settings
from diary_mcp.store.database import Connection, Database, Read
from support.clients import Json
from support.in_memory import InMemory
from support.load import Author, Logbook
from support.sites import add_agents, own_database

AUTHORS = ("ann", "ben", "cleo")
CHANGES = 30
# What is broken shows in the first or the second turn on a quick machine.
TURNS = 12


@dataclass(frozen=True)
class Inside:
    """An agent's client of the server in this process."""

    portal: BlockingPortal
    client: Client
    is_lost: bool = False

    def start_call(self, tool: str, /, **arguments: object) -> Future[Json]:
        return self.portal.start_task_soon(self._call, tool, arguments)

    def close(self) -> None:
        """Nothing: the server ends with the test."""

    async def _call(self, tool: str, arguments: Mapping[str, object]) -> Json:
        result = await self.client.call_tool(tool, dict(arguments))
        return result.model_dump(mode="json", by_alias=True, exclude_none=True)


async def settle_now_and_then(diary: InMemory, every_s: float) -> None:
    while True:
        await anyio.sleep(every_s)
        await diary.settle_all()


@contextmanager
def authors_at_work(
    url: str, names: Sequence[str], logbook: Logbook, settled_every_s: float
) -> Generator[list[Author[Inside]]]:
    """Each shares with the next alone."""
    with ExitStack() as stack:
        portal = stack.enter_context(start_blocking_portal())
        opened = open_foundation(Settings(database_url=url))
        foundation = stack.enter_context(portal.wrap_async_context_manager(opened))
        diary = InMemory(foundation, "2026-07-28")
        stack.callback(portal.start_task_soon(settle_now_and_then, diary, settled_every_s).cancel)

        def connect(name: str) -> Callable[[], Inside]:
            connection = portal.wrap_async_context_manager(diary.client(name))
            inside = Inside(portal, stack.enter_context(connection))
            return lambda: inside

        authors = [
            Author(name, connect(name), name, logbook, grantees=[following])
            for name, following in zip(names, [*names[1:], names[0]], strict=True)
        ]
        for author in authors:
            author.start()
        yield authors
        for author in authors:
            author.stop()


def work_on(url: str, turn: int = 0, settled_every_s: float = 0.05) -> Logbook:
    """Some changes of each author of this turn, and as much reading."""
    names = [f"{name}-{turn}" for name in AUTHORS]
    add_agents(url, *names)
    logbook = Logbook()
    with authors_at_work(url, names, logbook, settled_every_s) as authors:
        for author in authors:
            while author.acknowledged < CHANGES and author.failure is None:
                author.join(0.05)
    return logbook


def check_turns(url: str, settled_every_s: float = 0.05) -> None:
    """Fails in the first turn in which something is found."""
    for turn in range(TURNS):
        work_on(url, turn, settled_every_s).check(url)


@pytest.fixture
def url(postgres_url: str) -> Generator[str]:
    with own_database(postgres_url) as opened:
        yield opened


def test_nothing_is_found_in_what_was_built(url: str) -> None:
    logbook = work_on(url)

    logbook.check(url)
    assert logbook.readings_of_others > 0


def test_a_share_that_is_taken_back_only_in_the_permission_backend_is_found(url: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute(
            "create or replace view diary.active_share as"
            " select t.object::uuid as entry_id, t.subject_id as grantee,"
            " t.subject_id as granted_by, now() as created_at, null::timestamptz as expires_at,"
            " null::text as note"
            " from diary.relation_tuple as t"
            " where t.namespace = 'DiaryEntry' and t.relation = 'viewer'"
        )

    with pytest.raises(AssertionError, match="this cannot be answered so"):
        check_turns(url, settled_every_s=0.5)


def test_what_is_acknowledged_before_its_commit_is_found_once_a_commit_fails(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = Database.pipelined_transaction
    numbers = count(1)

    @asynccontextmanager
    async def acknowledge_first(
        database: Database, behind: Collection[Read]
    ) -> AsyncGenerator[Connection]:
        async with commit(database, behind) as connection:
            yield connection
            if next(numbers) % 20 == 0:
                await connection.execute("rollback")

    monkeypatch.setattr(Database, "pipelined_transaction", acknowledge_first)

    with pytest.raises(AssertionError, match="this cannot be answered so"):
        check_turns(url)
