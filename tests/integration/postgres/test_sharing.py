"""Many processes on one data directory: the normal case, as every MCP client starts its own."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from diary_mcp.postgres.binaries import find_programs
from diary_mcp.postgres.processes import find_postmaster
from support.postgres_user import ask
from support.postgres_users import users, wait_until_stopped

pytest_plugins = ["support.postgres_fixtures"]

PROCESSES = 4

needs_other_accounts = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("setpriv") is None,
    reason="only root can become another account, with setpriv",
)


def test_processes_that_start_at_once_on_an_empty_directory_share_one_server(
    data_dir: Path,
) -> None:
    with users(data_dir, PROCESSES) as everybody:
        urls = {user.url() for user in everybody}
        starts = {ask(url, "select pg_postmaster_start_time()::text") for url in urls}

    assert len(urls) == 1
    assert next(iter(urls)).startswith("postgresql://diary@/diary?host=")
    assert len(starts) == 1


def test_processes_that_leave_at_once_stop_the_server(used_data_dir: Path) -> None:
    with users(used_data_dir, PROCESSES) as everybody:
        for user in everybody:
            user.url()

        for user in everybody:
            user.hang_up()
        statuses = [user.process.wait(timeout=60) for user in everybody]

    assert statuses == [0] * PROCESSES
    wait_until_stopped(used_data_dir)


def test_the_one_who_started_the_server_can_leave_before_the_others(used_data_dir: Path) -> None:
    with users(used_data_dir, 1) as (starter,):
        starter.url()
        with users(used_data_dir, 1) as (guest,):
            guest.url()

            # Reads to the end: a server that had inherited the pipe would keep it open.
            rest = starter.leave()
            guest.tell("select 7")
            answer = guest.next_line()

    assert rest == ""
    assert answer == "7"


def test_the_server_is_out_of_reach_of_a_ctrl_c_and_of_who_kills_our_children(
    used_data_dir: Path,
) -> None:
    with users(used_data_dir, 1) as (user,):
        user.url()
        postmaster = find_postmaster(used_data_dir / "postgres")
        assert postmaster is not None

        session = os.getsid(postmaster.pid)
        parent = postmaster.ppid()

    assert session != os.getsid(0)
    assert session != user.process.pid
    assert parent != user.process.pid


def test_a_user_killed_with_sigkill_does_not_keep_the_server_running(used_data_dir: Path) -> None:
    with users(used_data_dir, 2) as (killed, leaving):
        killed.url()
        leaving.url()

        killed.kill()
        leaving.leave()

    wait_until_stopped(used_data_dir)


@needs_other_accounts
@pytest.mark.parametrize("folder", ["short", "long" * 30], ids=["own socket", "temporary socket"])
def test_another_account_is_refused(tmp_path: Path, folder: str) -> None:
    data_dir = tmp_path / folder
    with users(data_dir, 1) as (user,):
        url = user.url()

        plain = ask_as_daemon(url)
        past_file_modes = ask_as_daemon(
            url, "--inh-caps=+dac_override", "--ambient-caps=+dac_override"
        )
        assert user.leave() == ""

    assert "Permission denied" in plain
    assert "Peer authentication failed" in past_file_modes


def ask_as_daemon(url: str, *capabilities: str) -> str:
    psql = str(find_programs() / "psql")
    become = ["setpriv", "--reuid=daemon", "--regid=daemon", "--clear-groups", *capabilities]
    answer = subprocess.run(
        [*become, psql, url, "-c", "select 1"], capture_output=True, check=False, text=True
    )
    assert answer.returncode != 0
    return answer.stderr
