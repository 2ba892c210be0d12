"""Other processes that use the embedded PostgreSQL of a data directory."""

import asyncio
import contextlib
import subprocess
import sys
import time
from collections.abc import Generator, Sequence
from io import TextIOWrapper
from pathlib import Path

import psutil

from diary_mcp.postgres.cluster import Cluster
from diary_mcp.postgres.embedded import embedded_postgres
from support.fork_server import Process, start_program
from support.postgres_user import PROGRAM, ask, name_of_users


class PostgresUser:
    """A process that uses the server until its stdin ends."""

    def __init__(self, data_dir: Path, *, through: tuple[str, ...]) -> None:
        self.process: Process = (
            _execute([*through, sys.executable, PROGRAM, str(data_dir)])
            if through
            else start_program(PROGRAM, str(data_dir))
        )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self._stdin = TextIOWrapper(self.process.stdin)
        self._stdout = TextIOWrapper(self.process.stdout)

    def next_line(self) -> str:
        """What it says next: `starting`, then the URL or the error, then whatever it is asked."""
        return self._stdout.readline().rstrip("\n")

    def url(self) -> str:
        assert self.next_line() == "starting"
        return self.next_line()

    def tell(self, query: str) -> None:
        """Have it run a query of one line, in a transaction of its own."""
        self._stdin.write(f"{query}\n")
        self._stdin.flush()

    def hang_up(self) -> None:
        self._stdin.close()

    def leave(self) -> str:
        """Let it end by itself, and give the rest of what it said."""
        self.hang_up()
        return self.rest()

    def rest(self) -> str:
        rest = self._stdout.read()
        self.process.wait(timeout=60)
        return rest

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self._stdout.close()
        with contextlib.suppress(BrokenPipeError):
            self.hang_up()


def _execute(command: Sequence[str]) -> subprocess.Popen[bytes]:
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, start_new_session=True)


@contextlib.contextmanager
def users(
    data_dir: Path, count: int, *, through: tuple[str, ...] = ()
) -> Generator[list[PostgresUser]]:
    """Processes that use it; `through` is a command that starts them, say as somebody else."""
    started = [PostgresUser(data_dir, through=through) for _ in range(count)]
    try:
        yield started
    finally:
        for user in started:
            user.kill()


def processes_of(data_dir: Path) -> list[psutil.Process]:
    """Everything that runs on a data directory: users, `initdb`, the server and its backends."""
    return [process for process in psutil.process_iter() if _belongs(process, data_dir)]


def server_processes_of(data_dir: Path) -> list[psutil.Process]:
    return [process for process in processes_of(data_dir) if _is_server(process)]


def unfinished_clusters(data_dir: Path) -> list[str]:
    return [path.name for path in data_dir.glob("postgres.init-*")]


def wait_until_stopped(data_dir: Path) -> None:
    """Leaving waits a few seconds at most; on a busy machine, the rest is done after it."""
    deadline = time.monotonic() + 60
    while remaining := [*server_processes_of(data_dir), *unfinished_clusters(data_dir)]:
        assert time.monotonic() < deadline, remaining
        time.sleep(0.01)


def query_as_a_new_user(data_dir: Path, query: str = "select 1") -> object:
    """Use the server for one query, from this very process."""

    async def use() -> object:
        async with embedded_postgres(data_dir) as url:
            return ask(url, query)

    return asyncio.run(use())


def kill_all(data_dir: Path) -> None:
    # Again and again: what is killed may just have started something else.
    while remaining := processes_of(data_dir):
        for process in remaining:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(remaining, timeout=0.1)


def _is_server(process: psutil.Process) -> bool:
    try:
        return process.name() == "postgres"
    except psutil.NoSuchProcess:
        return False


def _belongs(process: psutil.Process, data_dir: Path) -> bool:
    try:
        if process.status() == psutil.STATUS_ZOMBIE or process.pid == psutil.Process().pid:
            return False
        command = " ".join(process.cmdline())
        # Where a process works is told to its own account only, and to the mightiest of roots.
        return (
            str(data_dir) in command
            # One that was forked has the command line of the fork server.
            or process.name() == name_of_users(data_dir)
            or command.startswith(_backend_title(data_dir))
            or Path(process.cwd()).is_relative_to(data_dir)
        )
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False


def _backend_title(data_dir: Path) -> str:
    cluster = Cluster(data_dir)
    return f"postgres: {cluster.name}" if cluster.directory.exists() else "postgres: none"
