"""What the workflow tests stand on: a diary's rows, a permission backend that can be told to fail,
and the runtime over both. Run as a script, it is one process of a deployment.
"""

import asyncio
import sys
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Collection,
    Generator,
    Sequence,
)
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from datetime import UTC, datetime
from functools import partial
from uuid import UUID, uuid4

import anyio
import anyio.to_thread
import psycopg

from diary_mcp.domain.entry import EntryDraft
from diary_mcp.domain.errors import PermissionRefusedError
from diary_mcp.domain.fields import AgentName, DiaryId, EntryId, Grantee
from diary_mcp.domain.relations import RelationTuple, SubjectSet, owner_tuple, viewer_tuple
from diary_mcp.domain.version import new_record
from diary_mcp.service.ports.store import UnitOfWork
from diary_mcp.service.ports.workflows import (
    PermissionChange,
    PollRate,
    PollRates,
    RelatedId,
)
from diary_mcp.service.sharing.settlement import settle
from diary_mcp.store.connecting import open_blocking_connection
from diary_mcp.store.database import Connection, Database, open_database
from diary_mcp.store.housekeeping import PostgresHousekeeping
from diary_mcp.store.postgres import PostgresStore
from diary_mcp.store.settlements import PostgresSettlements
from diary_mcp.store.sweep import PostgresSweep
from diary_mcp.store.takeover import PostgresExecutors
from diary_mcp.workflows.dbos_process import DbosProcess
from diary_mcp.workflows.ports import Connect, RuntimeStore, Work
from diary_mcp.workflows.retrying import RetryPolicy
from diary_mcp.workflows.runtime import Intervals, workflow_runtime
from support.fork_server import start_program

ALICE = AgentName("alice")
BOB = AgentName("bob")
QUICK_PACE = PollRate(0.05, 48)
QUICK = Intervals(
    poll_rates=PollRates(idle=QUICK_PACE, busy=QUICK_PACE, burst=QUICK_PACE),
    takeover_s=0.1,
    sweep_s=600,
    first_housekeeping_s=600,
)
PERSISTENT = RetryPolicy(first_pause_s=0.01, longest_pause_s=0.05)
IMPATIENT = RetryPolicy(first_pause_s=0.01, give_up_after_s=0.02)


class TupleTable:
    """A permission backend without rules: the tuples are rows, and each call its own connection.

    It journals its calls in the database, so that a test sees those of other processes too, and
    notes there whether another call for the same entry was running. It can be made to fail, or
    to give no answer.
    """

    def __init__(self, database_url: str) -> None:
        self._database_url = database_url
        self.fault: Exception | None = None
        self.unanswered: Exception | None = None
        """Instead of the answer to a write, which is not done yet."""

        self.refused: EntryId | None = None
        self.answers = asyncio.Event()
        self.answers.set()

    async def list_entry_tuples(self, entry_ids: Collection[EntryId]) -> set[RelationTuple]:
        async with self._call("list", entry_ids) as connection:
            return await read_tuples(connection, entry_ids)

    async def list_diary_tuples(self, diary_ids: Collection[DiaryId]) -> set[RelationTuple]:
        """Not journaled: what no row knows is asked for in both namespaces."""
        async with await psycopg.AsyncConnection.connect(self._database_url) as connection:
            found = await read_tuples(connection, [EntryId(each) for each in diary_ids])
        return {each for each in found if each.namespace == "Diary"}

    async def list_group_tuples(self, grantee: Grantee) -> set[RelationTuple]:
        """Here nobody is in a group."""
        assert grantee
        return set()

    async def patch(
        self, *, insert: Collection[RelationTuple], delete: Collection[RelationTuple]
    ) -> None:
        if self.unanswered is not None:
            raise self.unanswered
        entry_ids = {EntryId(UUID(relation.object)) for relation in (*insert, *delete)}
        async with self._call("patch", entry_ids) as connection, connection.transaction():
            for gone in delete:
                await connection.execute(
                    "delete from diary.relation_tuple"
                    " where (namespace, object, relation, subject_id, subject_namespace,"
                    " subject_object, subject_relation)"
                    " is not distinct from (%s::text, %s::text, %s::text, %s::text, %s::text,"
                    " %s::text, %s::text)",
                    _columns(gone),
                )
            for new in insert:
                await connection.execute(
                    "insert into diary.relation_tuple values (%s, %s, %s, %s, %s, %s, %s)"
                    " on conflict do nothing",
                    _columns(new),
                )

    async def scan_tuples(self) -> AsyncIterator[Sequence[RelationTuple]]:
        async with await psycopg.AsyncConnection.connect(self._database_url) as connection:
            yield list(await read_tuples(connection))

    @asynccontextmanager
    async def _call(self, name: str, entry_ids: Collection[EntryId]) -> AsyncGenerator[Connection]:
        async with await psycopg.AsyncConnection.connect(
            self._database_url, autocommit=True
        ) as connection:
            for entry_id in sorted(entry_ids):
                await connection.execute(
                    "insert into public.backend_call (call, entry_id, alone)"
                    " select %s, %s, pg_try_advisory_lock(hashtextextended('journal' || %s, 0))",
                    (name, entry_id, str(entry_id)),
                )
            try:
                await self.answers.wait()
                if self.fault is not None:
                    raise self.fault
                if self.refused in entry_ids:
                    raise PermissionRefusedError("This entry is refused.")
                yield connection
            finally:
                # The end of a connection is noticed by PostgreSQL a moment later.
                await connection.execute("select pg_advisory_unlock_all()")


