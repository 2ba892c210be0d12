"""Whatever is done to a diary, in whatever order: rows and tuples agree once they are settled, and
at no moment does anybody see what the rows do not open.

What is done is drawn from everything that changes who may read something: entries and their shares,
roles on a diary, expiries and a clock that jumps, settling in parts, sweeps, reconciling, work that
the queue has lost, an older state that is brought back, and restarts that work off the queue.
"""

import os
from collections.abc import Awaitable, Generator, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager, contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Literal, TypeVar

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
from diary_mcp.domain.entry import EntryChanges, EntryDraft, EntryFilters
from diary_mcp.domain.errors import ForbiddenError, NotFoundError
from diary_mcp.domain.fields import AgentName, EntryId, Grantee, GroupName
from diary_mcp.service.ports.workflows import RelatedId
from diary_mcp.service.sharing.settlement import settle
from diary_mcp.settings import Settings
from diary_mcp.store.housekeeping import PostgresHousekeeping
from diary_mcp.store.sweep import PostgresSweep
from diary_mcp.store.takeover import PostgresExecutors
from diary_mcp.workflows.ports import RuntimeStore, Work
from diary_mcp.workflows.runtime import workflow_runtime
from support.backends import Administrator, KetoAdministrator, SqlAdministrator
from support.ground_truth import ask, eventually, is_settled, read_truth
from support.keto_config import KetoAddress
from support.saved_states import restore_state, save_state
from support.sites import add_agents, own_database
from support.workflows import QUICK, connect_to

pytestmark = pytest.mark.xdist_group("keto")

GENERATE = (Phase.generate,)
MANY = int(os.environ.get("DIARY_MCP_TEST_HOSTILE", "1"))

Answer = TypeVar("Answer")
Place = Literal["main", "team"]

ANN, BOB, CAT, DAN = AGENTS = [AgentName(name) for name in ("ann", "bob", "cat", "dan")]
"""Ann owns the diary `team`; cat is in the group `crew`; nothing is shared with dan."""

CREW = Grantee("group:crew")
HELD_BY = {each: {Grantee(each)} for each in (ANN, BOB, DAN)} | {CAT: {Grantee(CAT), CREW}}
TABLES_THAT_EXPIRE = ("share", "diary_role")

writers = st.sampled_from([ANN, BOB])
grantees = st.sampled_from([Grantee(BOB), Grantee(CAT), CREW])
places = st.sampled_from(["main", "team"])
picks = st.integers(0, 20)
# An hour and a half, so that no jump ends on the very moment of an expiry.
lifetimes = st.one_of(st.none(), st.sampled_from([0.5, 1.5, 2.5]))


@dataclass
class Given:
    """A share or a role, and how many hours it has left."""

    hours: float | None
    role: GivenRole = "viewer"

    @property
    def is_active(self) -> bool:
        return self.hours is None or self.hours > 0


@dataclass
class Written:
    """An entry, as far as it matters who may read it."""

    owner: AgentName
    place: Place
    shares: dict[Grantee, Given] = field(default_factory=dict[Grantee, Given])


