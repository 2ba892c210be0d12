"""Fixtures that more than one kind of test needs.

What a fixture alone needs is imported in it: unit tests begin seconds earlier without it.
"""

import gc
import os
import sys
from collections.abc import AsyncGenerator, Generator
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from xdist.remote import Producer  # pyright: ignore[reportMissingTypeStubs]

    from diary_mcp.app import Foundation
    from support.databases import Databases
    from support.scheduling import ByFileOrGroup

# Hundreds of children are started: where no bytecode is kept, each compiles for seconds.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


def _has_room(folder: str) -> bool:
    try:
        found = os.statvfs(folder)
    except OSError:
        return False
    is_executable = not found.f_flag & os.ST_NOEXEC
    return is_executable and found.f_bavail * found.f_frsize >= 4 << 30


# A database for each test is five hundred files: to make them on a disk takes more processor time
# than most tests.
if sys.platform == "linux" and _has_room("/dev/shm"):
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", "/dev/shm")

# The same examples in every run, on a machine of any speed; `DIARY_MCP_TEST_HOSTILE` asks for new
# ones.
settings.register_profile(
    "steady",
    deadline=None,
    derandomize="DIARY_MCP_TEST_HOSTILE" not in os.environ,
    database=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("steady")


@pytest.hookimpl(optionalhook=True, wrapper=True)
def pytest_xdist_auto_num_workers() -> Generator[None, int, int]:
    """One more than there are cores: who waits for what was killed or cut off leaves one free."""
    cores = yield
    return cores if "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ else cores + 1


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: "Producer") -> "ByFileOrGroup":
    """Gives the tests of a file to one worker, which makes the module's fixtures once."""
    from support.scheduling import ByFileOrGroup

    return ByFileOrGroup(config, log)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Leaves what is imported alone: to look through it for garbage is a fourth of the work."""
    gc.disable()
    collected = yield
    gc.freeze()
    gc.enable()
    return collected


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def run_directory(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """A directory that all workers of this run share."""
    base = tmp_path_factory.getbasetemp()
    return base if worker_id == "master" else base.parent


@pytest.fixture(scope="session")
def postgres_url(run_directory: Path) -> Generator[str]:
    """A running PostgreSQL with the template of the tests' databases on it."""
    from support.databases import create_template, postgres_server

    with postgres_server(run_directory / "postgres") as url:
        anyio.run(create_template, url)
        yield url


@pytest.fixture(scope="session")
def databases(postgres_url: str) -> Generator["Databases"]:
    """This worker's."""
    from support.databases import Databases

    opened = Databases(postgres_url)
    yield opened
    opened.drop()


@pytest.fixture
def database_url(databases: "Databases") -> Generator[str]:
    """A migrated database without rows; another test may have had it before."""
    with databases.lend() as url:
        yield url


@pytest.fixture
async def foundation(database_url: str) -> AsyncGenerator["Foundation"]:
    """The diary on an empty database, without workflows: nothing settles by itself."""
    from diary_mcp.app import lay_foundation
    from diary_mcp.settings import Settings

    async with lay_foundation(database_url, Settings(database_url=database_url)) as opened:
        yield opened