def _columns(relation: RelationTuple) -> list[str | None]:
    place: list[str | None] = [relation.namespace, relation.object, relation.relation]
    if isinstance(relation.subject, SubjectSet):
        subject = relation.subject
        return [*place, None, subject.namespace, subject.object, subject.relation]
    return [*place, relation.subject, None, None, None]


async def read_tuples(
    connection: Connection, entry_ids: Collection[EntryId] | None = None
) -> set[RelationTuple]:
    """The tuples of these entries, or all of them; past every class of the code under test."""
    cursor = await connection.execute(
        "select namespace, object, relation, subject_id, subject_namespace, subject_object,"
        " subject_relation from diary.relation_tuple"
        " where %(objects)s::text[] is null or object = any(%(objects)s)",
        {"objects": None if entry_ids is None else [str(entry_id) for entry_id in entry_ids]},
    )
    return {
        RelationTuple(
            str(row[0]),
            str(row[1]),
            str(row[2]),
            str(row[3])
            if row[3] is not None
            else SubjectSet(str(row[4]), str(row[5]), str(row[6])),
        )
        for row in await cursor.fetchall()
    }


def connect_to(url: str) -> Connect:
    return partial(open_blocking_connection, url)


class Diary:
    """One deployment's database: what a process of it does, and what is in it."""

    def __init__(self, database_url: str, database: Database, settling: Database) -> None:
        self.database_url = database_url
        self.database = database
        self.store = PostgresStore(database)
        self.settlements = PostgresSettlements(settling)
        self.sweep = PostgresSweep(settling)
        self.housekeeping = PostgresHousekeeping(settling)
        self.executors = PostgresExecutors(database_url)
        self.tuples = TupleTable(database_url)

    def runtime(
        self, *, intervals: Intervals = QUICK, retries: RetryPolicy = PERSISTENT
    ) -> AbstractAsyncContextManager[str]:
        store = RuntimeStore(self.executors, self.sweep, self.housekeeping)
        return workflow_runtime(
            DbosProcess(connect_to(self.database_url)),
            store,
            Work(self.settle),
            retries=retries,
            intervals=intervals,
        )

    async def settle(self, ids: Sequence[RelatedId]) -> None:
        await settle(ids, self.settlements, self.tuples)

    async def create(self, owner: AgentName = ALICE) -> EntryId:
        entry_id = EntryId(uuid4())
        async with self.store.unit_of_work() as unit:
            await add_entry(unit, entry_id, owner)
        return entry_id

    async def share(
        self, entry_id: EntryId, agent: AgentName, expires_at: datetime | None = None
    ) -> None:
        async with self.store.unit_of_work() as unit:
            await unit.agents.register(agent)
            grantee = Grantee(agent)
            given = await unit.shares.give(entry_id, ALICE, grantee, expires_at, None)
            assert given.generation is not None
            await unit.workflows.enqueue(
                PermissionChange("grant_viewer", (entry_id,), given.generation, grantee)
            )

    async def unshare(self, entry_id: EntryId, agent: AgentName) -> None:
        async with self.store.unit_of_work() as unit:
            generation = await raise_generation(unit, entry_id)
            await unit.shares.remove(entry_id, Grantee(agent))
            await unit.workflows.enqueue(
                PermissionChange("revoke_viewer", (entry_id,), generation, Grantee(agent))
            )

    async def delete(self, entry_id: EntryId) -> None:
        async with self.store.unit_of_work() as unit:
            generation = await raise_generation(unit, entry_id)
            await unit.entry_changes.delete(entry_id)
            await unit.workflows.enqueue(
                PermissionChange("remove_entry_relations", (entry_id,), generation)
            )

    async def query(self, statement: str, *parameters: object) -> list[tuple[object, ...]]:
        """Rows of a statement of the test's own."""
        async with self.database.connection() as connection:
            cursor = await connection.execute(statement.encode(), parameters)
            return await cursor.fetchall() if cursor.description is not None else []

    async def all_tuples(self) -> set[RelationTuple]:
        async with self.database.connection() as connection:
            return await read_tuples(connection)

    async def wanted_tuples(self) -> set[RelationTuple]:
        """What the rows ask for, told by rows alone."""
        owners = await self.query("select id::text, owner from diary.entry")
        viewers = await self.query(
            "select entry_id::text, grantee from diary.share where not expired"
        )
        return {
            owner_tuple(EntryId(UUID(str(entry_id))), AgentName(str(owner)))
            for entry_id, owner in owners
        } | {
            viewer_tuple(EntryId(UUID(str(entry_id))), Grantee(str(grantee)))
            for entry_id, grantee in viewers
        }

    async def is_settled(self) -> bool:
        """Whether the permission backend agrees with every change, and nothing waits to be run."""
        return (
            await self.query(
                "select 1 from diary.entry_permission where applied_generation < generation"
                " union all select 1 from dbos.workflow_status"
                " where status in ('ENQUEUED', 'PENDING') and queue_name = 'permissions'"
            )
            == []
        )

    async def calls(self, entry_id: EntryId) -> list[str]:
        """What the permission backend was asked about an entry, in order, by any process."""
        rows = await self.query(
            "select call from public.backend_call where entry_id = %s order by at", entry_id
        )
        return [str(call) for (call,) in rows]

    async def statuses(self) -> list[str]:
        """The state of every permission workflow, oldest id first."""
        rows = await self.query(
            "select status from dbos.workflow_status where queue_name = 'permissions'"
            " order by workflow_uuid"
        )
        return [str(status) for (status,) in rows]


