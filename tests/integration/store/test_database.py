"""Connections of the pool, when PostgreSQL has closed them meanwhile."""

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, aclosing, suppress
from typing import LiteralString, TypeVar

import anyio
import psycopg
import pytest
from anyio.abc import TaskStatus
from psycopg.abc import PQGen

from diary_mcp.domain.errors import DatabaseUnavailableError
from diary_mcp.store import waiting
from diary_mcp.store.bounded_connection import BoundedConnection
from diary_mcp.store.database import Connection, Database, WaitLimits, connect, open_database
from support.ground_truth import ask

pytestmark = pytest.mark.anyio

Answer = TypeVar("Answer")


async def backend_of(connection: Connection) -> object:
    cursor = await connection.execute("select pg_backend_pid()")
    return await cursor.fetchone()


async def backends(database: Database) -> set[object]:
    """The server processes behind two connections at once."""
    async with database.connection() as one, database.connection() as other:
        return {await backend_of(one), await backend_of(other)}


async def test_a_connection_that_postgresql_has_closed_is_replaced_before_anybody_gets_it(
    database_url: str,
) -> None:
    async with open_database(database_url, max_size=2, min_size=2) as database:
        before = await backends(database)
        with psycopg.connect(database_url, autocommit=True) as operator:
            operator.execute(
                "select pg_terminate_backend(pid, 5000) from pg_stat_activity"
                " where datname = current_database() and pid <> pg_backend_pid()"
            )

        after = await backends(database)

    assert len(after) == 2
    assert before.isdisjoint(after)


async def test_a_connection_with_a_notice_waiting_is_handed_out(database_url: str) -> None:
    async with open_database(database_url, max_size=1) as database:
        async with database.connection() as connection:
            before = await backend_of(connection)
            await connection.execute("listen news")
        with psycopg.connect(database_url, autocommit=True) as other:
            other.execute("notify news")

        async with database.connection() as connection:
            assert await backend_of(connection) == before


async def test_whoever_listens_and_is_called_off_leaves_no_connection_open(
    database_url: str,
) -> None:
    opened: list[Connection] = []

    async def listen(*, task_status: TaskStatus[None]) -> None:
        async with connect(database_url) as connection:
            opened.append(connection)
            await connection.execute("listen news")
            async with aclosing(connection.notifies(timeout=60)) as notifications:
                task_status.started()
                async for _ in notifications:
                    pass

    async with anyio.create_task_group() as tasks:
        await tasks.start(listen)
        # Until it waits for PostgreSQL, which nothing tells.
        await anyio.sleep(0.5)
        tasks.cancel_scope.cancel()

    assert opened[0].closed


@pytest.mark.parametrize("in_pipeline", [False, True], ids=["alone", "in a pipeline"])
async def test_a_statement_that_is_called_off_ends_and_its_connection_serves_the_next(
    database_url: str, caplog: pytest.LogCaptureFixture, *, in_pipeline: bool
) -> None:
    asleep = "from pg_stat_activity where query = 'select pg_sleep(60)' and state = 'active'"
    async with open_database(database_url, max_size=1) as database:
        async with database.connection() as connection:
            before = await backend_of(connection)

        async def sleep() -> None:
            async with database.connection() as connection, AsyncExitStack() as stack:
                if in_pipeline:
                    await stack.enter_async_context(connection.pipeline())
                cursor = await connection.execute("select pg_sleep(60)")
                await cursor.fetchone()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(sleep)
            while ask(database_url, f"select count(*) {asleep}") == [(0,)]:  # noqa: ASYNC110  # nothing tells
                await anyio.sleep(0.01)
            tasks.cancel_scope.cancel()

        assert ask(database_url, f"select count(*) {asleep}") == [(0,)]
        async with database.connection() as connection:
            assert await backend_of(connection) == before
    assert [record.message for record in caplog.records if record.levelname == "WARNING"] == []


async def test_the_connection_that_calls_take_in_turn_is_closed_in_the_end(
    database_url: str,
) -> None:
    async with open_database(database_url, max_size=2) as database:
        async with database.connection() as connection:
            first = connection
        async with database.connection() as connection:
            assert connection is first

    assert first.closed


async def test_a_pool_that_keeps_none_lets_a_burst_share_one_and_closes_it_after(
    database_url: str,
) -> None:
    async with open_database(database_url, max_size=2, min_size=0, idle_s=0.3) as database:
        async with database.connection() as connection:
            first = connection
        async with database.connection() as connection:
            assert connection is first

        with anyio.fail_after(5):
            while not first.closed:  # noqa: ASYNC110  # nobody tells
                await anyio.sleep(0.05)

        async with database.connection() as connection:
            assert connection is not first


