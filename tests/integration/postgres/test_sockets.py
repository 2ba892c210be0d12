import tempfile
from collections.abc import Generator
from pathlib import Path

import pytest

from diary_mcp.domain.errors import DatabaseUnavailableError
from diary_mcp.postgres.cluster import Cluster
from diary_mcp.postgres.processes import pid_file_path
from diary_mcp.postgres.sockets import socket_directory


@pytest.fixture
def short_dir() -> Generator[Path]:
    """A directory of ours, short enough to hold a directory for a socket."""
    with tempfile.TemporaryDirectory(dir="/tmp") as path:
        yield Path(path)


@pytest.fixture
def deep(tmp_path: Path, short_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    """A cluster too deep down for a socket; the runtime directory is `short_dir`."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(short_dir))
    return cluster_in(tmp_path / ("x" * 100))


def cluster_in(data_dir: Path) -> Cluster:
    (data_dir / "postgres").mkdir(parents=True)
    return Cluster(data_dir)


def test_a_short_path_holds_the_socket_itself(short_dir: Path) -> None:
    cluster = cluster_in(short_dir)

    directory = socket_directory(cluster)

    assert directory == cluster.directory


@pytest.mark.parametrize("name", ["x" * 100, "a,b"], ids=["too long", "looks like two hosts"])
def test_any_other_path_gets_a_private_directory_elsewhere(
    tmp_path: Path, short_dir: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(short_dir))
    cluster = cluster_in(tmp_path / name)

    directory = socket_directory(cluster)

    assert directory == short_dir / cluster.name
    assert directory.stat().st_mode & 0o777 == 0o700


def test_every_process_finds_the_same_directory(deep: Cluster) -> None:
    first = socket_directory(deep)

    second = socket_directory(deep)

    assert first == second


def test_the_directory_that_a_running_server_names_is_used_whatever_the_environment_says(
    deep: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    used = socket_directory(deep)
    pid_file_path(deep.directory).write_text(f"1\n/data\n2\n5432\n{used}\n")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))

    found = socket_directory(deep)

    assert found == used


def test_a_copy_of_a_data_directory_does_not_share_the_socket(
    deep: Cluster, tmp_path: Path
) -> None:
    copy = cluster_in(tmp_path / ("y" * 100))
    used = socket_directory(deep)
    pid_file_path(copy.directory).write_text(f"1\n/data\n2\n5432\n{used}\n")

    found = socket_directory(copy)

    assert found != used


@pytest.mark.parametrize("trap", ["a link", "open to others"])
def test_a_directory_that_others_can_reach_is_refused(
    deep: Cluster, short_dir: Path, tmp_path: Path, trap: str
) -> None:
    place = short_dir / deep.name
    if trap == "a link":
        place.symlink_to(tmp_path)
    else:
        place.mkdir()
        place.chmod(0o755)

    with pytest.raises(DatabaseUnavailableError, match=f"{place} should be a private directory"):
        socket_directory(deep)


def test_a_runtime_directory_where_others_may_write_is_passed_over(
    deep: Cluster, short_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    short_dir.chmod(0o777)
    fallback = short_dir / "t"
    fallback.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(fallback))

    directory = socket_directory(deep)

    assert directory == fallback / deep.name


def test_a_path_for_which_nothing_is_short_enough_is_named(
    deep: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / ("z" * 100)))
    (tmp_path / ("z" * 100)).mkdir()

    with pytest.raises(DatabaseUnavailableError, match="too long for a Unix socket"):
        socket_directory(deep)
