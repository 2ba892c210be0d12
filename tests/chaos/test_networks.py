"""The network between a server and PostgreSQL, or Keto, fails, in every way that tells nobody,
while the server is in the middle of a change, and of settling. Another server goes on, on the very
entry, revocations included; once the network is well again so is the server that was cut off, rows
and tuples agree, and nothing that was acknowledged is lost.

The kernels' limits, and PostgreSQL's, are scaled down by the URL. At full length,

    DIARY_MCP_CHAOS_FULL_LIMITS=1 pytest -n 0 tests/chaos/test_networks.py
"""

import os
import signal
import sys
import time
from collections.abc import Generator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import get_args
from urllib.parse import quote, urlsplit
from uuid import uuid4

import anyio
import pytest

from support.clients import Json, RawClient, answer_of, environment
from support.databases import create_template
from support.fork_server import execute_command
from support.ground_truth import ask, check_promise, eventually, is_applied
from support.keto_config import KetoAddress
from support.keto_process import keto_server
from support.networks import Fault, Wire, wire
from support.pgbouncer import server_url, trusting_postgres
from support.sites import add_agents, own_database
from support.stop_points import StopPoint, held, install_stop_points

FULL = bool(os.environ.get("DIARY_MCP_CHAOS_FULL_LIMITS"))
KERNEL = {"keepalives_idle": 1, "keepalives_interval": 1, "keepalives_count": 2}
SESSION = {"idle_in_transaction_session_timeout": 2000}
PATIENCE_MS = 2000
# Of what is cut off, PostgreSQL ends the last after this, and a busy machine needs its own.
PROGRESS_S = 35 if FULL else 15
IN_A_CHANGE, IN_SETTLING = "after the rows", "before the tuples"
CASES: list[tuple[Fault, StopPoint]] = [
    *((fault, IN_A_CHANGE) for fault in get_args(Fault)),
    ("to the client", IN_SETTLING),
]

pytestmark = pytest.mark.xdist_group("networks")


def limited(url: str) -> str:
    if FULL:
        return url
    kernels = {f"tcp_{name}": value for name, value in KERNEL.items()}
    theirs = {**kernels, "tcp_user_timeout": PATIENCE_MS, **SESSION}
    options = " ".join(f"-c {name}={value}" for name, value in theirs.items())
    ours = {**KERNEL, "tcp_user_timeout": PATIENCE_MS, "options": quote(options)}
    return f"{url}?{'&'.join(f'{name}={value}' for name, value in ours.items())}"


@pytest.fixture(scope="module")
def way() -> Generator[Wire]:
    with wire() as opened:
        yield opened


@pytest.fixture(scope="module")
def postgres(way: Wire, tmp_path_factory: pytest.TempPathFactory) -> Generator[str]:
    with trusting_postgres(tmp_path_factory.mktemp("tcp"), also_on=way.server_ip) as port:
        anyio.run(create_template, server_url(port))
        yield server_url(port)


@pytest.fixture(scope="module")
def url(postgres: str) -> Generator[str]:
    with own_database(postgres) as opened:
        install_stop_points(opened)
        add_agents(opened, "bob")
        yield opened


@contextmanager
def server(url: str, keto: KetoAddress | None = None) -> Generator[RawClient]:
    """A server beside PostgreSQL."""
    there = environment(agent="alice", database_url=url, keto=keto)
    with closing(RawClient(there)) as client:
        yield client.wait_until_up()


@contextmanager
def far_server(way: Wire, url: str, keto: KetoAddress | None = None) -> Generator[RawClient]:
    """A server in the namespace."""
    there = url.replace("127.0.0.1", way.server_ip)
    start = partial(execute_command, through=way.through)
    settings = environment(agent="alice", database_url=there, keto=keto)
    with closing(RawClient(settings, start=start)) as client:
        # Packets pass a thread of this process: what has five seconds to connect may miss them.
        eventually(partial(is_done, client, "diary_whoami", {}))
        yield client


@pytest.fixture(scope="module")
def other(url: str) -> Generator[RawClient]:
    with server(limited(url)) as client:
        yield client


@pytest.fixture(scope="module")
def far(way: Wire, url: str) -> Generator[RawClient]:
    with far_server(way, limited(url)) as client:
        yield client


def is_done(client: RawClient, tool: str, arguments: Json) -> bool:
    return client.call(tool, **arguments).code == "ok"


def is_forgotten_since(url: str, way: Wire, moment: datetime) -> bool:
    """Whether PostgreSQL keeps nothing of the server in the namespace: locks, a sign of life."""
    sessions = "select from pg_stat_activity where client_addr = %s and backend_start < %s"
    return ask(url, sessions, way.client_ip, moment) == []


