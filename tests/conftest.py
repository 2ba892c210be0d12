"""Fixtures that more than one kind of test needs."""

from collections.abc import AsyncGenerator, Generator
from pathlib import Path

import anyio
import pytest

from diary_mcp.app import Foundation, open_foundation
from diary_mcp.settings import Settings
from support.databases import create_template, fresh_database, postgres_server


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
    with postgres_server(run_directory / "postgres") as url:
        anyio.run(create_template, url)
        yield url


@pytest.fixture
async def database_url(postgres_url: str) -> AsyncGenerator[str]:
    """A fresh, migrated database."""
    async with fresh_database(postgres_url) as url:
        yield url


@pytest.fixture
async def foundation(database_url: str) -> AsyncGenerator[Foundation]:
    """The diary on a fresh database, without workflows: nothing settles by itself."""
    async with open_foundation(Settings(database_url=database_url)) as opened:
        yield opened
