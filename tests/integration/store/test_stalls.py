"""A process that sleeps in the middle of its work does not lock the others out, and sees what it
has lost when it wakes.

That it sleeps is a pause here, in which it neither sends nor reads anything. PostgreSQL's limits
are scaled down by the URL.
"""

import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from urllib.parse import quote

import anyio
import psycopg
import pytest

from diary_mcp.app import open_foundation
from diary_mcp.domain.errors import (
    DatabaseUnavailableError,
    LocksLostError,
    PermissionBackendUnavailableError,
    PermissionRefusedError,
)
from diary_mcp.domain.fields import EntryId
from diary_mcp.domain.relations import owner_tuple
from diary_mcp.settings import Settings
from diary_mcp.store.database import Connection, Database, WaitLimits, connect, open_database
from diary_mcp.store.postgres import PostgresStore
from diary_mcp.store.settlements import PostgresSettlements
from support.in_memory import InMemory, good, refusal
from support.workflows import ALICE, BOB, Diary, eventually, open_diary, raise_generation

pytestmark = pytest.mark.anyio

LIMIT_S = 1.0
ASLEEP_S = 1.5


def with_setting(database_url: str, setting: str) -> str:
    """The URL for sessions that have this setting."""
    return f"{database_url}&options={quote(f'-c {setting}')}"


@asynccontextmanager
async def sleepy_diary(database_url: str) -> AsyncGenerator[Diary]:
    """The diary as the process sees it that sleeps too long for its sessions."""
    setting = f"idle_in_transaction_session_timeout={round(LIMIT_S * 1000)}"
    async with (
        open_diary(database_url) as diary,
        open_database(with_setting(database_url, setting), max_size=2) as limited,
    ):
        diary.store, diary.settlements = PostgresStore(limited), PostgresSettlements(limited)
        yield diary


async def test_a_process_that_sleeps_in_a_change_does_not_lock_the_entry_for_others(
    database_url: str,
) -> None:
    async with open_diary(database_url) as diary, sleepy_diary(database_url) as sleeper:
        entry_id = await diary.create()

        async def sleep_in_a_change() -> None:
            async with sleeper.store.unit_of_work() as unit:
                await raise_generation(unit, entry_id)
                await diary.share(entry_id, BOB)
                # It wakes, and goes on with what it believes to be its transaction.
                await raise_generation(unit, entry_id)

        with pytest.raises(DatabaseUnavailableError):
            await sleep_in_a_change()

        assert await diary.query("select generation from diary.entry_permission") == [(2,)]


async def test_a_process_that_sleeps_before_it_reads_an_answer_is_ended_too(
    database_url: str,
) -> None:
    async with open_diary(database_url) as diary, sleepy_diary(database_url) as sleeper:
        entry_id = await diary.create()

        async def sleep_in_a_change() -> None:
            async with sleeper.store.unit_of_work() as unit:
                await raise_generation(unit, entry_id)
                # Whose result nobody asks for.
                await unit.workflows.request_indexing()
                await anyio.sleep(ASLEEP_S)
                await diary.share(entry_id, BOB)
                await raise_generation(unit, entry_id)

        with pytest.raises(DatabaseUnavailableError):
            await sleep_in_a_change()

        assert await diary.query("select generation from diary.entry_permission") == [(2,)]


async def test_a_transaction_that_does_not_end_is_ended_and_what_only_reads_goes_on(
    database_url: str,
) -> None:
    short = WaitLimits(transaction_s=LIMIT_S)
    async with open_database(database_url, max_size=1, waits=short) as limited:
        await skip_before_postgresql_17(limited)

        async def go_on(connection: Connection) -> None:
            for _ in range(10):
                await connection.execute("select pg_sleep(%s)", [ASLEEP_S / 10])

        with pytest.raises(DatabaseUnavailableError):
            async with limited.transaction() as connection:
                await go_on(connection)
        async with limited.snapshot() as connection:
            await go_on(connection)


async def test_a_statement_that_does_not_end_is_ended_and_its_call_is_unavailable(
    database_url: str,
) -> None:
    # What a busy machine needs for the others is less.
    setting = "statement_timeout=2s"
    limited = Settings(database_url=with_setting(database_url, setting))
    async with (
        open_diary(database_url) as diary,
        open_foundation(limited) as foundation,
        InMemory(foundation, "2025-11-25").client() as client,
    ):
        await diary.query(
            "create function public.never_end() returns trigger language plpgsql"
            " as 'begin perform pg_sleep(600); return null; end'"
        )
        await diary.query(
            "create trigger never_ends before insert on diary.entry"
            " for each statement execute function public.never_end()"
        )
        refused = await refusal(client, "diary_create", content="Never written.")
        await diary.query("drop trigger never_ends on diary.entry")
        created = await good(client, "diary_create", content="Written.")

        assert refused.startswith("unavailable: ")
        assert await diary.query("select id::text from diary.entry") == [(created["id"],)]
        assert await diary.statuses() == ["ENQUEUED"]
        # Where the URL says nothing, it is ours.
        assert await diary.query("show statement_timeout") == [("10s",)]


