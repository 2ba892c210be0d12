"""Processes that are measured: which they are, their memory and their CPU time."""

import os
import platform
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import psutil

MIB = 1 << 20
MINUTES = 60.0


def family(root: psutil.Process, home: Path) -> list[psutil.Process]:
    """A server, what it started, and any PostgreSQL below `home`, which leaves its starter."""
    roots = [root, *databases(home)]
    found: list[psutil.Process] = []
    for process in roots:
        with suppress(psutil.NoSuchProcess):
            found += [process, *process.children(recursive=True)]
    return found


def databases(home: Path) -> list[psutil.Process]:
    """The PostgreSQL servers whose data is below `home`."""
    found: list[psutil.Process] = []
    for pid_file in home.rglob("postmaster.pid"):
        with suppress(psutil.NoSuchProcess, OSError, ValueError, IndexError):
            found.append(psutil.Process(int(pid_file.read_text("utf-8").splitlines()[0])))
    return found


def cpu_s(processes: Sequence[psutil.Process]) -> float:
    """CPU time that they, and their children that have ended, have taken so far."""
    total = 0.0
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            total += times.user + times.system
            total += getattr(times, "children_user", 0.0) + getattr(times, "children_system", 0.0)
    return total


def switches(processes: Sequence[psutil.Process]) -> dict[Path, int]:
    """How often each of their threads went to sleep so far."""
    found: dict[Path, int] = {}
    for process in processes:
        with suppress(psutil.NoSuchProcess, OSError):
            for thread in Path(f"/proc/{process.pid}/task").iterdir():
                words = (thread / "status").read_text("utf-8").split()
                found[thread] = int(words[words.index("voluntary_ctxt_switches:") + 1])
    return found


def more_switches(now: dict[Path, int], before: dict[Path, int]) -> int:
    """How often they did since, without threads that have ended meanwhile."""
    return sum(count - before.get(thread, 0) for thread, count in now.items())


def resident_mib(process: psutil.Process) -> float:
    """What the process holds in memory; pages that it shares with others count in full."""
    return process.memory_info().rss / MIB


def proportional_mib(processes: Sequence[psutil.Process]) -> float:
    """What they hold together; a page that many share counts once."""
    total = 0.0
    for process in processes:
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            memory = process.memory_full_info()
            total += getattr(memory, "pss", memory.uss) / MIB
    return total


def kill(processes: Sequence[psutil.Process]) -> None:
    """SIGKILL to each, and waits until they are gone."""
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(list(processes), timeout=10)


def child_since(known: set[int], of_command: Callable[[list[str]], bool]) -> psutil.Process:
    """The child of this process that was not there before."""
    for child in psutil.Process().children():
        with suppress(psutil.NoSuchProcess):
            if child.pid not in known and of_command(child.cmdline()):
                return child
    raise RuntimeError("The server has ended already.")


def child_pids() -> set[int]:
    return {child.pid for child in psutil.Process().children()}


def describe_machine(*, quick: bool) -> str:
    """One line: when, on what, and how busy it was."""
    worth = ", a quick run that shows only that it works" if quick else ""
    load = os.getloadavg()[0]
    memory = psutil.virtual_memory().total / (1 << 30)
    return (
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {platform.system()} {platform.machine()}, "
        f"{_processor()}, {os.cpu_count()} cores, {memory:.0f} GiB, "
        f"Python {platform.python_version()}, load average {load:.1f} before the run{worth}"
    )


def _processor() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown processor"


def family_below(home: Path) -> list[psutil.Process]:
    """Whatever a measurement has left running on the data below `home`, each once."""
    left: dict[psutil.Process, None] = {}
    for parent in (*psutil.Process().children(), *databases(home)):
        with suppress(psutil.NoSuchProcess):
            left |= dict.fromkeys([parent, *parent.children(recursive=True)])
    return list(left)
