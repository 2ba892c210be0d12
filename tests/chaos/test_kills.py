"""The server is killed with SIGKILL at every point between the begin of a mutation's transaction
and the end of its workflow; the next server finds, and leaves, only what the promise allows.

PostgreSQL stops the server at the point, see `support.stop_points`. What is there afterwards is
read from rows and tuples, never asked of the code under test.
"""

import os
import signal
from collections.abc import Callable, Collection, Generator, Iterable
from concurrent.futures import Future
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field, replace
from uuid import uuid4

import pytest

from support.clients import ConnectionLostError, Json, RawClient, answer_of, environment
from support.fork_server import start_command
from support.ground_truth import ask, check_promise, eventually, is_settled
from support.pace import poll_diaries_often
from support.sites import Site, add_agents, own_database
from support.stop_points import StepPoint, StopPoint, held, install_stop_points, is_there

Group = tuple[str, ...]
"""The names of some of the mutations."""

State = tuple[bool, frozenset[str]]
"""Whether an entry is there, and with whom it is shared."""

ABSENT: State = (False, frozenset())
PRIVATE: State = (True, frozenset())
SHARED: State = (True, frozenset({"bob"}))
MOVED: State = (True, frozenset({"in team"}))
TEAM = "team"
"""The diary that entries are moved to."""


@dataclass(frozen=True)
class Mutation:
    """One tool call on the entry with the key `key`, and what it makes of it."""

    agent: str
    tool: str
    before: State
    after: State
    arguments: Callable[[str], Json]
    of_diary: bool = False
    """Whether `key` is the name of a diary."""


# Each agent's at once by a server of its own, so that one kill of all does for all of it: a chain
# has one writer at a time, and a queue of DBOS two workflows.
MUTATIONS = {
    "create": Mutation(
        *("alice", "diary_create", ABSENT, PRIVATE),
        lambda key: {"content": "What happened.", "key": key},
    ),
    "share": Mutation(
        *("alice", "diary_share", PRIVATE, SHARED), lambda key: {"entry_id": key, "with": "bob"}
    ),
    "make a diary": Mutation(
        *("alice", "diary_diaries", ABSENT, PRIVATE), lambda key: {"open": key}, of_diary=True
    ),
    "move": Mutation(
        *("carol", "diary_update", PRIVATE, MOVED),
        lambda key: {"entry_id": key, "expected_version": 1, "diary": TEAM},
    ),
    "unshare": Mutation(
        *("carol", "diary_unshare", SHARED, PRIVATE), lambda key: {"entry_id": key, "with": "bob"}
    ),
    "share a diary": Mutation(
        *("carol", "diary_share", PRIVATE, SHARED),
        lambda key: {"diary": key, "with": "bob"},
        of_diary=True,
    ),
    "delete": Mutation("dora", "diary_delete", SHARED, ABSENT, lambda key: {"entry_id": key}),
}


ALL: Group = tuple(MUTATIONS)
# What settles knows nothing of the mutation: it reads the rows, of which there are some or none.
SETTLED: Group = ("create", "make a diary", "delete")
# DBOS has three connections to account for its workflows, and one of them it keeps. It has a queue
# for diaries, and another for entries.
ACCOUNTED: Group = SETTLED[1:]
AT_ONCE: dict[StepPoint, list[Group]] = {
    # Of what waits here, the server that runs the workflows holds a connection each, and has six.
    # To delete takes the viewers' tuples away too, as to unshare does.
    "before the tuples": [ALL[:3], ("move", "share a diary", "delete")],
    "after the tuples": [SETTLED],
    "after the tuples' commit": [SETTLED],
    "before the checkpoint": [ACCOUNTED],
    "before the end": [ACCOUNTED],
}

pytestmark = pytest.mark.xdist_group("kills")