async def skip_before_postgresql_17(database: Database) -> None:
    async with database.connection() as connection:
        if connection.info.server_version < 170_000:
            pytest.skip("`transaction_timeout` is new in PostgreSQL 17")


@asynccontextmanager
async def let_go_soon(diary: Diary, entry_id: EntryId, *, holds: bool) -> AsyncGenerator[None]:
    """Another process is settling the entry when the block begins, if it `holds` it."""
    is_held = anyio.Event()

    async def hold() -> None:
        async with diary.settlements.lock_relations([entry_id]):
            is_held.set()
            await anyio.sleep(LIMIT_S / 2)

    async with anyio.create_task_group() as tasks:
        if holds:
            tasks.start_soon(hold)
            await is_held.wait()
        yield


@pytest.mark.parametrize("waits_for_lock", [False, True], ids=["at once", "after a wait"])
async def test_a_process_that_sleeps_while_it_settles_loses_the_entry_and_sees_it(
    database_url: str, *, waits_for_lock: bool
) -> None:
    async with open_diary(database_url) as diary, sleepy_diary(database_url) as sleeper:
        entry_id = await diary.create()
        lost: list[LocksLostError] = []

        async def sleep_while_settling() -> None:
            async with sleeper.settlements.lock_relations([entry_id]) as relations:
                await diary.settle([entry_id])
                await relations.mark_applied()

        async with let_go_soon(diary, entry_id, holds=waits_for_lock):
            try:
                await sleep_while_settling()
            except LocksLostError as error:
                lost.append(error)

        assert lost
        assert await diary.all_tuples() == {owner_tuple(entry_id, ALICE)}


async def test_a_process_that_sleeps_while_it_waits_for_the_entry_does_not_keep_it(
    database_url: str,
) -> None:
    async with open_diary(database_url) as diary, sleepy_diary(database_url) as sleeper:
        entry_id = await diary.create()
        lost: list[Exception] = []
        waiting = "select from pg_locks where not granted and database ="
        waiting += " (select oid from pg_database where datname = current_database())"

        async def is_waiting() -> bool:
            return await diary.query(waiting) != []

        async def settle() -> None:
            try:
                async with sleeper.settlements.lock_relations([entry_id]) as relations:
                    await relations.mark_applied()
            except (LocksLostError, DatabaseUnavailableError) as error:
                lost.append(error)

        with psycopg.connect(database_url) as holder:
            holder.execute("lock table diary.entry_permission")
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(settle)
                await eventually(is_waiting)
                holder.rollback()
                # The whole process sleeps, and reads no answer.
                time.sleep(ASLEEP_S)  # noqa: ASYNC251

        assert lost
        assert await diary.query("select applied_generation from diary.entry_permission") == [(0,)]


@pytest.mark.parametrize(
    "failure",
    [PermissionBackendUnavailableError("silent"), PermissionRefusedError("no")],
    ids=["no answer", "refused"],
)
async def test_a_lost_lock_is_seen_whatever_the_permission_backend_said(
    database_url: str, failure: Exception
) -> None:
    async with open_diary(database_url) as diary, sleepy_diary(database_url) as sleeper:
        entry_id = await diary.create()

        async def sleep_until_refused() -> None:
            async with sleeper.settlements.lock_relations([entry_id]):
                await anyio.sleep(ASLEEP_S)
                raise failure

        with pytest.raises(LocksLostError):
            await sleep_until_refused()


async def test_what_migrates_or_repairs_keeps_no_lock_and_waits_for_no_answer_for_ever(
    database_url: str,
) -> None:
    async with connect(database_url) as connection:
        shown = await connection.execute("show idle_in_transaction_session_timeout")

        assert await shown.fetchone() == ("1min",)
        assert connection.longest_wait_s == WaitLimits().answer_s


async def test_a_server_that_only_reads_is_unavailable_for_changes(database_url: str) -> None:
    only_reads = with_setting(database_url, "default_transaction_read_only=on")
    async with (
        open_diary(database_url) as diary,
        open_database(only_reads, max_size=1) as replica,
    ):
        entry_id = await diary.create()
        diary.store, diary.settlements = PostgresStore(replica), PostgresSettlements(replica)

        with pytest.raises(DatabaseUnavailableError, match="read-only"):
            await diary.share(entry_id, BOB)
        with pytest.raises(DatabaseUnavailableError, match="read-only"):
            await diary.settle([entry_id])
