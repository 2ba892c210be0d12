"""A real PgBouncer in front of a PostgreSQL of its own, which trusts whoever connects."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Generator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import psycopg
import pytest

from diary_mcp.postgres.account import server_account
from diary_mcp.postgres.binaries import ENVIRONMENT, find_programs

_ROLE = "diary"


def find_pgbouncer() -> str:
    """The program; skips the test where it is not installed."""
    found = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")
    if found is None:
        pytest.skip("pgbouncer is not installed; `apt-get install pgbouncer` brings it")
    return found


@contextmanager
def trusting_postgres(directory: Path, *, also_on: str | None = None) -> Generator[int]:
    """The port on 127.0.0.1 of a fresh server, and on another address of this machine."""
    account, port = server_account(), _free_port()
    data = directory / "trusting"
    data.mkdir(mode=0o700)
    os.chown(data, account.uid, account.gid)
    programs = find_programs()
    subprocess.run(
        [
            *account.command_prefix, str(programs / "initdb"), "-D", str(data), "-U", _ROLE,
            "-A", "trust", "-N", "--encoding=UTF8", "--locale=C",
        ],
        cwd="/", env=ENVIRONMENT, check=True, capture_output=True,
    )  # fmt: skip
    addresses = "127.0.0.1" if also_on is None else f"127.0.0.1,{also_on}"
    if also_on is not None:
        with (data / "pg_hba.conf").open("a") as rules:
            rules.write(f"host all all {also_on}/30 trust\n")
    settings = {"listen_addresses": addresses, "port": port, "unix_socket_directories": ""}
    options = [f"--{name}={value}" for name, value in settings.items()]
    server = subprocess.Popen(
        [*account.command_prefix, str(programs / "postgres"), "-D", str(data), *options],
        cwd="/", env=ENVIRONMENT, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    with _ended(server):
        _wait_for(server_url(port))
        yield port


@contextmanager
def pgbouncer(
    directory: Path, server_port: int, mode: str, *, pool_size: int = 20
) -> Generator[str]:
    """The URL of a database behind a PgBouncer in this mode."""
    account, port = server_account(), _free_port()
    configuration = directory / f"pgbouncer-{port}.ini"
    configuration.write_text(
        f"[databases]\n* = host=127.0.0.1 port={server_port} user={_ROLE}\n[pgbouncer]\n"
        f"listen_addr = 127.0.0.1\nlisten_port = {port}\nauth_type = any\nunix_socket_dir =\n"
        f"pool_mode = {mode}\ndefault_pool_size = {pool_size}\n",
        "utf-8",
    )
    prefix = [word for word in account.command_prefix if "caps" not in word]
    with configuration.open("rb") as settings:
        bouncer = subprocess.Popen(
            [*prefix, find_pgbouncer(), "-q", "/dev/stdin"],
            cwd="/", stdin=settings, stderr=subprocess.DEVNULL,
        )  # fmt: skip
    with _ended(bouncer):
        _wait_for(server_url(port))
        yield server_url(port)


def server_url(port: int, database: str = "postgres") -> str:
    return f"postgresql://{_ROLE}@127.0.0.1:{port}/{database}"


@contextmanager
def _ended(process: subprocess.Popen[bytes]) -> Generator[None]:
    with ExitStack() as stack:
        stack.callback(process.wait, 20)
        stack.callback(process.send_signal, 2)
        yield


def _free_port() -> int:
    with closing(socket.socket()) as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _wait_for(url: str) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            psycopg.connect(url, connect_timeout=2).close()
        except psycopg.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return
