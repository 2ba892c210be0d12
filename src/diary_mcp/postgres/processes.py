"""Which processes belong to the server of a cluster, told without trusting what is on disk.

Needs `psutil` and a look at other processes' command lines, which any account may take.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import psutil

_PID_LINE, _SOCKET_LINE, _STATUS_LINE = 0, 4, 7


@dataclass(frozen=True)
class PidFile:
    """What a server wrote into `postmaster.pid`; it may be stale, cut short or garbage."""

    pid: int | None
    socket_dir: Path | None
    is_ready: bool


def pid_file_path(directory: Path) -> Path:
    return directory / "postmaster.pid"


def read_pid_file(directory: Path) -> PidFile:
    """Source: PostgreSQL 18, `src/include/utils/pidfile.h`."""
    try:
        lines = pid_file_path(directory).read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        lines = []
    lines += [""] * (_STATUS_LINE + 1 - len(lines))
    # A server in single-user mode writes its pid with a minus.
    digits = re.fullmatch(r"-?(\d{1,9})\s*", lines[_PID_LINE], re.ASCII)
    return PidFile(
        pid=int(digits[1]) if digits else None,
        socket_dir=Path(lines[_SOCKET_LINE]) if lines[_SOCKET_LINE].startswith("/") else None,
        is_ready=lines[_STATUS_LINE].strip() == "ready",
    )


def find_postmaster(directory: Path) -> psutil.Process | None:
    """The living postmaster that serves the cluster in `directory`.

    The pid on disk counts only if that process is no zombie, and its command line names the
    directory or it works in it: after a crash or a restart of the machine the number may be
    anybody's.
    """
    pid = read_pid_file(directory).pid
    if not pid:
        return None
    try:
        process = psutil.Process(pid)
        ours = is_alive(process) and (
            str(directory) in process.cmdline() or process.cwd() == str(directory)
        )
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return None
    return process if ours else None


def is_alive(process: psutil.Process) -> bool:
    """Whether it still runs: a zombie does not, nor does another process of the same pid."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def has_lost_its_program(process: psutil.Process) -> bool:
    """Whether the installation that it was started from is gone, as after a pruned cache.

    It runs on, but whatever it has yet to load, PL/pgSQL for one, it cannot.
    """
    try:
        program = process.exe()
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False
    return bool(program) and not Path(program).exists()


def kill_orphans(cluster_name: str, uid: int) -> list[int]:
    """Kill the cluster's processes that outlived their postmaster, and give their pids.

    They hold the shared memory that a new server needs, and nobody else would ever end one that
    is busy. What they committed is in the write-ahead log.
    """
    killed: list[int] = []
    for process in psutil.process_iter():
        try:
            if _is_orphan(process, cluster_name, uid):
                process.kill()
                killed.append(process.pid)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return killed


def _is_orphan(process: psutil.Process, cluster_name: str, uid: int) -> bool:
    if process.uids().effective != uid:
        return False
    title = " ".join(process.cmdline())
    if not title.startswith(f"postgres: {cluster_name}: "):
        return False
    parent = process.parent()
    return parent is None or parent.name() != "postgres"
