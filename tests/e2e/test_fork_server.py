"""A server that was forked is like one that its client executed, as far as tests can tell."""

import os
import signal
import subprocess
from pathlib import Path

import pytest

from support.clients import RawClient, environment, raw_client
from support.fork_server import ForkedProcess, complete_command, execute_command, start_command
from support.ground_truth import eventually

pytestmark = pytest.mark.xdist_group("fork-server")


def look_at(client: RawClient) -> dict[str, object]:
    """What the kernel knows of a server that is up."""
    pid = client.wait_until_up().process.pid
    lines = Path(f"/proc/{pid}/status").read_text("utf-8").splitlines()
    told = dict(line.split(":\t", 1) for line in lines)
    return {
        **{name: told[name] for name in ("SigBlk", "SigIgn", "SigCgt", "Umask", "Uid", "Groups")},
        "leads its session": os.getsid(pid) == pid,
        "leads its group": os.getpgid(pid) == pid,
        "works in": Path(f"/proc/{pid}/cwd").readlink(),
    }


def connections_of(client: RawClient) -> set[str]:
    opened = Path(f"/proc/{client.process.pid}/fd").iterdir()
    targets = {str(each.readlink()) for each in opened}
    return {each for each in targets if each.startswith(("pipe:", "socket:"))}


def test_it_is_a_process_of_its_own(database: str) -> None:
    env = environment(database_url=database)
    with raw_client(env) as forked, raw_client(env, start=execute_command) as executed:
        assert isinstance(forked.process, ForkedProcess)
        assert look_at(forked) == look_at(executed)


def test_it_shares_no_pipe_and_no_socket_with_another(database: str) -> None:
    env = environment(database_url=database)
    with raw_client(env) as one, raw_client(env) as other:
        for client in (one, other):
            client.wait_until_up()
        assert connections_of(one)
        assert connections_of(one) & connections_of(other) == set()


def test_it_is_killed_at_once(database: str) -> None:
    with raw_client(environment(database_url=database)) as client:
        assert client.process.poll() is None
        client.kill()
        assert client.process.poll() == -signal.SIGKILL
        # Its end is told before its pid is free.
        eventually(lambda: not Path(f"/proc/{client.process.pid}").exists())


@pytest.mark.parametrize("words", [("--version",), ("serve", "--nonsense"), ("nonsense",)])
def test_it_ends_and_tells_what_the_command_does(words: tuple[str, ...]) -> None:
    forked = complete_command(*words, env=environment())

    executed = complete_command(*words, env=environment(), start=execute_command)
    assert vars(forked) == vars(executed)


@pytest.mark.parametrize("variable", ["OTEL_TRACES_EXPORTER", "PYTHONWARNINGS", "TZ"])
def test_the_command_is_executed_where_its_interpreter_would_find_another_environment(
    variable: str,
) -> None:
    process = start_command("--version", env=environment() | {variable: "none"})

    assert process.wait(60) == 0
    assert isinstance(process, subprocess.Popen)
