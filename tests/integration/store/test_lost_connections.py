"""A connection that is lost without a word: nobody waits for it for ever, and few wait at all."""

import time
from collections.abc import AsyncGenerator
from functools import partial

import anyio
import anyio.to_thread
import pytest
from psycopg import OperationalError
from psycopg.conninfo import conninfo_to_dict

from diary_mcp.domain.errors import DatabaseUnavailableError
from diary_mcp.store.connecting import complete_url, open_blocking_connection, other_hosts_s
from diary_mcp.store.database import Database, WaitLimits, open_database
from diary_mcp.store.postgres import PostgresStore
from support.postgres_proxy import PostgresProxy, serving_postgres
from support.workflows import BOB, Diary

pytestmark = pytest.mark.anyio

LIMIT_S = 0.4
# What a slow machine adds; without limits of our own each of these waits is of half a minute.
SOON_S = 15.0


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
        await until_clients_are(proxy, 1)


async def until_clients_are(proxy: PostgresProxy, count: int) -> None:
    """Waits until PostgreSQL could know that only so many are left."""
    with anyio.fail_after(SOON_S):
        while proxy.count_clients() > count:  # noqa: ASYNC110  # nothing tells
            await anyio.sleep(0.01)


async def test_dbos_does_not_wait_for_an_answer_that_does_not_come_either(
    proxy: PostgresProxy,
) -> None:
    open_bounded = partial(open_blocking_connection, proxy.url, longest_wait_s=LIMIT_S)
    with await anyio.to_thread.run_sync(open_bounded) as connection:
        await anyio.to_thread.run_sync(list, connection.notifies())
        proxy.lose_connections()
        started = time.monotonic()
        with pytest.raises(OperationalError, match=r"no answer within 0\.4 s"):
            await anyio.to_thread.run_sync(lambda: connection.execute("select 1"))

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


async def test_a_call_that_gives_up_meanwhile_takes_no_connection_along(
    proxy: PostgresProxy,
) -> None:
    waits = WaitLimits(sure_s=0, check_s=60)
    async with open_database(proxy.url, max_size=1, waits=waits) as database:
        await ask(database)
        proxy.lose_connections()
        with anyio.move_on_after(LIMIT_S) as given_up:
            await ask(database)
        assert given_up.cancelled_caught

        with anyio.fail_after(SOON_S):
            assert await ask(database) == (1,)
        await until_clients_are(proxy, 1)


async def test_a_call_that_gives_up_where_nothing_answers_hangs_up(proxy: PostgresProxy) -> None:
    async with open_database(proxy.url, max_size=1, waits=WaitLimits(sure_s=60)) as database:
        await ask(database)
        proxy.silence()
        with anyio.move_on_after(LIMIT_S) as given_up:
            await ask(database)
        assert given_up.cancelled_caught

        proxy.restore()
        assert await ask(database) == (1,)
        await until_clients_are(proxy, 1)


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
        assert time.monotonic() - started < SOON_S


async def test_postgresql_is_told_to_look_whether_a_process_is_still_there(
    database_url: str,
) -> None:
    """What it then does is the kernel's; on a socket in the file system there is nothing to do."""
    told = (
        "select name from pg_settings where source = 'session' and name = any(array["
        "'tcp_keepalives_idle', 'tcp_keepalives_interval', 'tcp_keepalives_count',"
        " 'tcp_user_timeout'])"
    )
    blocking = open_blocking_connection(database_url)
    with blocking:
        by_dbos = blocking.execute(told).fetchall()
    async with open_database(database_url, max_size=1) as database, database.connection() as lent:
        by_pool = await (await lent.execute(told)).fetchall()

    assert len(by_dbos) == len(by_pool) == 4


def test_this_end_looks_whether_postgresql_is_still_there_unless_the_url_says_how() -> None:
    address = complete_url("postgresql://db.example/diary?keepalives_idle=60")
    found = conninfo_to_dict(address)

    assert {name: found[name] for name in found if "keepalives" in name or "user_t" in name} == {
        "keepalives_idle": "60",
        "keepalives_interval": "5",
        "keepalives_count": "3",
        "tcp_user_timeout": "20000",
    }


@pytest.mark.parametrize(
    ("url", "waits_s"),
    [
        ("postgresql://one/diary", 0),
        ("postgresql://one,two:5433,three/diary", 10),
        ("postgresql:///diary?host=one,two&port=1,2&connect_timeout=7", 7),
        ("postgresql:///diary?hostaddr=192.0.2.1,192.0.2.2&connect_timeout=1", 2),
    ],
)
def test_a_host_that_says_nothing_leaves_time_for_the_next(url: str, waits_s: float) -> None:
    assert other_hosts_s(url) == waits_s
