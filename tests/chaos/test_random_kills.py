"""Servers are killed with SIGKILL at random moments, while several clients write all the time.

Meanwhile everybody reads what the others write, with right or without. Afterwards the promise
holds, and all that was answered can be true (`support.histories`): what was acknowledged is there,
what was lost is there or not, and nobody has read what was not theirs. The suite kills
eight times. For a long run,

    DIARY_MCP_CHAOS_KILLS=2000 pytest -n 0 -s tests/chaos/test_random_kills.py

kills as often as it says, checks after every hundredth kill, and tells on stderr how far it is.
`DIARY_MCP_CHAOS_SEED` repeats the choices of a run, as far as the machine's timing allows; the
seed of a run that fails is in what it told.
"""

import os
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from functools import partial
from random import Random

import pytest

from support.clients import RawClient, environment
from support.ground_truth import check_promise
from support.load import Author, Logbook
from support.sites import Site, add_agents, site

KILLS = int(os.environ.get("DIARY_MCP_CHAOS_KILLS", "8"))
SEED = int(os.environ.get("DIARY_MCP_CHAOS_SEED", str(time.time_ns())))
KILLS_A_ROUND = 100
AUTHORS = 3


@contextmanager
def authors_at_work(url: str, number: int, logbook: Logbook) -> Generator[list[Author[RawClient]]]:
    """Each shares with the next, and with somebody who never comes; never with the one after."""
    names = [f"author-{number}-{each}" for each in range(AUTHORS)]
    add_agents(url, *names)
    authors = [
        Author(
            name,
            partial(RawClient, environment(agent=name, database_url=url)),
            SEED + number,
            logbook,
            grantees=(names[(each + 1) % AUTHORS], "bob"),
        )
        for each, name in enumerate(names)
    ]
    for author in authors:
        author.start()
    try:
        yield authors
    finally:
        for author in authors:
            author.stop()


def kill_some(authors: list[Author[RawClient]], kills: int, random: Random) -> None:
    """Most die at work, some while they start, and now and then all at once."""
    while kills > 0:
        victims = authors if random.random() < 0.05 else [random.choice(authors)]
        if random.random() < 0.9:
            for victim in victims:
                assert victim.at_work.wait(60) or victim.failure
        time.sleep(random.uniform(0, 0.2))
        for victim in victims:
            victim.client.process.kill()
            victim.at_work.clear()
            kills -= 1


def check_round(deployment: Site, logbook: Logbook) -> None:
    deployment.server().wait_until_up()
    check_promise(deployment.url, within_s=120)
    logbook.check(deployment.url)


@pytest.mark.xdist_group("random-kills")
def test_what_was_acknowledged_survives_servers_killed_at_random(postgres_url: str) -> None:
    random = Random(SEED)
    with site(postgres_url, "judge") as deployment:
        add_agents(deployment.url, "bob")
        for number, killed in enumerate(range(0, KILLS, KILLS_A_ROUND)):
            kills = min(KILLS_A_ROUND, KILLS - killed)
            logbook = Logbook()
            with authors_at_work(deployment.url, number, logbook) as authors:
                kill_some(authors, kills, random)
            check_round(deployment, logbook)

            acknowledged = sum(author.acknowledged for author in authors)
            sys.stderr.write(
                f"seed {SEED}: {killed + kills} of {KILLS} kills,"
                f" {acknowledged} changes acknowledged in this round\n"
            )
            assert acknowledged > kills