async def test_the_last_of_a_long_queue_gets_a_connection_as_long_as_the_queue_moves(
    database_url: str,
) -> None:
    async def ask_slowly(database: Database) -> None:
        async with database.connection() as connection:
            await connection.execute("select pg_sleep(0.2)")

    waits = WaitLimits(silence_s=1)
    async with (
        open_database(database_url, max_size=1, waits=waits) as database,
        anyio.create_task_group() as calls,
    ):
        for _ in range(12):
            calls.start_soon(ask_slowly, database)


async def test_a_queue_that_stands_still_is_told_to_those_in_it(database_url: str) -> None:
    waits = WaitLimits(silence_s=0.5)
    async with open_database(database_url, max_size=1, waits=waits) as database:
        async with database.connection():
            with pytest.raises(DatabaseUnavailableError, match="no connection became free"):
                await database.check()

        await database.check()


async def test_a_statement_that_is_asked_again_is_prepared(database_url: str) -> None:
    async with (
        open_database(database_url, max_size=1) as database,
        database.connection() as connection,
    ):
        for statement in (b"select 'once'", b"select 'twice'", b"select 'twice'"):
            await connection.execute(statement)
        cursor = await connection.execute("select statement from pg_prepared_statements")

        assert await cursor.fetchall() == [("select 'twice'",)]


TABLE = "create table public.note (number integer primary key)"
NOTE = b"insert into public.note values (%s)"


@pytest.fixture
async def notes(database_url: str) -> AsyncGenerator[Database]:
    """A pool of one connection, and a table."""
    ask(database_url, TABLE)
    async with open_database(database_url, max_size=1) as database:
        yield database


async def count_notes(database: Database) -> object:
    async with database.connection() as connection:
        cursor = await connection.execute("select count(*)::integer from public.note")
        return await cursor.fetchone()


async def test_a_pipelined_transaction_keeps_all_that_it_was_sent(notes: Database) -> None:
    for first in range(0, 40, 4):
        async with notes.pipelined_transaction() as connection:
            for number in range(first, first + 4):
                await connection.execute(NOTE, [number])

    assert await count_notes(notes) == (40,)


async def test_a_failure_that_nobody_waited_for_is_told_at_the_end_and_nothing_is_kept(
    notes: Database,
) -> None:
    async def work() -> None:
        async with notes.pipelined_transaction() as connection:
            for number in (1, 1):
                await connection.execute(NOTE, [number])

    with pytest.raises(psycopg.errors.UniqueViolation):
        await work()

    assert await count_notes(notes) == (0,)


async def test_a_failure_is_told_by_the_next_result_that_is_fetched(notes: Database) -> None:
    fetched: list[object] = []

    async def work() -> None:
        async with notes.pipelined_transaction() as connection:
            for number in (1, 1):
                await connection.execute(NOTE, [number])
            cursor = await connection.execute("select 1")
            fetched.append(await cursor.fetchone())

    with pytest.raises(psycopg.errors.UniqueViolation):
        await work()

    assert fetched == []
    assert await count_notes(notes) == (0,)


async def test_a_failure_of_many_is_told_where_their_results_are_asked_for(
    notes: Database,
) -> None:
    told: list[psycopg.Error] = []

    async def work() -> None:
        async with notes.pipelined_transaction() as connection:
            try:
                await connection.cursor().executemany(NOTE, [(1,), (1,)], returning=True)
            except psycopg.errors.UniqueViolation as error:
                told.append(error)
                raise

    with pytest.raises(psycopg.errors.UniqueViolation):
        await work()

    assert told


class WritingConnection(BoundedConnection):
    """Counts how often it asks whether it may write."""

    asked = 0

    async def wait(
        self,
        gen: PQGen[Answer],
        interval: float = 0.1,
        timeout: float | None = None,  # noqa: ASYNC109  # psycopg's
    ) -> Answer:
        return await super().wait(self._counted(gen), interval, timeout)

    def _counted(self, gen: PQGen[Answer]) -> PQGen[Answer]:
        try:
            wanted = next(gen)
            while True:
                self.asked += bool(wanted & waiting.WRITE)
                wanted = gen.send((yield wanted))
        except StopIteration as end:
            answer: Answer = end.value
            return answer


