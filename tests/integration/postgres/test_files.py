"""The files around the cluster: locks, log, configuration."""

import threading
from pathlib import Path

import pytest

from diary_mcp.postgres.account import ServerAccount, server_account
from diary_mcp.postgres.cluster import Cluster
from diary_mcp.postgres.configuration import include_settings, write_configuration
from diary_mcp.postgres.deadline import CalledOffError, Deadline, OutOfTimeError
from diary_mcp.postgres.locks import opened_lock
from diary_mcp.postgres.server_log import ServerLog


@pytest.fixture
def cluster(tmp_path: Path) -> Cluster:
    (tmp_path / "postgres").mkdir()
    return Cluster(tmp_path)


def no_patience() -> Deadline:
    return Deadline(0.0, threading.Event())


def test_an_exclusive_lock_keeps_everybody_else_out(tmp_path: Path) -> None:
    with opened_lock(tmp_path / "lock") as first, opened_lock(tmp_path / "lock") as second:
        first.wait_exclusive(no_patience())

        with pytest.raises(OutOfTimeError):
            second.wait_exclusive(no_patience())
        with pytest.raises(OutOfTimeError):
            second.wait_shared(no_patience())


def test_a_lock_is_free_again_when_its_holder_closes_it(tmp_path: Path) -> None:
    with opened_lock(tmp_path / "lock") as first:
        first.wait_exclusive(no_patience())

    with opened_lock(tmp_path / "lock") as second:
        assert second.try_exclusive()


def test_the_last_of_several_who_share_a_lock_gets_it_alone(tmp_path: Path) -> None:
    with opened_lock(tmp_path / "lock") as last:
        last.wait_shared(no_patience())
        with opened_lock(tmp_path / "lock") as other:
            other.wait_shared(no_patience())
            while_shared = last.try_exclusive()

        alone = last.try_exclusive()

    assert not while_shared
    assert alone


def test_a_wait_that_is_called_off_ends(tmp_path: Path) -> None:
    called_off = threading.Event()
    called_off.set()

    with opened_lock(tmp_path / "lock") as first, opened_lock(tmp_path / "lock") as second:
        first.wait_exclusive(no_patience())
        with pytest.raises(CalledOffError):
            second.wait_exclusive(Deadline(60.0, called_off))


def test_the_log_tells_each_complaint_of_this_start_once_and_without_its_prefix(
    tmp_path: Path,
) -> None:
    path = tmp_path / "log"
    path.write_text("2026-01-02 03:04:05.678 UTC [1] FATAL:  of an earlier start\n")
    server_log = ServerLog(path)
    with path.open("a") as file:
        file.write("2026-01-02 03:04:05.678 UTC [2] LOG:  invalid value for parameter\n")
        file.write("2026-01-02 03:04:05.679 UTC [2] FATAL:  contains errors\n")
        file.write("2026-01-02 03:04:06.679 UTC [3] FATAL:  contains errors\n")
        file.write("2026-01-02 03:04:06.700 UTC [3] LOG:  database system is shut down\n")

    complaints = server_log.complaints()

    assert complaints == "LOG:  invalid value for parameter; FATAL:  contains errors"


@pytest.mark.parametrize(
    ("text", "expected"),
    [("", "it said nothing"), ("Killed\n", "Killed")],
    ids=["nothing", "no complaint"],
)
def test_a_log_without_complaints_gives_what_there_is(
    tmp_path: Path, text: str, expected: str
) -> None:
    server_log = ServerLog(tmp_path / "log")
    (tmp_path / "log").write_text(text)

    complaints = server_log.complaints()

    assert complaints == expected


def test_a_long_log_makes_way_and_one_old_one_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"x" * 5_000_000)

    ServerLog(path).rotate()

    assert not path.exists()
    assert (tmp_path / "log.1").stat().st_size == 5_000_000


def test_a_short_log_is_continued(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"x")

    ServerLog(path).rotate()

    assert path.read_bytes() == b"x"


def test_the_configuration_lets_one_user_in_under_one_role(cluster: Cluster) -> None:
    account = ServerAccount(server_account().uid, server_account().gid, 'od"d')

    write_configuration(cluster, cluster.directory, account)

    rules = (cluster.directory / "pg_hba.conf").read_text()
    assert [line.split() for line in rules.splitlines() if not line.startswith("#")] == [
        ["local", "all", "all", "peer", "map=owner"],
        ["local", "replication", "all", "peer", "map=owner"],
    ]
    users = (cluster.directory / "pg_ident.conf").read_text()
    assert [line.split() for line in users.splitlines() if not line.startswith("#")] == [
        ["owner", '"od""d"', "diary"],
        ["owner", '"od""d"', "diary_server"],
    ]
    assert cluster.is_complete


def test_the_configuration_is_brought_up_to_date_and_otherwise_left_alone(
    cluster: Cluster,
) -> None:
    write_configuration(cluster, cluster.directory, server_account())
    untouched = (cluster.directory / "pg_hba.conf").stat()
    written = cluster.settings.read_text()
    cluster.settings.write_text("# of an older version\n")

    write_configuration(cluster, cluster.directory, server_account())

    assert cluster.settings.read_text() == written
    assert (cluster.directory / "pg_hba.conf").stat().st_ino == untouched.st_ino
    assert sorted(path.name for path in cluster.directory.iterdir()) == [
        "diary_mcp.conf",
        "pg_hba.conf",
        "pg_ident.conf",
    ]


def test_our_settings_come_after_those_of_initdb(cluster: Cluster) -> None:
    main = cluster.directory / "postgresql.conf"
    main.write_text("shared_buffers = 128MB")

    include_settings(cluster.directory, cluster.settings)

    assert main.read_text() == "shared_buffers = 128MB\ninclude 'diary_mcp.conf'\n"
