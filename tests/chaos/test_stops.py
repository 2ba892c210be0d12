"""A server is stopped (SIGSTOP: a laptop that sleeps, a paused container) at every point between
the begin of a mutation's transaction and the end of its workflow. The others go on, on the very
entry that it was at, revocations included; when it wakes, rows and tuples agree, and it works.

The limits after which PostgreSQL ends what a sleeper holds are scaled down by the URL. At full
length,

    DIARY_MCP_CHAOS_FULL_LIMITS=1 pytest -n 0 tests/chaos/test_stops.py
"""

import sys
import time
from collections.abc import Generator
from contextlib import closing
from typing import get_args
from uuid import uuid4

import pytest

from support.clients import RawClient
from support.ground_truth import check_promise, eventually, is_applied
from support.sites import add_agents, own_database
from support.sleepers import PROGRESS_S, asleep, list_sessions, start_limited
from support.stop_points import StepPoint, StopPoint, TransactionPoint, held, install_stop_points

pytestmark = pytest.mark.xdist_group("stops")


@pytest.fixture(scope="module")
def url(postgres_url: str) -> Generator[str]:
    with own_database(postgres_url) as opened:
        install_stop_points(opened)
        add_agents(opened, "bob")
        yield opened


@pytest.fixture(scope="module")
def other(url: str) -> Generator[RawClient]:
    with closing(start_limited(url)) as client:
        yield client.wait_until_up()


@pytest.fixture(scope="module")
def sleeper(url: str) -> Generator[RawClient]:
    with closing(start_limited(url)) as client:
        yield client.wait_until_up()


# What it holds after its begin and the enqueue it holds after the rows as well, and of the workflow
# it does not hold more before its end than before the checkpoint.
HOLDING = [
    point
    for point in (*get_args(TransactionPoint), *get_args(StepPoint))
    if point not in {"after begin", "after the enqueue", "before the end"}
]


@pytest.mark.parametrize("point", HOLDING)
def test_others_go_on_while_a_server_sleeps_and_it_does_no_harm_when_it_wakes(
    url: str, other: RawClient, sleeper: RawClient, point: StopPoint
) -> None:
    key = uuid4().hex
    share = {"entry_id": key, "with": "bob"}
    assert other.call("diary_create", content="Shared.", key=key).code == "ok"
    check_promise(url)
    with held(url, point) as stop:
        sleeper.start_call("diary_share", **share)
        stop.wait_for_arrival()
        with asleep(sleeper):
            stop.let_go()
            started = time.monotonic()
            eventually(lambda: other.call("diary_share", **share).code == "ok", within_s=PROGRESS_S)
            assert other.call("diary_unshare", **share).code == "ok"
            assert other.call("diary_create", content="Meanwhile.").code == "ok"
            eventually(
                lambda: is_applied(url, key), within_s=PROGRESS_S, told=lambda: list_sessions(url)
            )
            took_s = time.monotonic() - started

    # What it makes of its call is its own affair; whatever that is, it holds.
    sys.stderr.write(f"{point}: the others were done after {took_s:.1f} s\n")
    assert took_s < PROGRESS_S
    check_promise(url)
    eventually(lambda: sleeper.call("diary_create", content="Awake.").code == "ok")
