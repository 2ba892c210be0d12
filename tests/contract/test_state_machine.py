"""Whatever is done to a diary, in whatever order: rows and tuples agree once they are settled, and
at no moment and by no tool is anybody shown what the rows do not open, or a trace of it.

What is done is drawn from everything that changes who may read something: entries and their shares,
roles on diaries, moves and transfers, groups and who is in them, expiries and a clock that jumps,
settling in parts, sweeps, reconciling, work that the queue has lost, an older state that is brought
back, and restarts that work off the queue.
"""

import os
from collections.abc import Awaitable, Generator, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager, contextmanager
from copy import deepcopy
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from diary_mcp.app import Foundation, open_foundation, repair_rows_adrift
from diary_mcp.domain.diaries import GivenRole
from diary_mcp.domain.entry import EntryChanges, EntryDraft
from diary_mcp.domain.errors import ForbiddenError, NotFoundError
from diary_mcp.domain.fields import AgentName, EntryId, Grantee, GroupName
from diary_mcp.service.index.indexer import EntryIndexer
from diary_mcp.service.ports.workflows import RelatedId
from diary_mcp.service.sharing.settlement import settle
from diary_mcp.settings import Settings
from diary_mcp.store.search_index import PostgresSearchIndex
from diary_mcp.store.sweep import PostgresSweep
from diary_mcp.workflows.dbos_process import DbosProcess
from diary_mcp.workflows.ports import Work
from diary_mcp.workflows.runtime import workflow_runtime
from support.backends import Administrator, KetoAdministrator, SqlAdministrator
from support.doors import COMMON_TAG, COMMON_WORD, Door, doors, front_doors, look, mark
from support.ground_truth import ask, eventually, is_settled, read_truth
from support.keto_config import KetoAddress
from support.saved_states import restore_state, save_state
from support.sites import add_agents, own_database
from support.who_reads import (
    AGENTS,
    ANN,
    BOB,
    CAT,
    CREW,
    INNER,
    MEMBERSHIPS,
    TEAM,
    Expected,
    Membership,
    Place,
    Readers,
    Right,
    Written,
)
from support.workflows import QUICK, connect_to

pytestmark = pytest.mark.xdist_group("keto")

GENERATE = (Phase.generate,)
MANY = int(os.environ.get("DIARY_MCP_TEST_HOSTILE", "1"))

Answer = TypeVar("Answer")

TABLES_THAT_EXPIRE = ("share", "diary_role")

writers = st.sampled_from([ANN, BOB, CAT])
grantees = st.sampled_from([Grantee(BOB), Grantee(CAT), CREW, INNER])
shared_places = st.sampled_from([TEAM, TEAM, Place(ANN)])
places = st.one_of(st.none(), shared_places)
"""Where an agent writes: into its own `main`, or a diary on which it may have a role."""

picks = st.integers(0, 20)
# An hour and a half, so that no jump ends on the very moment of an expiry.
lifetimes = st.one_of(st.none(), st.sampled_from([0.5, 1.5, 2.5]))


@dataclass(frozen=True)
class Ground:
    """A database and a permission backend, both of which are emptied for every history."""

    portal: BlockingPortal
    settings: Settings
    administrator: Administrator
    keto: KetoAddress | None = None

    @property
    def url(self) -> str:
        assert self.settings.database_url is not None
        return self.settings.database_url

    def open(self) -> AbstractContextManager[Foundation]:
        return self.portal.wrap_async_context_manager(open_foundation(self.settings))