@dataclass
class Diary:
    """Three agents' servers that may be killed, and what must be true of every entry by now."""

    url: str
    sites: dict[str, Site]
    states: dict[str, State]
    """By the key of an entry or the name of a diary; of what was deleted, too."""

    kinds: dict[str, tuple[str, bool]] = field(default_factory=dict[str, tuple[str, bool]])
    """Whose each is, and whether it is a diary; of what mutations may be made of."""

    def prepare(self, names: Group) -> dict[str, Mutation]:
        """Each mutation by the key of a settled entry or diary in the state before it."""
        prepared: dict[str, Mutation] = {}
        for name in names:
            mutation = MUTATIONS[name]
            prepared[self._find(mutation, prepared) or self._make(mutation)] = mutation
        self.check()
        return prepared

    def _find(self, mutation: Mutation, taken: Collection[str]) -> str | None:
        """What another mutation has left in the state before this one, if there is anything."""
        kind = (mutation.agent, mutation.of_diary)
        found = (
            key
            for key, state in self.states.items()
            if state == mutation.before and self.kinds.get(key) == kind and key not in taken
        )
        return next(found, None)

    def _make(self, mutation: Mutation) -> str:
        key = uuid4().hex
        self.bring_about(key, mutation)
        return key

    def bring_about(self, key: str, mutation: Mutation) -> None:
        """Makes the state before the mutation, with a server that is not to be killed yet."""
        is_there, grantees = self.states[key] = mutation.before
        self.kinds[key] = (mutation.agent, mutation.of_diary)
        steps = ("make a diary", "share a diary") if mutation.of_diary else ("create", "share")
        for name in steps[: 1 + len(grantees)] if is_there else ():
            step = MUTATIONS[name]
            answer = self.server(mutation.agent).call(step.tool, **step.arguments(key))
            assert answer.code == "ok"

    def server(self, agent: str = "alice") -> RawClient:
        """The agent's server that is alive, or another one."""
        return self.sites[agent].server()

    def kill(self) -> None:
        """Kills every server that is alive."""
        for each in self.sites.values():
            each.kill()

    def start_again(self) -> None:
        """The next server; nothing is done for it but what it does by itself."""
        self.server().wait_until_up()

    def check(self) -> None:
        """The promise holds, every entry is as it must be, and there is no other."""
        check_promise(self.url)
        assert self.read() == {key: state for key, state in self.states.items() if state[0]}

    def read(self) -> dict[str, State]:
        """What is there, by its key or name."""
        rows = ask(
            self.url,
            "select key, share.grantee from diary.entry left join diary.share on entry_id = id"
            " union all select key, 'in ' || name from diary.entry"
            " join diary.diary on diary.id = diary_id"
            " union all select name, grantee from diary.diary"
            " left join diary.diary_role on diary_id = id",
        )
        grantees: dict[str, set[str]] = {}
        for key, grantee in rows:
            grantees.setdefault(str(key), set()).update([] if grantee is None else [str(grantee)])
        return {key: (True, frozenset(names)) for key, names in grantees.items()}

    def read_some(self, keys: Iterable[str]) -> dict[str, State]:
        found = self.read()
        return {key: found.get(key, ABSENT) for key in keys}


@pytest.fixture(scope="module")
def diary(postgres_url: str) -> Generator[Diary]:
    with own_database(postgres_url) as url, ExitStack() as servers:
        install_stop_points(url)
        poll_diaries_often(url)
        add_agents(url, "bob")
        sites = {
            agent: servers.enter_context(
                closing(Site(url, environment(agent=agent, database_url=url)))
            )
            for agent in ("alice", "carol", "dora")
        }
        assert sites["carol"].server().call("diary_diaries", open=TEAM).code == "ok"
        yield Diary(url, sites, {TEAM: PRIVATE})


@dataclass(frozen=True)
class AtThePoint:
    """Mutations by their keys, each stopped at one point at this moment."""

    mutations: dict[str, Mutation]
    calls: list[Future[Json]]
    backends: list[int]

    @property
    def after(self) -> dict[str, State]:
        return {key: mutation.after for key, mutation in self.mutations.items()}

    def check_unanswered(self) -> None:
        """Of a server that is gone."""
        for call in self.calls:
            with pytest.raises(ConnectionLostError):
                answer_of(call)


@contextmanager
def stopped(
    diary: Diary, point: StopPoint, names: Group, *, answered: bool = False
) -> Generator[AtThePoint]:
    """Each of the mutations under way, and all of them at the point until the block ends.

    Each has a server process of PostgreSQL to itself. What is answered comes one after the other:
    what is settled together would arrive as one.
    """
    mutations = diary.prepare(names)
    with held(diary.url, point) as stop:
        calls: list[Future[Json]] = []
        for key, mutation in mutations.items():
            server = diary.server(mutation.agent)
            calls.append(server.start_call(mutation.tool, **mutation.arguments(key)))
            if answered:
                assert answer_of(calls[-1]).code == "ok"
                stop.wait_for_arrivals(len(calls))
        backends = stop.wait_for_arrivals(len(calls))
        assert len(backends) == len(calls)
        yield AtThePoint(mutations, calls, backends)


def kill_before_commit(diary: Diary, point: StopPoint, *, with_backends: bool) -> AtThePoint:
    """Kills the server at the point. What it was at goes on without it, as far as it can.

    From the enqueue on the commit may be on its way already: only the end of its server process in
    PostgreSQL, `with_backends`, calls it off.
    """
    with stopped(diary, point, ALL) as reached:
        diary.kill()
        for backend in reached.backends if with_backends else ():
            ask(diary.url, "select pg_terminate_backend(%s)", backend)
    eventually(lambda: not any(is_there(diary.url, each) for each in reached.backends))
    reached.check_unanswered()
    return reached


