"""The server is killed with SIGKILL at every point between the begin of a mutation's transaction
and the end of its workflow; the next server finds, and leaves, only what the promise allows.

PostgreSQL stops the server at the point, see `support.stop_points`. What is there afterwards is
read from rows and tuples, never asked of the code under test.
"""

import os
import signal
import subprocess
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import get_args
from uuid import uuid4

import pytest

from support.clients import (
    COMMAND,
    ConnectionLostError,
    Json,
    RawClient,
    answer_of,
    environment,
)
from support.ground_truth import ask, check_promise, eventually, is_settled
from support.sites import Site, add_agents, site
from support.stop_points import StepPoint, StopPoint, held, install_stop_points, is_there

State = tuple[bool, frozenset[str]]
"""Whether an entry is there, and with whom it is shared."""

ABSENT: State = (False, frozenset())
PRIVATE: State = (True, frozenset())
SHARED: State = (True, frozenset({"bob"}))
MOVED: State = (True, frozenset({"in team"}))


@dataclass(frozen=True)
class Mutation:
    """One tool call on the entry with the key `key`, and what it makes of it."""

    tool: str
    before: State
    after: State
    arguments: Callable[[str], Json]
    of_diary: bool = False
    """Whether `key` is the name of a diary."""


MUTATIONS = {
    "create": Mutation(
        "diary_create", ABSENT, PRIVATE, lambda key: {"content": "What happened.", "key": key}
    ),
    "share": Mutation("diary_share", PRIVATE, SHARED, lambda key: {"entry_id": key, "with": "bob"}),
    "unshare": Mutation(
        "diary_unshare", SHARED, PRIVATE, lambda key: {"entry_id": key, "with": "bob"}
    ),
    "delete": Mutation("diary_delete", SHARED, ABSENT, lambda key: {"entry_id": key}),
    "move": Mutation(
        "diary_update",
        PRIVATE,
        MOVED,
        lambda key: {"entry_id": key, "expected_version": 1, "diary": "team"},
    ),
    "make a diary": Mutation(
        "diary_diaries", ABSENT, PRIVATE, lambda key: {"open": key}, of_diary=True
    ),
    "share a diary": Mutation(
        "diary_share", PRIVATE, SHARED, lambda key: {"diary": key, "with": "bob"}, of_diary=True
    ),
}


@dataclass
class Diary:
    """A site whose server may be killed, and what must be true of every entry by now."""

    site: Site
    states: dict[str, State] = field(default_factory=dict[str, State])

    def prepare(self, key: str, mutation: Mutation) -> RawClient:
        """The server, with a settled entry or diary in the state before the mutation."""
        server, state = self.site.server(), mutation.before
        assert server.call("diary_diaries", open="team").code == "ok"
        steps = ("make a diary",) if mutation.of_diary else ("create", "share")
        for name in steps[: 1 + len(state[1])] if state[0] else ():
            mutation = MUTATIONS[name]
            assert server.call(mutation.tool, **mutation.arguments(key)).code == "ok"
        self.states[key] = state
        server.wait_until_up()
        self.check()
        return server

    def check(self) -> None:
        """The promise holds, and every entry is as it must be."""
        check_promise(self.site.url)
        assert {key: self.state(key) for key in self.states} == self.states

    def state(self, key: str) -> State:
        grantees = ask(
            self.site.url,
            "select share.grantee from diary.entry left join diary.share on entry_id = id"
            " where key = %s and diary_id is null"
            " union all select 'in ' || name from diary.entry"
            " join diary.diary on diary.id = diary_id where key = %s"
            " union all select grantee from diary.diary left join diary.diary_role on diary_id = id"
            " where name = %s",
            *(key, key, key),
        )
        return bool(grantees), frozenset(str(name) for (name,) in grantees if name is not None)


@pytest.fixture(scope="module")
def diary(postgres_url: str) -> Generator[Diary]:
    with site(postgres_url, "alice") as opened:
        install_stop_points(opened.url)
        add_agents(opened.url, "bob")
        yield Diary(opened)


def kill_before_commit(
    diary: Diary, point: StopPoint, key: str, mutation: Mutation, *, with_backend: bool
) -> None:
    """Kills the server at the point. What it was at goes on without it, as far as it can.

    From the enqueue on the commit may be on its way already: only the end of its server process in
    PostgreSQL, `with_backend`, calls it off.
    """
    server = diary.prepare(key, mutation)
    with held(diary.site.url, point) as stop:
        call = server.start_call(mutation.tool, **mutation.arguments(key))
        backend = stop.wait_for_arrival()
        server.kill()
        if with_backend:
            ask(diary.site.url, "select pg_terminate_backend(%s)", backend)
    eventually(lambda: not is_there(diary.site.url, backend))
    with pytest.raises(ConnectionLostError):
        answer_of(call)