@dataclass
class Expected:
    """What was done, and what follows from it; nothing else is known of the code under test."""

    entries: dict[EntryId, Written] = field(default_factory=dict[EntryId, Written])
    roles: dict[Grantee, Given] = field(default_factory=dict[Grantee, Given])

    def visible(self, agent: AgentName) -> set[EntryId]:
        return {id_ for id_, entry in self.entries.items() if self._opens(entry, agent)}

    def owned(self, agent: AgentName) -> set[EntryId]:
        return {id_ for id_, entry in self.entries.items() if entry.owner == agent}

    def may_write(self, agent: AgentName, place: Place) -> bool:
        """Whether it may write into its `main`, or into ann's `team`."""
        if place == "main" or agent == ANN:
            return True
        roles = [self.roles[each] for each in HELD_BY[agent] & self.roles.keys()]
        return any(each.is_active and each.role == "writer" for each in roles)

    def all_given(self) -> list[Given]:
        return [
            *self.roles.values(),
            *(s for e in self.entries.values() for s in e.shares.values()),
        ]

    def _opens(self, entry: Written, agent: AgentName) -> bool:
        in_team = entry.place == "team"
        given = [entry.shares, self.roles] if in_team else [entry.shares]
        return (
            agent == entry.owner
            or (in_team and agent == ANN)
            or any(each[held].is_active for each in given for held in HELD_BY[agent] & each.keys())
        )


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
        self.looked = 0
        self.is_settled = False
        self.was_worked_off = False
        self.is_adrift = False
        """Whether an older state was brought back, of which the backend knows nothing."""

    @initialize()
    def begin(self) -> None:
        restore_state(self.ground.url, "beginning")
        self.do(self.ground.administrator.empty())
        self.start()
        self.do(self.foundation.permissions.add(GroupName("crew"), Grantee(CAT)))
        self.change(self.foundation.diary.diaries.open(ANN, "team"))

    # ---- What agents do.

    @rule(owner=writers, place=places)
    def create(self, owner: AgentName, place: Place) -> None:
        draft = EntryDraft(content="What happened.", diary=_named(place, owner))
        created = self.change(
            self.foundation.diary.entries.create(owner, draft),
            allowed=self.expected.may_write(owner, place),
        )
        if created is not None:
            self.expected.entries[created.id] = Written(owner, place)

    @precondition(lambda self: self.expected.entries)
    @rule(pick=picks)
    def update(self, pick: int) -> None:
        entry_id, entry = self.pick(pick)
        changes = EntryChanges(content="What really happened.")
        version = self.version(entry_id, entry)
        entries = self.foundation.diary.entries
        self.change(entries.update(entry.owner, str(entry_id), version, changes))

    @precondition(lambda self: self.expected.entries)
    @rule(pick=picks, grantee=grantees, hours=lifetimes)
    def share(self, pick: int, grantee: Grantee, hours: float | None) -> None:
        entry_id, entry = self.pick(pick)
        if grantee != entry.owner:
            sharing, until = self.foundation.diary.sharing, _until(hours)
            self.change(sharing.share(entry.owner, str(entry_id), grantee, expires_at=until))
            entry.shares[grantee] = Given(hours)

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

    @rule(grantee=grantees, role=st.sampled_from(["viewer", "writer"]), hours=lifetimes)
    def give_role(self, grantee: Grantee, role: GivenRole, hours: float | None) -> None:
        diaries = self.foundation.diary.diaries
        self.change(diaries.share(ANN, "team", grantee, role=role, expires_at=_until(hours)))
        self.expected.roles[grantee] = Given(hours, role)

    @precondition(lambda self: self.expected.roles)
    @rule(pick=picks)
    def take_role(self, pick: int) -> None:
        given = sorted(self.expected.roles)
        grantee = given[pick % len(given)]
        is_active = self.expected.roles[grantee].is_active
        unsharing = self.foundation.diary.diaries.unshare(ANN, "team", grantee)
        self.change(unsharing, allowed=is_active)
        if is_active:
            del self.expected.roles[grantee]

    @precondition(lambda self: self.expected.entries)
    @rule(pick=picks, place=places)
    def move(self, pick: int, place: Place) -> None:
        entry_id, entry = self.pick(pick)
        changes = EntryChanges(diary=_named(place, entry.owner))
        version = self.version(entry_id, entry)
        entries = self.foundation.diary.entries
        moved = self.change(
            entries.update(entry.owner, str(entry_id), version, changes),
            allowed=self.expected.may_write(entry.owner, place),
        )
        if moved is not None:
            entry.place = place

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
        for each in self.expected.all_given():
            each.hours = None if each.hours is None else each.hours - hours
        self.is_settled = False

    @rule(pick=picks)
    def settle_some(self, pick: int) -> None:
        """As a process that dies does, with the rest left undone."""
        waiting = self.do(self.foundation.settlements.list_unsettled(None, 100))
        self.settle(waiting[: pick % 3 + 1])

    @rule()
    def lose_queue(self) -> None:
        """What waited is gone, and was asked for long ago."""
        ask(self.ground.url, "delete from dbos.workflow_status where status = 'ENQUEUED'")
        for table in ("entry_permission", "diary_permission"):
            age = f"update diary.{table} set changed_at = changed_at - interval '1 minute'"
            ask(self.ground.url, age)

    @rule()
    def sweep(self) -> None:
        self.do(PostgresSweep(self.foundation.settling_database).sweep())

    @rule()
    def reconcile(self) -> None:
        self.do(repair_rows_adrift(self.foundation))
        self.is_adrift = False

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

    @rule()
    def restart(self) -> None:
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
    def nobody_sees_what_the_rows_do_not_open(self) -> None:
        """Looked at by one after the other, and by all of them once it is settled."""
        self.looked += 1
        for agent in AGENTS if self.is_settled else [AGENTS[self.looked % len(AGENTS)]]:
            seen, opened = self.seen(agent), self.expected.visible(agent)
            assert seen <= opened
            assert seen == opened or not self.is_settled
            assert seen >= self.expected.owned(agent)

    def check_settled(self) -> None:
        truth = read_truth(self.ground.url, self.ground.keto)
        assert truth.tuples == truth.wanted
        assert truth.tombstones == frozenset()
        self.is_settled = True

    def teardown(self) -> None:
        if hasattr(self, "foundation"):
            self.settle_all()
            self.nobody_sees_what_the_rows_do_not_open()
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
        try:
            answer = self.do(work)
        except (ForbiddenError, NotFoundError):
            assert not (allowed and was_settled)
            return None
        assert allowed
        return answer

    def settle(self, ids: Sequence[RelatedId]) -> None:
        self.do(settle(ids, self.foundation.settlements, self.foundation.permissions))

    def pick(self, number: int) -> tuple[EntryId, Written]:
        known = list(self.expected.entries.items())
        return known[number % len(known)]

    def version(self, entry_id: EntryId, entry: Written) -> int:
        return self.do(self.foundation.diary.entries.get(entry.owner, str(entry_id))).version

    def seen(self, agent: AgentName) -> set[EntryId]:
        everything = EntryFilters(scope="all")
        listing = self.foundation.diary.listing
        return {
            each.id for each in self.do(listing.list_entries(agent, everything, None, 100)).rows
        }


