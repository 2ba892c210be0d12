"""Rows and the workflow of a mutation commit in one PostgreSQL transaction, or not at all.

PostgreSQL itself is asked: which transaction wrote a row, on which connection, in which order.
"""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import uuid4

import anyio
import anyio.to_thread
import psycopg
import pytest

from diary_mcp.app import Foundation, run_workflows
from diary_mcp.domain.entry import Entry, EntryChanges, EntryDraft
from diary_mcp.domain.errors import ConflictError, DiaryError
from diary_mcp.domain.fields import AgentName, Grantee, GroupName
from diary_mcp.domain.version import new_record
from diary_mcp.service.diary import Diary
from diary_mcp.service.ports.workflows import PermissionChange
from support.failures import FAILURES, Failure, failing, read_everything
from support.ground_truth import ask, check_promise, is_quiet
from support.pace import poll_diaries_often
from support.sites import add_agents
from support.stop_points import held, install_stop_points
from support.workflows import eventually

pytestmark = pytest.mark.anyio

ALICE = AgentName("alice")
BOB = Grantee("bob")


@dataclass(frozen=True)
class Scene:
    """What one mutation is about; another's is another, on the same database.

    An entry of alice's and two diaries, one of them shared with bob; and a group.
    """

    foundation: Foundation
    entry: Entry
    name: str

    @property
    def diary(self) -> Diary:
        return self.foundation.diary

    @property
    def entry_id(self) -> str:
        return str(self.entry.id)

    @property
    def bob(self) -> Grantee:
        return Grantee(f"bob-{self.name}")

    @property
    def crew(self) -> GroupName:
        return GroupName(f"crew-{self.name}")

    @property
    def team(self) -> str:
        return f"team-{self.name}"

    @property
    def shared(self) -> str:
        return f"shared-{self.name}"


Call = Callable[[Scene], Coroutine[None, None, object]]


@dataclass(frozen=True)
class Mutation:
    """A call on an entry, which is shared with bob before or not."""

    call: Call
    shared_before: bool = False


async def create(scene: Scene) -> object:
    draft = EntryDraft(content="new")
    return await scene.diary.entries.create(ALICE, draft, idempotency_key=scene.name)


async def share(scene: Scene) -> object:
    return await scene.diary.sharing.share(ALICE, scene.entry_id, scene.bob)


async def unshare(scene: Scene) -> object:
    return await scene.diary.sharing.unshare(ALICE, scene.entry_id, scene.bob)


async def delete(scene: Scene) -> object:
    return await scene.diary.entries.delete(ALICE, scene.entry_id)


async def make_diary(scene: Scene) -> object:
    return await scene.diary.diaries.open(ALICE, f"new-{scene.name}")


async def share_diary(scene: Scene) -> object:
    return await scene.diary.diaries.share(ALICE, scene.team, scene.bob, role="writer")


async def unshare_diary(scene: Scene) -> object:
    return await scene.diary.diaries.unshare(ALICE, scene.shared, scene.bob)


async def transfer_diary(scene: Scene) -> object:
    return await scene.diary.diaries.transfer(ALICE, scene.team, AgentName(scene.bob))


async def remove_diary(scene: Scene) -> object:
    return await scene.diary.diaries.remove(ALICE, scene.shared)


async def move(scene: Scene) -> object:
    changes = EntryChanges(diary=scene.team)
    return await scene.diary.entries.update(ALICE, scene.entry_id, scene.entry.version, changes)


async def remove_agent(scene: Scene) -> object:
    return await scene.foundation.removals.remove_agent(AgentName(scene.bob))


async def remove_group(scene: Scene) -> object:
    return await scene.foundation.removals.remove_group(scene.crew)


MUTATIONS = {
    "create": Mutation(create),
    "share": Mutation(share),
    "unshare": Mutation(unshare, shared_before=True),
    "delete": Mutation(delete, shared_before=True),
    "move": Mutation(move),
    "make a diary": Mutation(make_diary),
    "share a diary": Mutation(share_diary),
    "unshare a diary": Mutation(unshare_diary),
    "transfer a diary": Mutation(transfer_diary),
    "remove a diary": Mutation(remove_diary),
}
# With several workflows, and without an entry or a diary to name for some.
REMOVALS = {
    "remove an agent": Mutation(remove_agent, shared_before=True),
    "remove a group": Mutation(remove_group),
}
ANY_CHANGE = MUTATIONS | REMOVALS
IN_EVERY_WAY = {"create", "share a diary", "remove an agent"}
IN_TWO_WAYS: tuple[Failure, ...] = (
    "the workflow's row fails",
    "the connection is lost at the commit",
)