@pytest.mark.parametrize("case", CASES, ids=", ".join)
def test_others_go_on_while_a_server_is_cut_off_and_it_comes_back(
    url: str, way: Wire, other: RawClient, far: RawClient, case: tuple[Fault, StopPoint]
) -> None:
    fault, point = case
    key = uuid4().hex
    share = {"entry_id": key, "with": "bob"}
    assert other.call("diary_create", content="Shared.", key=key).code == "ok"
    check_promise(url)
    with held(url, point) as stop:
        far.start_call("diary_share", **share)
        stop.wait_for_arrival()
        with way.failing(fault):
            stop.let_go()
            started, started_at = time.monotonic(), datetime.now(UTC)
            written = far.start_call("diary_create", content="Cut off.", key=f"{key}-far")
            for tool, arguments in (
                ("diary_share", share),
                ("diary_unshare", share),
                ("diary_create", {"content": "Meanwhile."}),
            ):
                eventually(partial(is_done, other, tool, arguments), within_s=PROGRESS_S)
            eventually(partial(is_applied, url, key), within_s=PROGRESS_S)
            took_s = time.monotonic() - started
            if fault != "late":
                is_forgotten = partial(is_forgotten_since, url, way, started_at)
                eventually(is_forgotten, within_s=2 * PROGRESS_S)

    sys.stderr.write(f"{fault}, {point}: the others were done after {took_s:.1f} s\n")
    assert took_s < PROGRESS_S
    eventually(partial(is_done, far, "diary_create", {"content": "Well again."}))
    answered_s = time.monotonic() - started
    answer = answer_of(written)
    sys.stderr.write(f"{fault}, {point}: well after {answered_s:.1f} s; {answer.text[:80]}\n")
    assert answer.code in ("ok", "unavailable")
    check_promise(url)
    if answer.code == "ok":
        assert is_done(far, "diary_get", {"entry_id": f"{key}-far"})


@pytest.fixture(scope="module")
def on_keto(
    way: Wire, postgres: str, tmp_path_factory: pytest.TempPathFactory
) -> Generator[tuple[str, KetoAddress, RawClient, RawClient]]:
    """A database, its Keto, a server beside them and one in the namespace."""
    folder = tmp_path_factory.mktemp("keto")
    with own_database(postgres) as url, keto_server(url, folder, host=way.server_ip) as keto:
        add_agents(url, "bob")
        with server(url, keto.address) as near, far_server(way, url, keto.address) as far:
            yield url, keto.address, near, far


def port_of(url: str) -> int:
    port = urlsplit(url).port
    assert port is not None
    return port


def has_more_to_send(process_id: int, port: int) -> bool:
    """Whether the kernel of this process's network still has something to send to this port."""
    lines = Path(f"/proc/{process_id}/net/tcp").read_text("ascii").splitlines()[1:]
    connections = [line.split() for line in lines]
    return any(
        int(remote.rpartition(":")[2], 16) == port and int(queues.partition(":")[0], 16) > 0
        for _, _, remote, _, queues, *_ in connections
    )


def test_others_settle_while_a_server_cannot_reach_keto_and_nothing_of_it_arrives_late(
    way: Wire, on_keto: tuple[str, KetoAddress, RawClient, RawClient]
) -> None:
    """One direction is lost where Keto is written to: the server has seen what is there before."""
    url, keto, near, far = on_keto
    write_port = port_of(keto.write_url)
    key = uuid4().hex
    share = {"entry_id": key, "with": "bob"}
    assert near.call("diary_create", content="Shared.", key=key).code == "ok"
    assert far.call("diary_create", content="So that it is connected.").code == "ok"
    check_promise(url, keto)
    gave_up = far.stderr().count("settling.left_to_workflows")
    with way.failing("to the server", ports={write_port}):
        # Or it may settle the share before the other has come to it.
        os.kill(near.process.pid, signal.SIGSTOP)
        try:
            assert far.call("diary_share", **share).code == "ok"
            eventually(lambda: far.stderr().count("settling.left_to_workflows") > gave_up)
        finally:
            os.kill(near.process.pid, signal.SIGCONT)
        started = time.monotonic()
        eventually(partial(is_done, near, "diary_unshare", share), within_s=PROGRESS_S)
        eventually(partial(is_applied, url, key), within_s=PROGRESS_S)
        took_s = time.monotonic() - started
        eventually(lambda: not has_more_to_send(far.process.pid, write_port))

    sys.stderr.write(f"settled without a way to Keto after {took_s:.1f} s\n")
    check_promise(url, keto)
    assert is_done(far, "diary_share", share)
    check_promise(url, keto)