@pytest.mark.parametrize("point", ["after the rows", "after the enqueue", "before the commit"])
def test_a_server_killed_before_its_commit_leaves_nothing_of_the_mutation(
    diary: Diary, point: StopPoint
) -> None:
    is_sent = point in {"after the enqueue", "before the commit"}
    kill_before_commit(diary, point, with_backends=is_sent)

    diary.start_again()

    diary.check()


def test_a_server_killed_after_the_enqueue_leaves_all_of_the_mutation_or_nothing(
    diary: Diary,
) -> None:
    reached = kill_before_commit(diary, "after the enqueue", with_backends=False)
    found = diary.read_some(reached.mutations)
    for key, mutation in reached.mutations.items():
        assert found[key] in {mutation.before, mutation.after}
    diary.states.update(found)

    diary.start_again()

    diary.check()


def test_a_server_killed_during_its_commit_leaves_all_of_the_mutation(diary: Diary) -> None:
    with stopped(diary, "before the commit", ALL) as reached:
        diary.kill()
    reached.check_unanswered()
    diary.states.update(reached.after)

    diary.start_again()

    eventually(lambda: diary.read_some(reached.after) == reached.after)
    diary.check()


def test_a_server_killed_after_its_commit_and_before_its_answer_leaves_all_of_the_mutation(
    diary: Diary,
) -> None:
    with stopped(diary, "before the commit", ALL) as reached:
        for agent in diary.sites:
            os.kill(diary.server(agent).process.pid, signal.SIGSTOP)
    eventually(lambda: diary.read_some(reached.after) == reached.after)
    diary.kill()
    reached.check_unanswered()
    diary.states.update(reached.after)

    diary.start_again()

    diary.check()


@pytest.mark.parametrize(
    ("point", "names"),
    [
        pytest.param(point, names, id=f"{point}-{', '.join(names)}")
        for point, groups in AT_ONCE.items()
        for names in groups
    ],
)
def test_a_server_killed_inside_the_step_leaves_the_rest_to_the_next(
    diary: Diary, point: StopPoint, names: Group
) -> None:
    with stopped(diary, point, names, answered=True) as reached:
        diary.kill()
    diary.states.update(reached.after)

    diary.start_again()

    diary.check()


@pytest.mark.parametrize("point", ["after the enqueue", "before the commit", "before the tuples"])
def test_a_killed_removal_of_an_agent_leaves_all_of_it_or_nothing(
    diary: Diary, point: StopPoint
) -> None:
    url, key, agent = diary.url, uuid4().hex, f"leaving-{uuid4().hex}"
    add_agents(url, agent)
    diary.bring_about(key, MUTATIONS["share"])
    shared = diary.server().call("diary_share", entry_id=key, with_=agent)
    assert shared.code == "ok"
    diary.states[key] = (True, frozenset({agent}))
    diary.check()
    with held(url, point) as stop:
        command = start_command("agent", "remove", agent, env=environment(database_url=url))
        backend = stop.wait_for_arrival()
        command.kill()
        command.wait()
        diary.kill()
    eventually(lambda: not is_there(url, backend))
    diary.start_again()
    eventually(lambda: is_settled(url))

    if not ask(url, "select true from diary.agent where name = %s", agent):
        diary.states[key] = PRIVATE
    diary.check()


@pytest.mark.parametrize("point", ["after the enqueue", "before the tuples"])
def test_a_server_killed_as_it_carries_out_the_end_of_a_role_leaves_the_rest_to_the_next(
    diary: Diary, point: StopPoint
) -> None:
    url, name = diary.url, uuid4().hex
    diary.bring_about(name, replace(MUTATIONS["share a diary"], before=SHARED))
    diary.check()
    diary.kill()
    ask(
        url,
        "update diary.diary_role set expires_at = now() - interval '1 second'"
        " where diary_id = (select id from diary.diary where name = %s)",
        name,
    )
    with held(url, point) as stop:
        # What has ended is what a server looks for at its start.
        diary.start_again()
        stop.wait_for_arrival()
        diary.kill()

    diary.start_again()

    ended = "select from diary.audit_event join diary.diary on diary.id = diary_id where name = %s"
    ended += " and event = 'share_expired'"
    eventually(lambda: len(ask(url, ended, name)) == 1)
    # Nothing is deleted, but the tuple is gone.
    diary.check()
    assert len(ask(url, ended, name)) == 1
