"""The embedded PostgreSQL after kills, crashes and whatever else may have been left on disk."""

import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Generator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import psycopg
import pytest

from diary_mcp.domain.errors import DatabaseUnavailableError
from diary_mcp.postgres.account import server_account
from diary_mcp.postgres.binaries import find_programs
from diary_mcp.postgres.cluster import Cluster
from diary_mcp.postgres.deadline import Deadline
from diary_mcp.postgres.locks import opened_lock
from diary_mcp.postgres.processes import find_postmaster, is_alive, read_pid_file
from support.postgres_user import ask
from support.postgres_users import (
    kill_all,
    processes_of,
    query_as_a_new_user,
    server_processes_of,
    unfinished_clusters,
    users,
    wait_until_stopped,
)

pytest_plugins = ["support.postgres_fixtures"]


@dataclass(frozen=True)
class Stopped:
    """A cluster that is not running, and the files with its postmaster's pid while it was."""

    data_dir: Path
    pid_files: dict[Path, str]


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Stopped:
    data_dir = tmp_path_factory.mktemp("stopped")
    with users(data_dir, 1) as (user,):
        user.url()
        socket_dir = read_pid_file(data_dir / "postgres").socket_dir
        assert socket_dir is not None
        files = (data_dir / "postgres" / "postmaster.pid", socket_dir / ".s.PGSQL.5432.lock")
        contents = {file: file.read_text() for file in files}
        user.leave()
    wait_until_stopped(data_dir)
    return Stopped(data_dir, contents)


@pytest.mark.parametrize(
    "milestone",
    ["postgres*/PG_VERSION", "postgres*/diary_mcp.conf", "postgres/postmaster.pid"],
    ids=["initdb at work", "cluster complete", "server starting"],
)
def test_a_kill_of_everything_at_each_stage_of_the_first_start_is_recovered_from(
    data_dir: Path, milestone: str
) -> None:
    with users(data_dir, 1) as (user,):
        assert user.next_line() == "starting"
        while not list(data_dir.glob(milestone)):
            assert user.process.poll() is None
            time.sleep(0.001)
        kill_all(data_dir)

    answer = query_as_a_new_user(data_dir)

    assert answer == 1
    assert unfinished_clusters(data_dir) == []


