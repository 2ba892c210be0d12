"""Two servers of one agent write at the same time, and are killed at random moments.

Each is on a machine of its own, with the same key: neither knows from the other how far the chain
has come. Afterwards it is one chain, and every entry that is there is signed by it. The suite kills
eight times; `DIARY_MCP_CHAOS_KILLS=200` asks for as many, and `DIARY_MCP_CHAOS_SEED` repeats the
choices of a run.
"""

import os
import shutil
import time
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from pathlib import Path
from random import Random

import pytest

from support.clients import ConnectionLostError, Json, RawClient, answer_of, environment
from support.ground_truth import ask, check_promise
from support.sites import own_database

KILLS = int(os.environ.get("DIARY_MCP_CHAOS_KILLS", "8"))
SEED = int(os.environ.get("DIARY_MCP_CHAOS_SEED", str(time.time_ns())))
AGENT = "alice"
AT_ONCE = 4
# A burst takes no longer, mostly.
LONGEST_BURST_S = 0.15
_UNSIGNED = """\
select e.id from diary.entry as e
where not exists (
    select from diary.link as l where l.owner = e.owner and l.entry_id = e.id and l.version = 1
)
"""


class Machine:
    """A server that is there again after it was killed."""

    def __init__(self, url: str, data_dir: Path) -> None:
        settings = environment(agent=AGENT, database_url=url, data_dir=data_dir)
        self._start = partial(RawClient, settings)
        self.client = self._start().wait_until_up()

    def start_burst(self) -> list[Future[Json]]:
        return [
            self.client.start_call("diary_create", content=f"number {number}")
            for number in range(AT_ONCE)
        ]

    def kill(self) -> None:
        self.client.process.kill()
        self.client.close()
        self.client = self._start()


def list_acknowledged(calls: list[Future[Json]]) -> list[str]:
    acknowledged = list[str]()
    for call in calls:
        with suppress(ConnectionLostError):
            acknowledged.append(str(answer_of(call).data["id"]))
    return acknowledged


@pytest.mark.xdist_group("one-chain")
def test_machines_that_are_killed_while_they_write_make_one_chain(
    postgres_url: str, tmp_path: Path
) -> None:
    random = Random(SEED)
    acknowledged = set[str]()
    with own_database(postgres_url) as url:
        first = Machine(url, tmp_path / "first")
        first.client.create("The first link.")
        shutil.copytree(
            tmp_path / "first", tmp_path / "second", ignore=shutil.ignore_patterns("chains")
        )
        machines = [first, Machine(url, tmp_path / "second")]
        for _ in range(KILLS):
            calls = [call for machine in machines for call in machine.start_burst()]
            time.sleep(random.uniform(0, LONGEST_BURST_S))
            random.choice(machines).kill()
            acknowledged |= set(list_acknowledged(calls))
        verified = first.client.call("diary_verify").data
        check_promise(url)
        for machine in machines:
            machine.client.close()

        sequences = [
            sequence for (sequence,) in ask(url, "select sequence from diary.link order by 1")
        ]
        entries = {str(entry) for (entry,) in ask(url, "select id from diary.entry")}
        unsigned = ask(url, _UNSIGNED)
    assert "broken" not in verified["chain"], (SEED, verified)
    assert (sequences, unsigned) == (list(range(1, len(entries) + 1)), []), SEED
    assert acknowledged <= entries, SEED