def _run_queue(foundation: Foundation) -> AbstractAsyncContextManager[str]:
    url, database = foundation.database_url, foundation.settling_database
    store = RuntimeStore(
        PostgresExecutors(url), PostgresSweep(database), PostgresHousekeeping(database)
    )

    async def settle_some(ids: Sequence[RelatedId]) -> None:
        await settle(ids, foundation.settlements, foundation.permissions)

    return workflow_runtime(connect_to(url), store, Work(settle_some), intervals=QUICK)


def _named(place: Place, agent: AgentName) -> str:
    return "main" if place == "main" else "team" if agent == ANN else f"{ANN}/team"


def _until(hours: float | None) -> datetime | None:
    return None if hours is None else datetime.now(UTC) + timedelta(hours=hours)


@contextmanager
def ground(server_url: str, keto: KetoAddress | None = None) -> Generator[Ground]:
    with own_database(server_url) as url, start_blocking_portal() as portal:
        add_agents(url, *AGENTS)
        ask(url, "insert into diary.agent_group (name) values ('crew')")
        save_state(url, "beginning")
        if keto is None:
            yield Ground(portal, Settings(database_url=url), SqlAdministrator(url))
        else:
            with_keto = Settings(
                database_url=url, keto_read_url=keto.read_url, keto_write_url=keto.write_url
            )
            yield Ground(portal, with_keto, KetoAdministrator(keto), keto)


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
        run_histories(opened, 4)


def test_rows_and_tuples_of_keto_agree_after_every_history(
    postgres_url: str, keto_address: KetoAddress
) -> None:
    with ground(postgres_url, keto_address) as opened:
        run_histories(opened, 2)