JOURNAL = """\
create table public.journal (
    number bigint generated always as identity,
    what text, pid integer, xid xid8, began timestamptz, at timestamptz
);
create function public.note() returns trigger language plpgsql as $$
begin
    insert into public.journal (what, pid, xid, began, at)
    values (tg_argv[0], pg_backend_pid(), pg_current_xact_id(), now(), clock_timestamp());
    return null;
end $$;
create trigger note after insert or update or delete on diary.entry
for each statement execute function public.note('rows');
create trigger note after insert or update or delete on diary.share
for each statement execute function public.note('rows');
create trigger note after insert or update on diary.entry_permission
for each statement execute function public.note('rows');
create trigger note after insert or update on diary.diary_permission
for each statement execute function public.note('rows');
create trigger note after insert or update or delete on diary.diary
for each statement execute function public.note('rows');
create trigger note after insert or update or delete on diary.diary_role
for each statement execute function public.note('rows');
create trigger note after insert on dbos.workflow_status
for each row when (new.queue_name in ('permissions', 'diaries'))
execute function public.note('workflow');
create trigger note after insert on dbos.workflow_input
for each row when (new.workflow_uuid like '%:%')
execute function public.note('input');
create constraint trigger noted_last after insert on dbos.workflow_status
deferrable initially deferred for each row
        when (new.queue_name in ('permissions', 'diaries'))
execute function public.note('commit');
"""


async def set_scene(foundation: Foundation, mutation: Mutation) -> Scene:
    url, name = foundation.database_url, uuid4().hex[:12]
    entry = await foundation.diary.entries.create(ALICE, EntryDraft(content="old"))
    scene = Scene(foundation, entry, name)
    add_agents(url, scene.bob)
    ask(url, "insert into diary.agent_group (name) values (%s)", scene.crew)
    for diary in (scene.team, scene.shared):
        await foundation.diary.diaries.open(ALICE, diary)
    await foundation.diary.diaries.share(ALICE, scene.shared, scene.bob)
    if mutation.shared_before:
        await share(scene)
    return scene


async def test_the_enqueue_is_between_the_first_and_the_last_statement_on_one_connection(
    foundation: Foundation, subtests: pytest.Subtests
) -> None:
    url = foundation.database_url
    ask(url, JOURNAL)
    for name, mutation in MUTATIONS.items():
        scene = await set_scene(foundation, mutation)
        ask(url, "truncate public.journal")

        await mutation.call(scene)

        with subtests.test(name):
            check_journal(url)


def check_journal(url: str) -> None:
    journal = ask(url, "select what, pid, xid::text, began, at from public.journal order by number")
    order = [what for what, *_ in journal]
    assert order[0] == "rows"
    assert order[-1] == "commit"
    assert order.count("workflow") == order.count("input") == order.count("commit") == 1
    assert 0 < order.index("workflow") < order.index("input") < len(order) - 1
    ((_, xid, _),) = {(pid, xid, began) for _, pid, xid, began, _ in journal}
    assert (xid,) in ask(
        url,
        "select xmin::text from diary.entry_permission"
        " union all select xmin::text from diary.diary_permission",
    )
    moments = [str(at) for *_, at in journal]
    assert moments == sorted(moments)


async def test_a_failure_before_the_commit_reaches_the_caller_and_leaves_nothing(
    foundation: Foundation, subtests: pytest.Subtests
) -> None:
    url = foundation.database_url
    for name, mutation in ANY_CHANGE.items():
        scene = await set_scene(foundation, mutation)
        before = read_everything(url)

        # They have one way to commit: some of them show how every failure there ends.
        for failure in FAILURES if name in IN_EVERY_WAY else IN_TWO_WAYS:
            with subtests.test(name, failure=failure):
                with failing(url, failure), pytest.raises((DiaryError, psycopg.Error)):
                    await mutation.call(scene)

                assert read_everything(url) == before

        with subtests.test(name, failure=None):
            await mutation.call(scene)
            assert read_everything(url) != before


@pytest.mark.parametrize(("key", "error"), [("taken", ConflictError), (None, psycopg.Error)])
async def test_a_failing_statement_after_the_enqueue_takes_the_workflow_back(
    foundation: Foundation, key: str | None, error: type[Exception]
) -> None:
    """With a key it is waited for; without one it is found out at the end."""
    draft = EntryDraft(content="old", key=key)
    entry = await foundation.diary.entries.create(ALICE, draft)
    before = read_everything(foundation.database_url)
    record = new_record(draft, ALICE, datetime.now(UTC), entry_id=entry.id)

    async def work() -> None:
        async with foundation.store.unit_of_work() as unit:
            await unit.workflows.enqueue(PermissionChange("grant_viewer", (entry.id,), 2, BOB))
            await unit.entry_changes.insert(record)
            await unit.workflows.enqueue(PermissionChange("grant_viewer", (entry.id,), 3, BOB))

    with pytest.raises(error):
        await work()

    assert read_everything(foundation.database_url) == before


async def test_an_error_of_the_caller_after_the_enqueue_takes_the_workflow_back(
    foundation: Foundation,
) -> None:
    entry = await foundation.diary.entries.create(ALICE, EntryDraft(content="old"))
    before = read_everything(foundation.database_url)

    async def work() -> None:
        async with foundation.store.unit_of_work() as unit:
            await unit.entry_changes.delete(entry.id)
            await unit.workflows.enqueue(PermissionChange("remove_entry_relations", (entry.id,), 2))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await work()

    assert read_everything(foundation.database_url) == before


