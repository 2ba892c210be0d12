"""Servers to be asked over HTTP: diary-mcp's, and the bare ones beside it."""

import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from processes import cpu_s, family

FLOOR = Path(__file__).with_name("http_floor.py")
OURS = "diary-mcp"
_DEADLINE_S = 60

Address = tuple[str, int]


@dataclass(frozen=True)
class Served:
    """Where a server listens, and its process; `home` is where its data are, if it keeps any."""

    address: Address
    process: psutil.Process
    home: Path | None = None


@dataclass(frozen=True)
class Spent:
    """CPU seconds: of the servers' processes, and of what they have started."""

    servers_s: float
    behind_s: float


def spent(servers: Sequence[Served]) -> Spent:
    """What servers on the same data have taken so far."""
    own = {each.process for each in servers}
    behind = {
        process
        for each in servers
        if each.home is not None
        for process in family(each.process, each.home)
    }
    own_times = [process.cpu_times() for process in own]
    return Spent(sum(each.user + each.system for each in own_times), cpu_s(list(behind - own)))


def checkouts(beside: Path | None) -> Mapping[str, Path]:
    """The program of each; another checkout is called by its commit."""
    found = {OURS: Path(sys.executable).with_name("diary-mcp")}
    if beside is not None:
        command = ["git", "-C", str(beside), "rev-parse", "--short", "HEAD"]
        commit = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
        found[f"{OURS} at {commit}"] = beside.resolve() / ".venv/bin/diary-mcp"
    return found


@contextmanager
def floor_server(name: str) -> Generator[Served]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        address: Address = listener.getsockname()
    with _started([sys.executable, str(FLOOR), name, str(address[1])]) as process:
        wait_until_listening(address)
        yield Served(address, psutil.Process(process.pid))


@contextmanager
def diary_server(program: Path, home: Path) -> Generator[Served]:
    """The server of one checkout; several share the data below `home`."""
    command = [str(program), "serve", "--transport", "http", "--port", "0", "--no-auth"]
    environment = {"DIARY_MCP_DATA_DIR": str(home), "DIARY_MCP_AGENT": "bench"}
    with (
        tempfile.NamedTemporaryFile("w+", encoding="utf-8") as log,
        _started(command, environment, log.fileno()) as process,
    ):
        address = "127.0.0.1", find_port(Path(log.name))
        wait_until_listening(address)
        yield Served(address, psutil.Process(process.pid), home)


def find_port(log: Path) -> int:
    ends_at = time.monotonic() + _DEADLINE_S
    while time.monotonic() < ends_at:
        told = re.search(r"http://127\.0\.0\.1:(\d+)", log.read_text("utf-8"))
        if told:
            return int(told[1])
        time.sleep(0.05)
    raise RuntimeError("The server does not say where it listens.")


def wait_until_listening(address: Address) -> None:
    ends_at = time.monotonic() + _DEADLINE_S
    while True:
        try:
            socket.create_connection(address).close()
        except OSError:
            if time.monotonic() > ends_at:
                raise
            time.sleep(0.05)
        else:
            return


@contextmanager
def _started(
    command: Sequence[str], environment: Mapping[str, str] | None = None, log: int | None = None
) -> Generator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        command,
        env={**os.environ, **(environment or {})},
        stdin=subprocess.DEVNULL,
        stderr=log,
    )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
