from collections.abc import AsyncGenerator

import pytest

from diary_mcp.app import open_foundation
from diary_mcp.settings import Settings
from support.databases import fresh_database
from support.page import PageSite


@pytest.fixture(scope="module")
async def pages(postgres_url: str) -> AsyncGenerator[PageSite]:
    """The page for people, on one diary for all tests of a module: each has agents of its own."""
    async with (
        fresh_database(postgres_url) as url,
        open_foundation(Settings(database_url=url)) as foundation,
    ):
        yield PageSite(foundation, url)
