"""Ory Keto v0.13 as a process: built by Go once and kept, on a schema of a test database."""

import fcntl
import hashlib
import os
import random
import shutil
import socket
import subprocess
import time
from collections.abc import Generator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from urllib.parse import quote, urlencode

import httpx
import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from diary_mcp.package_data import resource_path
from support.keto_config import READ_URL_VARIABLE, WRITE_URL_VARIABLE, KetoAddress, keto_config
from support.paths import ROOT

_TOOL = ROOT / "tools" / "keto"
_CACHE = ROOT / ".cache" / "keto"
_BUILD_TIMEOUT_S = 1200
_START_TIMEOUT_S = 60


def keto_binary() -> Path:
    """The server built from `tools/keto`; minutes the first time, nothing afterwards.

    Parallel test processes build it once: the others wait.
    """
    go = shutil.which("go")
    versions = (_TOOL / "go.mod").read_bytes() + (_TOOL / "go.sum").read_bytes()
    binary = _CACHE / hashlib.sha256(versions).hexdigest()[:16] / "keto"
    if binary.exists():
        return binary
    if go is None:
        pytest.skip(
            "There is no Go toolchain to build Ory Keto with. Install Go 1.26 or later, or set "
            f"{READ_URL_VARIABLE} and {WRITE_URL_VARIABLE} to a server for tests."
        )
    binary.parent.mkdir(parents=True, exist_ok=True)
    with (_CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not binary.exists():
            _build(go, binary)
    return binary


def _build(go: str, binary: Path) -> None:
    unfinished = binary.with_suffix(".unfinished")
    command = [go, "build", "-trimpath", "-ldflags=-s -w", "-o", str(unfinished)]
    build = subprocess.run(
        [*command, "github.com/ory/keto"],
        cwd=_TOOL,
        env={**os.environ, "CGO_ENABLED": "0"},
        timeout=_BUILD_TIMEOUT_S,
        capture_output=True,
        text=True,
        check=False,
    )
    if build.returncode != 0:
        pytest.fail(f"Ory Keto does not build in tools/keto:\n{build.stderr[-2000:]}")
    unfinished.rename(binary)


class KetoServer:
    """One server process on fixed loopback ports; it can be stopped and started again."""

    def __init__(
        self, binary: Path, config: Path, dsn: str, address: KetoAddress, opl_url: str
    ) -> None:
        self.dsn = dsn
        self.address = address
        self.opl_url = opl_url
        self._command = [str(binary), "serve", "all", "--sqa-opt-out", "-c", str(config)]
        self._log = config.with_suffix(".log")
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def read_url(self) -> str:
        return self.address.read_url

    @property
    def write_url(self) -> str:
        return self.address.write_url

    def start(self) -> None:
        """Starts the server and waits until both APIs answer."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log)
        deadline = time.monotonic() + _START_TIMEOUT_S
        while not (_is_alive(self.read_url) and _is_alive(self.write_url)):
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                pytest.fail(f"Ory Keto does not start:\n{self._log.read_text()[-2000:]}")
            time.sleep(0.02)

    def stop(self) -> None:
        """Ends it as its administrator would; nothing where it does not run."""
        if self._process is not None:
            self._process.terminate()
            self._wait(self._process)

    def kill(self) -> None:
        """Ends it as the kernel would; nothing where it does not run."""
        if self._process is not None:
            self._process.kill()
            self._wait(self._process)

    def _wait(self, process: subprocess.Popen[bytes]) -> None:
        try:
            process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        self._process = None


@contextmanager
def keto_server(
    database_url: str,
    folder: Path,
    *,
    opl: Path | None = None,
    settings: str = "",
    host: str = "127.0.0.1",
) -> Generator[KetoServer]:
    """A running server whose tables are in the schema `keto` of a test database.

    It runs our rules, or those of the file `opl`, with further `settings` in YAML, and listens on
    `host`, an address of this machine.
    """
    binary = keto_binary()
    read_port, write_port, metrics_port, opl_port = _free_ports(4)
    config = folder / "keto.yml"
    config.write_text(
        keto_config(
            dsn=_dsn(database_url),
            opl=opl or resource_path("opl") / "diary.opl.ts",
            host=host,
            ports=(read_port, write_port, metrics_port, opl_port),
        )
        + settings
    )
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("create schema if not exists keto")
    subprocess.run(
        [str(binary), "migrate", "up", "-y", "-c", str(config)],
        check=True,
        capture_output=True,
        timeout=_START_TIMEOUT_S,
    )
    address = KetoAddress(f"http://{host}:{read_port}", f"http://{host}:{write_port}")
    server = KetoServer(binary, config, _dsn(database_url), address, f"http://{host}:{opl_port}")
    server.start()
    try:
        yield server
    finally:
        server.stop()


def _dsn(database_url: str) -> str:
    """The same database in the words of Keto's driver, which knows no `postgresql://`."""
    part = conninfo_to_dict(database_url)
    user, password = quote(str(part["user"])), part.get("password")
    credentials = f"{user}:{quote(str(password))}" if password else user
    options = {
        "host": part.get("host", "127.0.0.1"),
        "port": part.get("port", "5432"),
        "search_path": "keto",
        "sslmode": part.get("sslmode", "disable"),
        "max_conns": "8",
    }
    return f"postgres://{credentials}@/{part['dbname']}?{urlencode(options)}"


def _free_ports(count: int) -> list[int]:
    # Below what systems give to outgoing connections, which may otherwise take the port of a
    # server that is to be started again.
    candidates = random.sample(range(20_000, 32_000), 200)
    return list(islice(filter(_is_free, candidates), count))


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def _is_alive(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health/alive", timeout=1, verify=False).is_success
    except httpx.TransportError:
        return False
