"""Data directories for the tests of the embedded PostgreSQL; nothing runs on them afterwards."""

import subprocess
from collections.abc import Generator
from pathlib import Path

import pytest

from support.postgres_users import kill_all, query_as_a_new_user, wait_until_stopped


@pytest.fixture
def data_dir(tmp_path: Path) -> Generator[Path]:
    """One that is not there yet."""
    path = tmp_path / "d"
    yield path
    kill_all(path)


@pytest.fixture(scope="session")
def pristine_cluster(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data_dir = tmp_path_factory.mktemp("pristine")
    query_as_a_new_user(data_dir)
    wait_until_stopped(data_dir)
    return data_dir / "postgres"


@pytest.fixture
def used_data_dir(data_dir: Path, pristine_cluster: Path) -> Path:
    """One with a cluster in it: making each anew would take most of the time of these tests."""
    data_dir.mkdir(mode=0o700)
    subprocess.run(["cp", "-a", str(pristine_cluster), str(data_dir)], check=True)
    return data_dir