def create(url: str, statement: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute(statement.encode())


def test_what_was_acknowledged_before_a_kill_of_everything_is_there_after_it(
    used_data_dir: Path,
) -> None:
    with users(used_data_dir, 1) as (user,):
        url = user.url()
        create(url, "create table remark (n int)")
        for n in range(500):
            user.tell(f"insert into remark values ({n}) returning n")
        acknowledged = [user.next_line() for _ in range(50)]
        kill_all(used_data_dir)
        acknowledged += user.rest().splitlines()

    kept = query_as_a_new_user(used_data_dir, "select string_agg(n::text, ' ') from remark")

    assert set(acknowledged) <= set(str(kept).split())


@pytest.mark.parametrize("state", ["alive", "a zombie"])
def test_a_pid_file_that_names_a_process_of_somebody_else_is_no_obstacle(
    stopped: Stopped, state: str
) -> None:
    # Under the server's account, or PostgreSQL itself would know better.
    program = {"alive": ["sleep", "60"], "a zombie": ["true"]}[state]
    with subprocess.Popen([*server_account().command_prefix, *program]) as stranger:
        while state == "a zombie" and is_alive(psutil.Process(stranger.pid)):
            assert stranger.returncode is None
        for file, content in stopped.pid_files.items():
            file.parent.mkdir(mode=0o700, exist_ok=True)
            file.write_text(content.replace(content.split()[0], str(stranger.pid), 1))

        answer = query_as_a_new_user(stopped.data_dir)
        stranger_is_there = psutil.pid_exists(stranger.pid)
        stranger.kill()

    assert answer == 1
    assert stranger_is_there


@pytest.mark.parametrize(
    "left",
    [b"", b"1", b"\xff\x00\n\n"],
    ids=["empty", "cut short", "binary"],
)
def test_a_damaged_pid_file_is_no_obstacle(stopped: Stopped, left: bytes) -> None:
    (stopped.data_dir / "postgres" / "postmaster.pid").write_bytes(left)

    answer = query_as_a_new_user(stopped.data_dir)

    assert answer == 1


def test_a_busy_backend_that_outlived_its_postmaster_is_no_obstacle(used_data_dir: Path) -> None:
    with users(used_data_dir, 1) as (user,):
        url = user.url()
        user.tell("do $$ begin loop null; end loop; end $$")
        busy = "select count(*) from pg_stat_activity where query like 'do %' and state = 'active'"
        while ask(url, busy) != 1:
            assert user.process.poll() is None
        postmaster = find_postmaster(used_data_dir / "postgres")
        assert postmaster is not None
        # Or its keeper has it end the backend in good order, now that the last user has gone.
        postmaster.suspend()
        user.kill()
    postmaster.kill()
    while len(left := server_processes_of(used_data_dir)) > 1:
        time.sleep(0.01)
    (orphan,) = left

    answer = query_as_a_new_user(used_data_dir)

    assert answer == 1
    assert not is_alive(orphan)


def test_a_server_that_is_shutting_down_is_waited_for(used_data_dir: Path) -> None:
    with users(used_data_dir, 1) as (user,):
        user.url()
        postmaster = find_postmaster(used_data_dir / "postgres")
        assert postmaster is not None
        user.kill()
    # Its keeper is about to do the same, and may have done it.
    with suppress(psutil.NoSuchProcess):
        postmaster.send_signal(signal.SIGINT)

    answer = query_as_a_new_user(used_data_dir)

    assert answer == 1
    assert not is_alive(postmaster)


def test_no_second_server_is_started_beside_one_that_hangs_and_lost_its_pid_file(
    used_data_dir: Path,
) -> None:
    started = "select pg_postmaster_start_time()::text"
    cluster = Cluster(used_data_dir)
    with users(used_data_dir, 1) as (first,), opened_lock(cluster.users_lock) as users_lock:
        url = first.url()
        before = ask(url, started)
        users_lock.wait_shared(Deadline(10, threading.Event()))
        first.kill()
        postmaster = find_postmaster(cluster.directory)
        assert postmaster is not None
        pid_file = cluster.directory / "postmaster.pid"
        content = pid_file.read_bytes()

        postmaster.suspend()
        pid_file.unlink()
        with users(used_data_dir, 1) as (second,):
            assert second.next_line() == "starting"
            time.sleep(0.5)  # time enough to start one, had it been tried
            running = processes_of(used_data_dir)
            servers = [process.pid for process in running if is_postmaster(process)]
            pid_file.write_bytes(content)
            os.chown(pid_file, server_account().uid, server_account().gid)
            postmaster.resume()
            after = ask(second.next_line(), started)

    assert servers == [postmaster.pid]
    assert before == after


def is_postmaster(process: psutil.Process) -> bool:
    return process.name() == "postgres" and "-D" in process.cmdline()


@pytest.mark.parametrize("count", [1, 3])
def test_a_server_whose_users_were_all_killed_ends_by_itself(
    used_data_dir: Path, count: int
) -> None:
    with users(used_data_dir, count) as killed:
        (url,) = {user.url() for user in killed}
        for user in killed[1:]:
            user.kill()
        assert ask(url, "select 1") == 1
    wait_until_stopped(used_data_dir)

    assert processes_of(used_data_dir) == []
    assert query_as_a_new_user(used_data_dir) == 1


def test_a_server_whose_socket_was_cleaned_away_is_replaced(used_data_dir: Path) -> None:
    with users(used_data_dir, 1) as (user,):
        user.url()
        socket_dir = read_pid_file(used_data_dir / "postgres").socket_dir
        assert socket_dir is not None
        (socket_dir / ".s.PGSQL.5432").unlink()

        answer = query_as_a_new_user(used_data_dir)

    assert answer == 1


@pytest.fixture
def other_installation() -> Generator[Path]:
    """A folder for PYTHONPATH with PostgreSQL's programs; the server's account can read it."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        programs = find_programs()
        shutil.copytree(programs.parents[1], Path(folder, programs.parents[1].name))
        yield Path(folder)


def test_a_server_whose_installation_is_gone_is_replaced_and_everybody_goes_on(
    used_data_dir: Path, other_installation: Path
) -> None:
    with users(used_data_dir, 1, through=("env", f"PYTHONPATH={other_installation}")) as (old,):
        url = old.url()
        create(url, "create table remark (n int)")
        old.process.send_signal(signal.SIGSTOP)  # or it may notice before this test has looked
        for installed in other_installation.iterdir():
            shutil.rmtree(installed)
        # This process has not loaded PL/pgSQL, and from there it never will.
        with pytest.raises(psycopg.errors.UndefinedFile):
            create(url, "do 'begin end'")

        with users(used_data_dir, 1) as (new,):
            create(new.url(), "do 'begin end'")
            old.process.send_signal(signal.SIGCONT)
            old.tell("select count(*) from remark")
            assert old.next_line() == "0"


def test_an_initdb_that_was_interrupted_in_its_place_is_set_aside(data_dir: Path) -> None:
    (data_dir / "postgres" / "pg_wal").mkdir(parents=True)
    (data_dir / "postgres" / "PG_VERSION").write_text("18\n")

    answer = query_as_a_new_user(data_dir)

    assert answer == 1
    (aside,) = data_dir.glob("postgres.incomplete-*")
    assert (aside / "PG_VERSION").exists()


@pytest.mark.parametrize(
    "files",
    [["notes.txt"], ["PG_VERSION", "postmaster.opts"]],
    ids=["not a database", "somebody's database"],
)
def test_a_directory_that_is_not_ours_is_left_alone(data_dir: Path, files: list[str]) -> None:
    for name in files:
        (data_dir / "postgres" / name).parent.mkdir(parents=True, exist_ok=True)
        (data_dir / "postgres" / name).write_text("18\n")

    with pytest.raises(DatabaseUnavailableError, match="diary-mcp did not make"):
        query_as_a_new_user(data_dir)

    assert sorted(path.name for path in (data_dir / "postgres").iterdir()) == sorted(files)