async def test_a_call_that_is_cancelled_at_its_commit_is_done_as_a_whole(
    foundation: Foundation, subtests: pytest.Subtests
) -> None:
    url = foundation.database_url
    install_stop_points(url)
    for name, mutation in ANY_CHANGE.items():
        scene = await set_scene(foundation, mutation)
        before = read_everything(url)

        with held(url, "before the commit") as stop:
            async with anyio.create_task_group() as caller:
                caller.start_soon(mutation.call, scene)
                await anyio.to_thread.run_sync(stop.wait_for_arrival)
                caller.cancel_scope.cancel()
                stop.let_go()

        with subtests.test(name):
            after = read_everything(url)
            changed = {table for table in after if after[table] != before[table]}
            assert changed & {"diary.entry_permission", "diary.diary_permission", "diary.removal"}
            assert changed >= {"dbos.workflow_status", "dbos.workflow_input"}


async def test_a_rollback_gives_neither_rows_nor_tuples_and_a_commit_both(
    foundation: Foundation,
) -> None:
    url = foundation.database_url
    poll_diaries_often(url)
    async with run_workflows(foundation):
        scenes = [(each, await set_scene(foundation, each)) for each in ANY_CHANGE.values()]
        await settled(foundation)
        before = check_promise(url)

        with failing(url, "the commit fails"):
            for mutation, scene in scenes:
                with pytest.raises(psycopg.Error):
                    await mutation.call(scene)
        # A later change was seen and settled: so would have been what came before it.
        later = await foundation.diary.entries.create(ALICE, EntryDraft(content="later"))
        await settled(foundation)

        after = check_promise(url)
        assert after.entries == before.entries | {str(later.id)}
        assert after.changes == before.changes | {(str(later.id), 1)}
        for mutation, scene in scenes:
            await mutation.call(scene)
        await settled(foundation)

    assert len(check_promise(url).scheduled) >= len(after.scheduled) + len(ANY_CHANGE)


async def test_no_workflow_sees_an_entry_before_it_is_committed(foundation: Foundation) -> None:
    url = foundation.database_url
    scene = await set_scene(foundation, MUTATIONS["create"])
    install_stop_points(url)
    ask(url, "drop trigger stop_4 on dbos.workflow_status")
    ask(
        url,
        """\
        create constraint trigger stop_4 after insert on dbos.workflow_status
        deferrable initially deferred
        for each row when (new.workflow_uuid like 'grant_ownership:%')
        execute function stop.here('before the commit')
        """,
    )
    async with run_workflows(foundation):
        await settled(foundation)
        before = check_promise(url)
        with held(url, "before the commit") as stop:
            async with anyio.create_task_group() as caller:
                caller.start_soon(create, scene)
                await anyio.to_thread.run_sync(stop.wait_for_arrival)

                # Others pass: the queue is looked at, and their work is done.
                await share(scene)
                await settled(foundation)

                during = check_promise(url)
                assert during.entries == before.entries
                assert during.scheduled == before.scheduled | {(scene.entry_id, 2)}
                stop.let_go()
        await settled(foundation)

    assert len(check_promise(url).entries) == len(before.entries) + 1


async def test_every_tuple_is_written_for_an_entry_that_is_there(foundation: Foundation) -> None:
    url = foundation.database_url
    ask(
        url,
        """\
        create function public.require_entry() returns trigger language plpgsql as $$
        begin
            if not exists (select from diary.entry where id = new.object::uuid) then
                raise exception 'a tuple for an entry that is not there';
            end if;
            return new;
        end $$;
        create trigger required before insert on diary.relation_tuple
        for each row execute function public.require_entry();
        create sequence public.commit;
        create function public.fail_some() returns trigger language plpgsql as $$
        begin
            perform pg_sleep(random() / 20);
            if nextval('public.commit') % 3 = 0 then raise exception 'made to fail'; end if;
            return null;
        end $$;
        create constraint trigger some_fail after insert on dbos.workflow_status
        deferrable initially deferred for each row
        when (new.queue_name in ('permissions', 'diaries'))
        execute function public.fail_some();
        """,
    )
    outcomes: list[bool] = []

    async def try_to_create() -> None:
        try:
            await foundation.diary.entries.create(ALICE, EntryDraft(content="maybe"))
            outcomes.append(True)
        except psycopg.Error:
            outcomes.append(False)

    async with run_workflows(foundation):
        async with anyio.create_task_group() as callers:
            for _ in range(12):
                callers.start_soon(try_to_create)
        await settled(foundation)

    truth = check_promise(url)
    assert outcomes.count(False) == 4
    assert len(truth.entries) == outcomes.count(True) == 8


async def settled(foundation: Foundation) -> None:
    async def check() -> bool:
        return is_quiet(foundation.database_url)

    await eventually(check)