async def add_entry(unit: UnitOfWork, entry_id: EntryId, owner: AgentName = ALICE) -> None:
    """A new entry and the workflow of its ownership, in this unit of work."""
    await insert_entry(unit, entry_id, owner)
    await unit.workflows.enqueue(PermissionChange("grant_ownership", (entry_id,)))


async def insert_entry(unit: UnitOfWork, entry_id: EntryId, owner: AgentName = ALICE) -> None:
    """A new entry's rows alone."""
    draft, now = EntryDraft(content="What happened."), datetime.now(UTC)
    record = new_record(draft, owner, now, entry_id=entry_id)
    await unit.entry_changes.insert(record)


async def raise_generation(unit: UnitOfWork, entry_id: EntryId) -> int:
    generation = await unit.entry_changes.raise_generation(entry_id, ALICE)
    assert generation is not None
    return generation


@asynccontextmanager
async def open_diary(database_url: str) -> AsyncGenerator[Diary]:
    async with (
        open_database(database_url, max_size=4) as database,
        open_database(database_url, max_size=8) as settling,
    ):
        yield Diary(database_url, database, settling)


async def eventually(condition: Callable[[], Awaitable[object]], *, within_s: float = 60) -> None:
    """Waits until the condition holds, or fails."""
    pause_s = 0.01
    with anyio.fail_after(within_s):
        while not await condition():  # what is awaited happens in PostgreSQL
            await anyio.sleep(pause_s)
            # What takes long had better have the processor than be looked at all the time.
            pause_s = min(pause_s * 1.5, 0.1)


class OtherProcess:
    """Another process of the deployment; its permission backend may give no answer until told."""

    def __init__(self, database_url: str, answering: str) -> None:
        self.process = start_program(__file__, database_url, answering)

    def wait_until_ready(self) -> None:
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == b"ready\n"

    def let_answer(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(b"answer\n")
        self.process.stdin.flush()

    def end(self) -> str:
        """Ends it as a client would; everything that it wrote to stdout after being ready."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        with self.process.stdin, self.process.stdout as output:
            self.process.stdin.close()
            rest = output.read().decode()
        self.process.wait(60)
        return rest


@contextmanager
def other_process(database_url: str, *, stalls: bool = False) -> Generator[OtherProcess]:
    other = OtherProcess(database_url, "stalls" if stalls else "answers")
    try:
        other.wait_until_ready()
        yield other
    finally:
        other.process.kill()
        assert other.process.stdout is not None
        if not other.process.stdout.closed:
            other.end()


async def _be_another_process(database_url: str, answering: str) -> None:
    async with open_diary(database_url) as diary:
        if answering == "stalls":
            diary.tuples.answers.clear()
        async with diary.runtime():
            sys.stdout.write("ready\n")
            sys.stdout.flush()
            while await anyio.to_thread.run_sync(sys.stdin.readline):
                diary.tuples.answers.set()


if __name__ == "__main__":
    asyncio.run(_be_another_process(*sys.argv[1:]))
