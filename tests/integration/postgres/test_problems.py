"""What cannot work, and what the user is told: the thing, and the next step."""

import os
import shutil
import stat
from pathlib import Path

import pytest

from diary_mcp.domain.errors import DatabaseUnavailableError
from diary_mcp.postgres.cluster import prepare_cluster
from diary_mcp.postgres.processes import find_postmaster
from support.postgres_users import (
    query_as_a_new_user,
    unfinished_clusters,
    users,
)

pytest_plugins = ["support.postgres_fixtures"]


only_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root meets this problem")


def complaint(data_dir: Path) -> str:
    with pytest.raises(DatabaseUnavailableError) as caught:
        query_as_a_new_user(data_dir)
    return str(caught.value)


def complaint_to_somebody_bound_by_file_modes(data_dir: Path) -> str:
    through = (
        ("setpriv", "--bounding-set=-dac_override,-dac_read_search") if os.geteuid() == 0 else ()
    )
    with users(data_dir, 1, through=through) as (user,):
        return user.url()


def test_a_missing_parent_is_made(data_dir: Path) -> None:
    answer = query_as_a_new_user(data_dir / "a" / "b")

    assert answer == 1


def test_a_read_only_directory_is_named(data_dir: Path) -> None:
    data_dir.mkdir()
    data_dir.chmod(0o500)

    told = complaint_to_somebody_bound_by_file_modes(data_dir)

    assert told.startswith(f"DatabaseUnavailableError: The data directory {data_dir} cannot be")
    assert "DIARY_MCP_DATA_DIR" in told
    assert list(data_dir.iterdir()) == []


def test_a_read_only_parent_is_named(data_dir: Path) -> None:
    data_dir.mkdir()
    data_dir.chmod(0o500)

    told = complaint_to_somebody_bound_by_file_modes(data_dir / "a")

    assert told.startswith(f"DatabaseUnavailableError: The data directory {data_dir}/a cannot be")
    assert "DIARY_MCP_DATA_DIR" in told


@pytest.mark.parametrize("below", ["", "below"], ids=["in its place", "among its parents"])
def test_a_file_in_place_of_the_directory_is_named(data_dir: Path, below: str) -> None:
    data_dir.write_text("a file")

    told = complaint(data_dir / below)

    assert str(data_dir) in told
    assert "there is a file in its place" in told
    assert data_dir.read_text() == "a file"


@only_root
def test_a_directory_of_another_user_is_refused(data_dir: Path) -> None:
    data_dir.mkdir()
    os.chown(data_dir, 12345, 12345)

    told = complaint(data_dir)

    assert "belongs to another user (uid 12345)" in told
    assert list(data_dir.iterdir()) == []


@only_root
def test_a_cluster_of_another_account_is_refused(used_data_dir: Path) -> None:
    os.chown(used_data_dir / "postgres", 12345, 12345)

    told = complaint(used_data_dir)

    assert "belongs to another user (uid 12345)" in told


def test_a_cluster_of_another_major_version_is_left_alone(used_data_dir: Path) -> None:
    (used_data_dir / "postgres" / "PG_VERSION").write_text("17\n")

    told = complaint(used_data_dir)

    assert "was made by PostgreSQL 17" in told
    assert "`diary-mcp backup FILE` with the diary-mcp that made it" in told
    assert find_postmaster(used_data_dir / "postgres") is None


def test_a_server_that_cannot_start_says_why_and_where_its_log_is(used_data_dir: Path) -> None:
    (used_data_dir / "postgres" / "postgresql.auto.conf").write_text(
        "shared_buffers = 'nonsense'\n"
    )

    told = complaint(used_data_dir)

    assert 'invalid value for parameter "shared_buffers"' in told
    assert str(used_data_dir / "postgres.log") in told
    assert "DIARY_MCP_DATABASE_URL" in told


def test_an_initdb_that_cannot_write_leaves_nothing_half_made(data_dir: Path) -> None:
    small_files_only = ("/bin/sh", "-c", 'ulimit -f 1000; exec "$@"', "sh")

    with users(data_dir, 1, through=small_files_only) as (user,):
        told = user.url()

    assert "initdb could not make a database" in told
    assert str(data_dir / "postgres.log") in told
    assert unfinished_clusters(data_dir) == []
    assert not (data_dir / "postgres").exists()
    assert query_as_a_new_user(data_dir) == 1


@only_root
def test_root_without_setpriv_is_told_what_else_to_do(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(data_dir))

    told = complaint(data_dir)

    assert "setpriv" in told
    assert "DIARY_MCP_DATABASE_URL" in told
    assert "ordinary user" in told


@only_root
@pytest.mark.skipif(shutil.which("setpriv") is None, reason="needs setpriv")
def test_root_without_the_capability_is_told_what_else_to_do(data_dir: Path) -> None:
    told = complaint_to_somebody_bound_by_file_modes(data_dir)

    assert "refuses to run as root" in told
    assert "DIARY_MCP_DATABASE_URL" in told
    assert "ordinary user" in told
    assert not (data_dir / "postgres").exists()


@pytest.mark.parametrize("mode", [0o755, 0o770, 0o777], ids=oct)
def test_a_directory_that_was_made_beforehand_is_closed_to_others(
    data_dir: Path, mode: int
) -> None:
    data_dir.mkdir()
    (data_dir / "keys").mkdir()
    data_dir.chmod(mode)

    assert prepare_cluster(data_dir).data_dir == data_dir

    assert stat.S_IMODE(data_dir.stat().st_mode) == 0o700


@only_root
@pytest.mark.parametrize("name", ["postgres", "keys", "postgres.log"])
def test_what_others_put_into_an_open_directory_is_not_taken_for_a_diary(
    data_dir: Path, name: str
) -> None:
    data_dir.mkdir()
    (data_dir / name).mkdir()
    os.chown(data_dir / name, 65534, 65534)
    data_dir.chmod(0o777)

    told = complaint(data_dir)

    assert f"not all yours: {name}." in told
    assert stat.S_IMODE(data_dir.stat().st_mode) == 0o777
    data_dir.chmod(0o700)  # The operator says that it is a diary.
    assert prepare_cluster(data_dir).data_dir == data_dir


@pytest.mark.parametrize("mode", [0o770, 0o1777], ids=oct)
def test_an_open_directory_with_other_things_in_it_is_refused_and_left_alone(
    data_dir: Path, mode: int
) -> None:
    data_dir.mkdir()
    (data_dir / "photos").mkdir()
    data_dir.chmod(mode)

    told = complaint(data_dir)

    assert f"(mode {mode:04o})" in told
    assert f"chmod 700 {data_dir}" in told
    assert stat.S_IMODE(data_dir.stat().st_mode) == mode
    assert [each.name for each in data_dir.iterdir()] == ["photos"]
