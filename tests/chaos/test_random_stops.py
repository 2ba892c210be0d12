"""A server is stopped (SIGSTOP) at a random moment of a change, wherever in its code it is then.

`test_stops.py` stops servers where PostgreSQL knows of it; between two statements, it does not.
The suite stops eight times. For a long run,

    DIARY_MCP_CHAOS_STOPS=300 pytest -n 0 -s tests/chaos/test_random_stops.py

stops as often as it says, and `DIARY_MCP_CHAOS_SEED` repeats the choices of a run.
"""

import os
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from functools import partial
from random import Random
from uuid import uuid4

import pytest

from support.clients import RawClient
from support.ground_truth import check_promise, eventually, is_applied
from support.sites import add_agents, own_database
from support.sleepers import PROGRESS_S, asleep, list_sessions, start_limited

STOPS = int(os.environ.get("DIARY_MCP_CHAOS_STOPS", "8"))
SEED = int(os.environ.get("DIARY_MCP_CHAOS_SEED", str(time.time_ns())))
# A change and its settling take no longer, mostly.
LONGEST_CHANGE_S = 0.12


@pytest.mark.xdist_group("random-stops")
def test_others_go_on_wherever_a_server_is_stopped_in_a_change(postgres_url: str) -> None:
    random = Random(SEED)
    with own_database(postgres_url) as url:
        add_agents(url, "bob")
        with closing(start_limited(url)) as first, closing(start_limited(url)) as second:
            servers = [first.wait_until_up(), second.wait_until_up()]
            # Either may be the one that runs the workflows.
            longest_s = max(
                stop_in_a_change(url, random.sample(servers, 2), random) for _ in range(STOPS)
            )
            check_promise(url)
    sys.stderr.write(f"seed {SEED}: the others were done after {longest_s:.1f} s at most\n")


def stop_in_a_change(url: str, servers: Sequence[RawClient], random: Random) -> float:
    """How long the second needs for a change of the entry that the first is at, in seconds."""
    sleeper, other = servers
    key = uuid4().hex
    assert other.call("diary_create", content="Shared.", key=key).code == "ok"
    if random.random() < 0.5:
        check_promise(url)
    tool, arguments = random.choice(list(list_changes(key).items()))
    sleeper.start_call(tool, **arguments)
    time.sleep(random.uniform(0, LONGEST_CHANGE_S))
    with asleep(sleeper):
        took_s = share_and_revoke(url, other, key)
    eventually(lambda: sleeper.call("diary_create", content="Awake.").code == "ok")
    return took_s


def list_changes(key: str) -> Mapping[str, Mapping[str, str]]:
    return {
        "diary_create": {"content": "Beside it."},
        "diary_share": {"entry_id": key, "with": "bob"},
        "diary_update": {"entry_id": key, "title": "Changed"},
    }


def share_and_revoke(url: str, other: RawClient, key: str) -> float:
    """How long it takes until nothing of the entry is open to Bob any more, in seconds."""

    def call(tool: str) -> bool:
        return other.call(tool, entry_id=key, with_="bob").code == "ok"

    started = time.monotonic()
    for is_done in (
        partial(call, "diary_share"),
        partial(call, "diary_unshare"),
        partial(is_applied, url, key),
    ):
        eventually(is_done, within_s=PROGRESS_S, told=lambda: (SEED, list_sessions(url)))
    return time.monotonic() - started