class Histories(RuleBasedStateMachine):
    """One diary, and everything that can be done to it."""

    def __init__(self, ground: Ground) -> None:
        super().__init__()
        self.ground = ground
        self.expected = Expected()
        self.saved: Expected | None = None
        self.memberships = set[Membership]()
        self.made: list[EntryId] = []
        """Every entry that there ever was; each has its number in it."""

        self.looked = 0
        self.is_settled = False
        self.is_indexed = False
        self.has_queue = False
        self.losses = 0
        self.was_restarted = False
        self.was_worked_off = False
        self.is_adrift = False
        """Whether rows or tuples were changed of which the other side knows nothing."""

        self.are_denied = False
        """Whether the backend has no tuple, so that nothing is open that was given."""

    @initialize()
    def begin(self) -> None:
        restore_state(self.ground.url, "beginning")
        self.do(self.ground.administrator.empty())
        self.start()
        for membership in ((CREW, INNER), (INNER, Grantee(CAT))):
            self.turn_membership(membership)
        self.change(self.foundation.diary.diaries.open(ANN, "team"))
        for grantee, hours in ((Grantee(BOB), 1.5), (CREW, 2.5)):
            self.give_role(TEAM, grantee, "writer", hours)
        self.settle_all()
        for owner in (ANN, BOB, CAT):
            self.write(owner, Place(owner))
            self.write(owner, TEAM)

    # ---- What agents do.

    @rule(owner=writers, chosen=places)
    def create(self, owner: AgentName, chosen: Place | None) -> None:
        self.write(owner, chosen or Place(owner))

    @precondition(lambda self: self.expected.entries)
    @rule(pick=picks)
    def update(self, pick: int) -> None:
        entry_id, entry = self.pick(pick)
        content = f"What really {COMMON_WORD}: {entry.mark}."
        version = self.version(entry_id, entry)
        entries = self.foundation.diary.entries
        self.change(
            entries.update(entry.owner, str(entry_id), version, EntryChanges(content=content))
        )
        entry.content = content

    @precondition(lambda self: self.expected.entries)
    @rule(pick=picks, grantee=grantees, hours=lifetimes)
    def share(self, pick: int, grantee: Grantee, hours: float | None) -> None:
        entry_id, entry = self.pick(pick)
        if grantee != entry.owner:
            sharing, until = self.foundation.diary.sharing, _until(hours)
            self.change(sharing.share(entry.owner, str(entry_id), grantee, expires_at=until))
            entry.shares[grantee] = Right(hours)

    @precondition(lambda self: any(entry.shares for entry in self.expected.entries.values()))
    @rule(pick=picks)
    def unshare(self, pick: int) -> None:
        shared = [
            (entry_id, grantee)
            for entry_id, entry in sorted(self.expected.entries.items())
            for grantee in sorted(entry.shares)
        ]
        entry_id, grantee = shared[pick % len(shared)]
        entry = self.expected.entries[entry_id]
        self.change(
            self.foundation.diary.sharing.unshare(entry.owner, str(entry_id), grantee),
            allowed=entry.shares[grantee].is_active,
        )
        if entry.shares[grantee].is_active:
            del entry.shares[grantee]
        self.look_in_front()

    @rule(
        place=shared_places,
        grantee=grantees,
        role=st.sampled_from(["viewer", "writer"]),
        hours=lifetimes,
    )
    def give_role(
        self, place: Place, grantee: Grantee, role: GivenRole, hours: float | None
    ) -> None:
        owner = self.expected.owner_of(place)
        if grantee != owner:
            name, diaries = self.expected.name(place, owner), self.foundation.diary.diaries
            self.change(diaries.share(owner, name, grantee, role=role, expires_at=_until(hours)))
            self.expected.roles[place][grantee] = Right(hours, role)

    @precondition(lambda self: any(self.expected.roles.values()))
    @rule(pick=picks)
    def take_role(self, pick: int) -> None:
        given = [
            (place, grantee)
            for place, roles in self.expected.roles.items()
            for grantee in sorted(roles)
        ]
        place, grantee = given[pick % len(given)]
        owner, is_active = (
            self.expected.owner_of(place),
            self.expected.roles[place][grantee].is_active,
        )
        name = self.expected.name(place, owner)
        self.change(self.foundation.diary.diaries.unshare(owner, name, grantee), allowed=is_active)
        if is_active:
            del self.expected.roles[place][grantee]
        self.look_in_front()

    @rule()
    def transfer(self) -> None:
        """The new owner needs no role any more, and the old one has none."""
        owner = self.expected.team_owner
        other = BOB if owner == ANN else ANN
        self.change(self.foundation.diary.diaries.transfer(owner, "team", other))
        self.expected.team_owner = other
        self.expected.roles[TEAM].pop(Grantee(other), None)
        self.look_in_front()

    @precondition(lambda self: self.expected.entries)
    @rule(pick=picks, chosen=places)
    def move(self, pick: int, chosen: Place | None) -> None:
        entry_id, entry = self.pick(pick)
        place = chosen or Place(entry.owner)
        changes = EntryChanges(diary=self.expected.name(place, entry.owner))
        version = self.version(entry_id, entry)
        moved = self.change(
            self.foundation.diary.entries.update(entry.owner, str(entry_id), version, changes),
            allowed=self.readers.may_write(entry.owner, place),
        )
        if moved is not None:
            entry.place = place

    @precondition(lambda self: self.expected.entries)
    @rule(pick=picks)
    def put_out(self, pick: int) -> None:
        """Of a diary of one's own, what another has written there."""
        entry_id, entry = self.pick(pick)
        owner = self.expected.owner_of(entry.place)
        if owner != entry.owner:
            version = self.version(entry_id, entry)
            changes = EntryChanges(diary="main")
            entries = self.foundation.diary.entries
            self.change(entries.update(owner, str(entry_id), version, changes))
            entry.place = Place(entry.owner)
            self.look_in_front()

    @precondition(lambda self: self.expected.entries)
    @rule(pick=picks)
    def delete(self, pick: int) -> None:
        entry_id, entry = self.pick(pick)
        self.change(self.foundation.diary.entries.delete(entry.owner, str(entry_id)))
        del self.expected.entries[entry_id]

    # ---- What happens to the diary.

    @rule(hours=st.sampled_from([1, 2, -1, -2]))
    def jump(self, hours: int) -> None:
        """The clock jumps: whatever ends at some time is so much nearer, or farther away."""
        for table in TABLES_THAT_EXPIRE:
            move = f"update diary.{table} set expires_at = expires_at - %s"
            ask(self.ground.url, move, timedelta(hours=hours))
        for each in self.expected.given():
            each.hours = None if each.hours is None else each.hours - hours
        self.is_settled = False
        self.look_in_front()

    @rule(membership=st.sampled_from(MEMBERSHIPS))
    def turn_membership(self, membership: Membership) -> None:
        """In or out, at once: who is in a group is in no row."""
        group, member = membership
        name, permissions = GroupName(group.removeprefix("group:")), self.foundation.permissions
        if membership in self.memberships:
            self.do(permissions.remove(name, member))
        else:
            self.do(permissions.add(name, member))
        self.memberships ^= {membership}

    @precondition(lambda self: not self.is_indexed)
    @rule()
    def index(self) -> None:
        self.is_indexed = True
        store = PostgresSearchIndex(self.foundation.settling_database)
        self.do(EntryIndexer(store, None).index_waiting())

    @rule(pick=picks)
    def settle_some(self, pick: int) -> None:
        """As a process that dies does, with the rest left undone."""
        waiting = self.do(self.foundation.settlements.list_unsettled(None, 100))
        self.settle(waiting[: pick % 3 + 1])

    @precondition(lambda self: self.has_queue)
    @rule()
    def lose_queue(self) -> None:
        """What waited is gone, and was asked for long ago."""
        self.has_queue = False
        ask(self.ground.url, "delete from dbos.workflow_status where status = 'ENQUEUED'")
        for table in ("entry_permission", "diary_permission"):
            age = f"update diary.{table} set changed_at = changed_at - interval '1 minute'"
            ask(self.ground.url, age)

    @rule()
    def sweep(self) -> None:
        self.do(PostgresSweep(self.foundation.settling_database).sweep())

    @precondition(lambda self: self.losses < 2 and not self.are_denied)
    @rule()
    def lose_tuples(self) -> None:
        """The administrator's last word: what was given is closed, whatever the rows say."""
        self.do(self.ground.administrator.empty())
        self.memberships.clear()
        self.losses += 1
        self.is_adrift = self.are_denied = True
        self.look_in_front()

    @rule()
    def reconcile(self) -> None:
        self.do(repair_rows_adrift(self.foundation))
        self.is_adrift = self.are_denied = False

    @rule()
    def settle_all(self) -> None:
        """Without the queue, as the net does."""
        self.make_settleable()
        self.settle(self.do(self.foundation.settlements.list_unsettled(None, 1_000)))
        self.check_settled()

    @rule()
    def save(self) -> None:
        save_state(self.ground.url, "saved")
        self.saved = deepcopy(self.expected)

    @precondition(lambda self: self.saved is not None)
    @rule()
    def restore(self) -> None:
        assert self.saved is not None
        self.stop()
        restore_state(self.ground.url, "saved")
        self.start()
        self.expected = deepcopy(self.saved)
        self.is_settled, self.is_adrift = False, True

    @precondition(lambda self: not self.was_restarted)
    @rule()
    def restart(self) -> None:
        self.was_restarted = True
        self.stop()
        self.start()

    @precondition(lambda self: not self.was_worked_off)
    @rule()
    def work_off(self) -> None:
        """By the workflows themselves; once is enough, because it takes a second."""
        self.was_worked_off = True
        self.restart()
        self.make_settleable()
        with self.ground.portal.wrap_async_context_manager(_run_queue(self.foundation)):
            eventually(lambda: is_settled(self.ground.url))
        self.check_settled()

    # ---- What is always true, and what is true once everything is settled.

    @invariant()
    def nobody_is_shown_what_the_rows_do_not_open(self) -> None:
        """One agent after the other looks through one door after the other."""
        self.looked += 1
        agent = AGENTS[self.looked % len(AGENTS)]
        through = doors(self.readers, agent, self.made)
        self.look(agent, through[self.looked // len(AGENTS) % len(through)])

    def look_in_front(self) -> None:
        """By one of those to whom something was given, once it is taken away."""
        agent = (BOB, CAT)[self.looked % 2]
        for door in front_doors(self.readers, agent):
            self.look(agent, door)

    def look_through_every_door(self) -> None:
        """By half of the agents, since that takes as long as all that was done before."""
        for agent in AGENTS[self.looked % 2 :: 2]:
            for door in doors(self.readers, agent, self.made):
                self.look(agent, door)

    def check_settled(self) -> None:
        truth = read_truth(self.ground.url, self.ground.keto)
        assert truth.tuples == truth.wanted
        assert truth.tombstones == frozenset()
        self.is_settled = True

    def teardown(self) -> None:
        if hasattr(self, "foundation"):
            self.settle_all()
            self.look_through_every_door()
            self.stop()

    # ---- How it is done.

    def make_settleable(self) -> None:
        """After this, settling is all that is left to do."""
        if self.is_adrift:
            self.reconcile()
        self.sweep()

    def start(self) -> None:
        self._opened = self.ground.open()
        self.foundation = self._opened.__enter__()

    def stop(self) -> None:
        self._opened.__exit__(None, None, None)

    def do(self, work: Awaitable[Answer]) -> Answer:
        async def wait() -> Answer:
            return await work

        return self.ground.portal.call(wait)

    def change(self, work: Awaitable[Answer], *, allowed: bool = True) -> Answer | None:
        """What is refused where it is not allowed, and may be while that is not settled."""
        was_settled, self.is_settled = self.is_settled, False
        self.is_indexed, self.has_queue = False, True
        try:
            answer = self.do(work)
        except (ForbiddenError, NotFoundError):
            assert not (allowed and was_settled)
            return None
        assert allowed
        return answer

    def write(self, owner: AgentName, place: Place) -> None:
        own = mark(len(self.made))
        draft = EntryDraft(
            content=f"What {COMMON_WORD}: {own}.",
            title=f"About {own}",
            tags=[COMMON_TAG, own],
            key=own,
            diary=self.expected.name(place, owner),
        )
        created = self.change(
            self.foundation.diary.entries.create(owner, draft),
            allowed=self.readers.may_write(owner, place),
        )
        if created is not None:
            self.made.append(created.id)
            self.expected.entries[created.id] = Written(owner, place, own, draft.content)

    def settle(self, ids: Sequence[RelatedId]) -> None:
        self.are_denied = self.are_denied and not ids
        self.do(settle(ids, self.foundation.settlements, self.foundation.permissions))

    def pick(self, number: int) -> tuple[EntryId, Written]:
        known = list(self.expected.entries.items())
        return known[number % len(known)]

    def version(self, entry_id: EntryId, entry: Written) -> int:
        return self.do(self.foundation.diary.entries.get(entry.owner, str(entry_id))).version

    @property
    def readers(self) -> Readers:
        return Readers(self.expected, self.memberships, are_denied=self.are_denied)

    def look(self, agent: AgentName, door: Door) -> None:
        marks = {self.expected.entries[each].mark for each in self.readers.visible(agent)}
        self.do(look(self.foundation, agent, door, marks, is_settled=self.is_settled))


def _run_queue(foundation: Foundation) -> AbstractAsyncContextManager[str]:
    dbos = DbosProcess(connect_to(foundation.database_url))

    async def settle_some(ids: Sequence[RelatedId]) -> None:
        await settle(ids, foundation.settlements, foundation.permissions)

    work = Work(settle_some)
    return workflow_runtime(dbos, foundation.runtime_store, work, intervals=QUICK)


def _until(hours: float | None) -> datetime | None:
    return None if hours is None else datetime.now(UTC) + timedelta(hours=hours)


@contextmanager
def ground(server_url: str, keto: KetoAddress | None = None) -> Generator[Ground]:
    with own_database(server_url) as url, start_blocking_portal() as portal:
        add_agents(url, *AGENTS)
        ask(url, "insert into diary.agent_group (name) values ('crew'), ('inner')")
        save_state(url, "beginning")
        chosen = Settings(database_url=url, embeddings="none")
        if keto is None:
            yield Ground(portal, chosen, SqlAdministrator(url))
        else:
            urls = {"keto_read_url": keto.read_url, "keto_write_url": keto.write_url}
            yield Ground(portal, chosen.model_copy(update=urls), KetoAdministrator(keto), keto)


def run_histories(ground: Ground, number: int) -> None:
    class OnGround(Histories):
        def __init__(self) -> None:
            super().__init__(ground)

    # To shrink a history costs minutes, and fifty steps can be read.
    run_state_machine_as_test(
        OnGround,
        settings=settings(max_examples=number * MANY, stateful_step_count=50, phases=GENERATE),
    )


def test_rows_and_tuples_agree_after_every_history(postgres_url: str) -> None:
    with ground(postgres_url) as opened:
        run_histories(opened, 3)


def test_rows_and_tuples_of_keto_agree_after_every_history(
    postgres_url: str, keto_address: KetoAddress
) -> None:
    with ground(postgres_url, keto_address) as opened:
        run_histories(opened, 1)