@pytest.mark.xdist_group("kills-in-the-transaction")
@pytest.mark.parametrize("name", MUTATIONS)
@pytest.mark.parametrize(
    "point", ["after begin", "after the rows", "after the enqueue", "before the commit"]
)
def test_a_server_killed_before_its_commit_leaves_nothing_of_the_mutation(
    diary: Diary, point: StopPoint, name: str
) -> None:
    key = uuid4().hex
    mutation = MUTATIONS[name]
    is_sent = point in {"after the enqueue", "before the commit"}
    kill_before_commit(diary, point, key, mutation, with_backend=is_sent)

    diary.site.server().wait_until_up()

    diary.check()


@pytest.mark.xdist_group("kills-in-the-transaction")
@pytest.mark.parametrize("name", MUTATIONS)
def test_a_server_killed_after_the_enqueue_leaves_all_of_the_mutation_or_nothing(
    diary: Diary, name: str
) -> None:
    key = uuid4().hex
    mutation = MUTATIONS[name]
    kill_before_commit(diary, "after the enqueue", key, mutation, with_backend=False)
    found = diary.state(key)
    assert found in {mutation.before, mutation.after}
    diary.states[key] = found

    diary.site.server().wait_until_up()

    diary.check()


@pytest.mark.xdist_group("kills-in-the-transaction")
@pytest.mark.parametrize("name", MUTATIONS)
def test_a_server_killed_during_its_commit_leaves_all_of_the_mutation(
    diary: Diary, name: str
) -> None:
    key = uuid4().hex
    mutation = MUTATIONS[name]
    server = diary.prepare(key, mutation)
    with held(diary.site.url, "before the commit") as stop:
        call = server.start_call(mutation.tool, **mutation.arguments(key))
        stop.wait_for_arrival()
        server.kill()
    with pytest.raises(ConnectionLostError):
        answer_of(call)
    diary.states[key] = mutation.after

    diary.site.server().wait_until_up()

    eventually(lambda: diary.state(key) == mutation.after)
    diary.check()


@pytest.mark.xdist_group("kills-in-the-transaction")
@pytest.mark.parametrize("name", MUTATIONS)
def test_a_server_killed_after_its_commit_and_before_its_answer_leaves_all_of_the_mutation(
    diary: Diary, name: str
) -> None:
    key = uuid4().hex
    mutation = MUTATIONS[name]
    server = diary.prepare(key, mutation)
    with held(diary.site.url, "before the commit") as stop:
        call = server.start_call(mutation.tool, **mutation.arguments(key))
        stop.wait_for_arrival()
        os.kill(server.process.pid, signal.SIGSTOP)
    eventually(lambda: diary.state(key) == mutation.after)
    server.kill()
    with pytest.raises(ConnectionLostError):
        answer_of(call)
    diary.states[key] = mutation.after

    diary.site.server().wait_until_up()

    diary.check()


@pytest.mark.xdist_group("kills-in-the-step")
@pytest.mark.parametrize("name", MUTATIONS)
@pytest.mark.parametrize("point", get_args(StepPoint))
def test_a_server_killed_inside_the_step_leaves_the_rest_to_the_next(
    diary: Diary, point: StopPoint, name: str
) -> None:
    key = uuid4().hex
    mutation = MUTATIONS[name]
    server = diary.prepare(key, mutation)
    with held(diary.site.url, point) as stop:
        answer = server.call(mutation.tool, **mutation.arguments(key))
        stop.wait_for_arrival()
        server.kill()
    assert answer.code == "ok"
    diary.states[key] = mutation.after

    diary.site.server().wait_until_up()

    diary.check()


@pytest.mark.xdist_group("kills-in-the-step")
@pytest.mark.parametrize("point", ["after the enqueue", "before the commit", "before the tuples"])
def test_a_killed_removal_of_an_agent_leaves_all_of_it_or_nothing(
    diary: Diary, point: StopPoint
) -> None:
    url, key = diary.site.url, uuid4().hex
    server = diary.prepare(key, MUTATIONS["unshare"])
    with held(url, point) as stop:
        command = subprocess.Popen(
            [COMMAND, "agent", "remove", "bob"],
            env=environment(database_url=url),
            stdout=subprocess.DEVNULL,
        )
        backend = stop.wait_for_arrival()
        command.kill()
        command.wait()
        server.kill()
    eventually(lambda: not is_there(url, backend))
    diary.site.server().wait_until_up()
    eventually(lambda: is_settled(url))

    if not ask(url, "select true from diary.agent where name = 'bob'"):
        lost = {each: PRIVATE for each, state in diary.states.items() if state == SHARED}
        diary.states.update(lost)
    add_agents(url, "bob")
    diary.check()
