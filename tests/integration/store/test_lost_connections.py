"""A connection that is lost without a word: nobody waits for it for ever, and few wait at all."""

import time
from collections.abc import AsyncGenerator

import pytest

from diary_mcp.domain.errors import DatabaseUnavailableError
from diary_mcp.store.database import Database, WaitLimits, open_database
from diary_mcp.store.postgres import PostgresStore
from support.postgres_proxy import PostgresProxy, serving_postgres
from support.workflows import BOB, Diary

pytestmark = pytest.mark.anyio

LIMIT_S = 0.4
# What the machine adds.
SOON_S = 3.0


@pytest.fixture
async def proxy(database_url: str) -> AsyncGenerator[PostgresProxy]:
    async with serving_postgres(database_url) as serving:
        yield serving


async def ask(database: Database) -> object:
    async with database.connection() as connection:
        cursor = await connection.execute("select 1")
        return await cursor.fetchone()


async def test_an_answer_that_does_not_come_is_not_waited_for(proxy: PostgresProxy) -> None:
    waits = WaitLimits(answer_s=LIMIT_S, sure_s=60)
    async with open_database(proxy.url, max_size=1, waits=waits) as database:
        await ask(database)
        proxy.lose_connections()
        started = time.monotonic()
        with pytest.raises(DatabaseUnavailableError, match=r"no answer within 0\.4 s"):
            await ask(database)

        assert await ask(database) == (1,)
        assert time.monotonic() - started < SOON_S


async def test_a_change_whose_answer_does_not_come_is_not_waited_for(proxy: PostgresProxy) -> None:
    waits = WaitLimits(answer_s=LIMIT_S, sure_s=60)
    async with open_database(proxy.url, max_size=1, waits=waits) as database:
        diary = Diary(proxy.url, database, database)
        entry_id = await diary.create()

        async def lose_a_change() -> None:
            async with PostgresStore(database).unit_of_work() as unit:
                await unit.entry_changes.delete(entry_id)
                proxy.lose_connections()

        started = time.monotonic()
        with pytest.raises(DatabaseUnavailableError):
            await lose_a_change()
        assert time.monotonic() - started < SOON_S

        await diary.share(entry_id, BOB)


async def test_what_was_lost_while_it_was_idle_is_found_before_it_is_used(
    proxy: PostgresProxy,
) -> None:
    waits = WaitLimits(sure_s=0, check_s=LIMIT_S)
    async with open_database(proxy.url, max_size=1, waits=waits) as database:
        await ask(database)
        proxy.lose_connections()

        started = time.monotonic()
        assert await ask(database) == (1,)
        assert LIMIT_S <= time.monotonic() - started < SOON_S


async def test_the_pool_is_back_at_once_after_an_outage(proxy: PostgresProxy) -> None:
    async with open_database(proxy.url, max_size=1) as database:
        await ask(database)
        proxy.refuse()
        with pytest.raises(DatabaseUnavailableError):
            await ask(database)
        with pytest.raises(DatabaseUnavailableError):
            await ask(database)
        proxy.restore()

        started = time.monotonic()
        assert await ask(database) == (1,)
        assert time.monotonic() - started < SOON_S / 2
