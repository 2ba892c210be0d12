import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from diary_mcp.postgres.processes import (
    PidFile,
    find_postmaster,
    is_alive,
    kill_orphans,
    pid_file_path,
    read_pid_file,
)

WHOLE = "4711\n/data\n1795465327\n5432\n/run/socket\n\n 10027022   1507328\nready   \n"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (WHOLE, PidFile(4711, Path("/run/socket"), is_ready=True)),
        (WHOLE.replace("ready", "stopping"), PidFile(4711, Path("/run/socket"), is_ready=False)),
        ("4711\n/data\n1795465327\n5432\n", PidFile(4711, None, is_ready=False)),
        ("-4711\n", PidFile(4711, None, is_ready=False)),
        ("", PidFile(None, None, is_ready=False)),
        ("0\n", PidFile(0, None, is_ready=False)),
        ("9" * 40, PidFile(None, None, is_ready=False)),
        ("٣\n", PidFile(None, None, is_ready=False)),
        ("4711 is the one\n", PidFile(None, None, is_ready=False)),
    ],
    ids=[
        "whole",
        "stopping",
        "starting",
        "single-user",
        "empty",
        "zero",
        "huge",
        "foreign digit",
        "words",
    ],
)
def test_what_a_pid_file_says(tmp_path: Path, content: str, expected: PidFile) -> None:
    pid_file_path(tmp_path).write_text(content, encoding="utf-8")

    found = read_pid_file(tmp_path)

    assert found == expected


def test_a_missing_pid_file_says_nothing(tmp_path: Path) -> None:
    found = read_pid_file(tmp_path)

    assert found == PidFile(None, None, is_ready=False)


def test_a_process_whose_command_line_names_the_directory_is_the_postmaster(
    tmp_path: Path,
) -> None:
    with sleeper(str(tmp_path)) as process:
        pid_file_path(tmp_path).write_text(f"{process.pid}\n")

        found = find_postmaster(tmp_path)
        process.kill()

    assert found is not None
    assert found.pid == process.pid


def test_a_process_that_works_in_the_directory_is_the_postmaster(tmp_path: Path) -> None:
    with sleeper(cwd=tmp_path) as process:
        pid_file_path(tmp_path).write_text(f"{process.pid}\n")

        found = find_postmaster(tmp_path)
        process.kill()

    assert found is not None


def test_any_other_process_is_not_the_postmaster(tmp_path: Path) -> None:
    pid_file_path(tmp_path).write_text(f"{os.getpid()}\n")

    found = find_postmaster(tmp_path)

    assert found is None


def test_a_process_that_ended_is_not_alive() -> None:
    with sleeper() as process:
        observed = psutil.Process(process.pid)
        before = is_alive(observed)
        process.kill()
    after = is_alive(observed)

    assert before
    assert not after


def test_only_what_carries_the_title_of_the_cluster_is_an_orphan() -> None:
    with (
        sleeper(title="postgres: diary-mcp-1-2: busy") as orphan,
        sleeper(title="postgres: diary-mcp-1-3: busy") as of_another_cluster,
    ):
        killed = kill_orphans("diary-mcp-1-2", os.geteuid())
        status = orphan.wait(timeout=60)
        untouched = of_another_cluster.poll()
        of_another_cluster.kill()

    assert killed == [orphan.pid]
    assert status == -9
    assert untouched is None


def test_what_runs_under_another_account_is_no_orphan() -> None:
    with sleeper(title="postgres: diary-mcp-1-4: busy") as process:
        killed = kill_orphans("diary-mcp-1-4", os.geteuid() + 1)
        process.kill()

    assert killed == []


def sleeper(
    *words: str, title: str | None = None, cwd: Path | None = None
) -> subprocess.Popen[bytes]:
    """A process that has begun to sleep."""
    code = "import sys, time; sys.stdout.write('x'); sys.stdout.flush(); time.sleep(60)"
    process = subprocess.Popen(
        [title or sys.executable, "-c", code, *words],
        executable=sys.executable,
        cwd=cwd,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    process.stdout.read(1)
    return process
