"""Replicas on one database and one real Keto are killed and stopped at random, while agents work
over HTTP and over stdio.

Another replica finishes what a dead one was at, within seconds; no work runs twice at the same
time; afterwards every acknowledged change is there, and rows and Keto's tuples agree. For a long
run,

    DIARY_MCP_CHAOS_KILLS=500 pytest -n 0 -s tests/chaos/test_replicas.py

`DIARY_MCP_CHAOS_SEED` repeats the choices of a run, as far as the machine's timing allows.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Generator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from itertools import count
from random import Random

import pytest

from support.clients import RawClient, answer_of
from support.ground_truth import ask, eventually, is_settled, list_keto_tuples
from support.http_servers import issue_token
from support.keto_proxy import Fault
from support.load import Author, Logbook
from support.replicas import (
    HttpClient,
    Replicas,
    busy_replica,
    entries_at_work,
    overlapping,
    replicas,
    runs,
)
from support.sites import KetoSite, add_agents, keto_site

pytestmark = pytest.mark.xdist_group("keto-replicas")

KILLS = int(os.environ.get("DIARY_MCP_CHAOS_KILLS", "4"))
SEED = int(os.environ.get("DIARY_MCP_CHAOS_SEED", str(time.time_ns())))
# Beside the agent's own server over stdio: when one is killed, two are left that may take over.
REPLICAS = 2
# Two scans of a second each, and the settling; the rest is for a machine that is busy.
TAKEOVER_S = 60


@pytest.fixture(scope="module")
def site(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Generator[KetoSite]:
    with keto_site(postgres_url, tmp_path_factory.mktemp("keto")) as opened:
        add_agents(opened.url, "bob")
        yield opened


class StdioServers:
    """An agent's own server over stdio, and its successors."""

    def __init__(self, running: Replicas, agent: str) -> None:
        self._running = running
        self._agent = agent
        self._numbers = count(1)
        self.name = ""

    def connect(self) -> RawClient:
        if self.name:
            self._running.deaths.setdefault(self.name, time.monotonic())
        self.name = f"{self._agent}-{next(self._numbers)}"
        return RawClient(self._running.site.environment(self._agent, self.name))


def connect(running: Replicas, agent: str) -> HttpClient:
    """A client of the replicas, signed in as this agent."""
    return HttpClient(running, issue_token(running.site.url, agent).secret, SEED)


@contextmanager
def at_work(authors: Sequence[Author[HttpClient] | Author[RawClient]]) -> Generator[None]:
    for author in authors:
        author.start()
    try:
        yield
    finally:
        for author in authors:
            author.stop()


def acknowledged(authors: Sequence[Author[HttpClient] | Author[RawClient]]) -> int:
    return sum(author.acknowledged for author in authors)


def disturb(running: Replicas, stdio: Author[RawClient], random: Random) -> None:
    """Kills a process, or stops one for a while."""
    name = random.choice(list(running.servers))
    action = random.random()
    if action < 0.5:
        running.kill(name)
        # The others are alone for a moment.
        time.sleep(random.uniform(0, 1))
        running.start()
    elif action < 0.7:
        stdio.client.process.kill()
    else:
        victims = [running.servers[name].process, stdio.client.process]
        pid = random.choice(victims).pid
        os.kill(pid, signal.SIGSTOP)
        time.sleep(random.uniform(0.2, 3))
        os.kill(pid, signal.SIGCONT)


def test_replicas_that_are_killed_and_stopped_lose_nothing_and_do_nothing_twice(
    site: KetoSite,
) -> None:
    random = Random(SEED)
    one, two, three = names = ["http-1", "http-2", "stdio"]
    add_agents(site.url, *names)
    logbook = Logbook()
    with replicas(site, REPLICAS) as running:
        # Each shares with another, and nobody with the third.
        over_http = [
            Author(name, partial(connect, running, name), SEED, logbook, grantees=(other, "bob"))
            for name, other in ((one, two), (two, three))
        ]
        servers = StdioServers(running, three)
        over_stdio = Author(three, servers.connect, SEED, logbook, grantees=(one, "bob"))
        authors = [*over_http, over_stdio]
        with at_work(authors):
            for _ in range(KILLS):
                before = acknowledged(authors)
                eventually(lambda before=before: acknowledged(authors) > before + 6, within_s=120)
                disturb(running, over_stdio, random)
            for author in authors:
                author.rest()
            site.check(within_s=90)

        sys.stderr.write(
            f"seed {SEED}: {KILLS} disturbances of {REPLICAS} replicas,"
            f" {acknowledged(authors)} changes acknowledged\n"
        )
        logbook.check(site.url)
        found = [runs(each, running.deaths) for each in site.proxy.by_entry().values()]
        assert len({run.who for each in found for run in each}) >= REPLICAS
        assert [pair for each in found for pair in overlapping(each)] == []