async def test_what_a_pipeline_sends_together_is_written_at_once(database_url: str) -> None:
    async with await WritingConnection.connect(database_url, autocommit=True) as connection:
        async with connection.pipeline():
            cursors = [await connection.execute("select %s::integer", [n]) for n in range(20)]
            found = [await cursor.fetchone() for cursor in cursors]

        assert found == [(n,) for n in range(20)]
        assert connection.asked == 0


@pytest.mark.parametrize("goes_on", [True, False])
async def test_a_transaction_whose_failure_was_overlooked_does_not_pass_for_committed(
    notes: Database, *, goes_on: bool
) -> None:
    """With `goes_on` PostgreSQL takes the commit, and answers `ROLLBACK` without an error."""

    async def work() -> None:
        async with notes.pipelined_transaction() as connection:
            await connection.execute(NOTE, [1])
            with suppress(psycopg.errors.DivisionByZero):
                cursor = await connection.execute("select 1 / 0")
                await cursor.fetchone()
            if goes_on:
                async with connection.pipeline() as pipeline:
                    await pipeline.sync()

    with pytest.raises((DatabaseUnavailableError, psycopg.Error)):
        await work()

    assert await count_notes(notes) == (0,)


async def test_what_is_behind_a_pipelined_transaction_reads_what_it_has_left(
    notes: Database,
) -> None:
    found: list[object] = []

    async def read(connection: Connection) -> None:
        cursor = await connection.execute(
            "select count(*)::integer, current_setting('statement_timeout') from public.note"
        )
        found.append(await cursor.fetchone())

    for number in (1, 2, 3):
        async with notes.pipelined_transaction([read]) as connection:
            await connection.execute(NOTE, [number])

    assert found == [(1, "1s"), (2, "1s"), (3, "1s")]


@pytest.mark.parametrize("statement", ["select 1 / 0", "select pg_sleep(60)"])
async def test_what_fails_behind_a_pipelined_transaction_takes_nothing_back(
    notes: Database, statement: LiteralString
) -> None:
    async def read(connection: Connection) -> None:
        await (await connection.execute(statement)).fetchone()

    for number in (1, 2):
        async with notes.pipelined_transaction([read]) as connection:
            await connection.execute(NOTE, [number])

    assert await count_notes(notes) == (2,)
    async with notes.connection() as connection:
        cursor = await connection.execute("show statement_timeout")
        assert await cursor.fetchone() == ("10s",)


async def test_a_transaction_that_fails_is_told_and_not_what_was_to_be_read_behind_it(
    notes: Database,
) -> None:
    async def read(connection: Connection) -> None:
        await (await connection.execute("select 1 / 0")).fetchone()

    async def work() -> None:
        async with notes.pipelined_transaction([read]) as connection:
            for number in (1, 1):
                await connection.execute(NOTE, [number])

    with pytest.raises(psycopg.errors.UniqueViolation):
        await work()

    assert await count_notes(notes) == (0,)


async def test_an_error_of_the_caller_takes_back_what_was_sent(notes: Database) -> None:
    async def work() -> None:
        async with notes.pipelined_transaction() as connection:
            await connection.execute(NOTE, [1])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await work()

    assert await count_notes(notes) == (0,)


async def test_a_pipelined_transaction_ends_also_where_its_caller_is_cancelled(
    notes: Database,
) -> None:
    with anyio.CancelScope() as scope:
        async with notes.pipelined_transaction() as connection:
            await connection.execute(NOTE, [1])
            scope.cancel()
            await connection.execute(NOTE, [2])

    assert await count_notes(notes) == (2,)


async def test_a_connection_that_is_lost_in_a_pipeline_is_told_and_replaced(
    notes: Database, database_url: str
) -> None:
    async def work() -> None:
        async with notes.pipelined_transaction() as connection:
            await connection.execute(NOTE, [1])
            ask(
                database_url,
                "select pg_terminate_backend(pid, 5000) from pg_stat_activity"
                " where datname = current_database() and pid <> pg_backend_pid()",
            )

    with pytest.raises(DatabaseUnavailableError):
        await work()

    assert await count_notes(notes) == (0,)


async def test_a_pipeline_that_cannot_be_left_tells_what_has_failed_in_it(
    database_url: str,
) -> None:
    """As where a connection is lost at the wrong moment: psycopg tells of the leaving alone."""

    async def work() -> None:
        async with (
            await BoundedConnection.connect(database_url, autocommit=True) as connection,
            connection.pipeline(),
        ):
            await connection.execute("select 1 / 0")
            connection.pgconn.send_query_params(b"select 1", None)

    with pytest.raises(psycopg.errors.DivisionByZero):
        await work()