def test_another_replica_finishes_the_work_of_a_dead_one_within_seconds(site: KetoSite) -> None:
    with replicas(site, 2) as running, closing(connect(running, "alice")) as client:
        victim = busy_replica(running, client, "Pending.")

        started = time.monotonic()
        running.kill(victim)
        eventually(lambda: is_settled(site.url), within_s=TAKEOVER_S)

        sys.stderr.write(f"taken over after {time.monotonic() - started:.1f} s\n")
    site.check()


def test_a_replica_that_is_stopped_keeps_its_work_and_finishes_it(site: KetoSite) -> None:
    with replicas(site, 2) as running, closing(connect(running, "alice")) as client:
        victim = busy_replica(running, client, "Pending.")
        process = running.servers[victim].process
        os.kill(process.pid, signal.SIGSTOP)
        held = entries_at_work(running, victim)
        known = len(site.proxy.exchanges)
        # Long enough to take over from a dead one.
        threading.Event().wait(4)
        others = {
            entry_id
            for each in site.proxy.exchanges[known:]
            if each.who != victim
            for entry_id in each.entry_ids
        }

        os.kill(process.pid, signal.SIGCONT)
        site.proxy.faults.clear()
        site.check()

        assert held
        assert not held & others


def test_a_replica_that_is_stopped_until_it_has_lost_its_work_undoes_what_it_writes_late(
    site: KetoSite,
) -> None:
    with replicas(site, 2) as running, closing(connect(running, "alice")) as client:
        victim = next(iter(running.servers))
        site.proxy.faults[victim] = Fault(writes_only=True, held=True)
        entry_id = share_until_written_by(running, client, victim)
        process = running.servers[victim].process
        os.kill(process.pid, signal.SIGSTOP)
        # PostgreSQL ends what stays idle in a transaction, and so frees the entry's lock.
        ask(
            site.url,
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where datname = current_database() and pid <> pg_backend_pid()",
        )
        eventually(lambda: is_settled(site.url))
        with running.without(victim):
            revoked = client.start_call("diary_unshare", entry_id=entry_id, with_="bob")
            assert answer_of(revoked).code == "ok"
        eventually(lambda: is_settled(site.url))
        stray = (entry_id, "viewer", "bob")
        settled = list_keto_tuples(site.keto.address)

        site.proxy.faults.clear()
        eventually(lambda: stray in list_keto_tuples(site.keto.address))
        os.kill(process.pid, signal.SIGCONT)

        assert stray not in settled
        # Where it wakes before the answer has come, it takes the write for unanswered, and looks at
        # it again after a minute, or up to half a minute later.
        eventually(lambda: stray not in list_keto_tuples(site.keto.address), within_s=150)
    site.check()


def share_until_written_by(running: Replicas, client: HttpClient, victim: str) -> str:
    """An entry whose share with bob the replica `victim` is writing to Keto at this moment."""
    written: set[str] = set()

    def is_written() -> bool:
        created = answer_of(client.start_call("diary_create", content="Shared.")).data
        shared = client.start_call("diary_share", entry_id=created["id"], with_="bob")
        assert answer_of(shared).code == "ok"
        # What it has waited for too long already it has given up, and the lock with it.
        since = time.monotonic() - 1
        written.update(
            entry_id
            for each in running.site.proxy.exchanges
            if each.who == victim and each.writes and each.names_viewers and each.begun > since
            for entry_id in each.entry_ids
        )
        return bool(written)

    eventually(is_written)
    return min(written)
