"""What tests share: four servers on one database, two for each protocol era, and a browser."""

from collections.abc import AsyncGenerator, Generator
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from support.clients import Era, environment, raw_client
from support.databases import fresh_database
from support.ground_truth import check_promise
from support.sites import Deployment, own_database

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

_AGENTS: tuple[tuple[str, Era], ...] = (
    ("alice", "2025-11-25"),
    ("alice", "2026-07-28"),
    ("bob", "2026-07-28"),
    ("eve", "2025-11-25"),
)


@pytest.fixture(scope="session")
def shared_deployment(postgres_url: str) -> Generator[Deployment]:
    with own_database(postgres_url) as url, ExitStack() as servers:
        alice, elsewhere, bob, eve = (
            servers.enter_context(raw_client(environment(agent=agent, database_url=url), era=era))
            for agent, era in _AGENTS
        )
        for client in (alice, elsewhere, bob, eve):
            client.wait_until_up()
        yield Deployment(url, alice, elsewhere, bob, eve)
        check_promise(url)


@pytest.fixture
def site(shared_deployment: Deployment) -> Generator[Deployment]:
    """The shared deployment; every test leaves it alive, and its stdout clean."""
    yield shared_deployment
    assert [server.process.poll() for server in shared_deployment.servers] == [None] * 4
    assert [server.noise for server in shared_deployment.servers] == [[]] * 4


@pytest.fixture
async def database_url(postgres_url: str) -> AsyncGenerator[str]:
    """One that no process of a test before it knows."""
    async with fresh_database(postgres_url) as url:
        yield url


@pytest.fixture(scope="module")
def database(postgres_url: str) -> Generator[str]:
    """One for all tests of a module."""
    with own_database(postgres_url) as url:
        yield url


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Generator["Chrome"]:
    # What few tests need.
    from support.open_page import open_chromium  # noqa: PLC0415

    with open_chromium(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.fixture(scope="module")
def browser(chromium: "Chrome") -> Generator["Chrome"]:
    """The browser in a window of the module's own: its size, and what it prefers, end with it."""
    first = chromium.current_window_handle
    chromium.switch_to.new_window("window")
    yield chromium
    chromium.close()
    chromium.switch_to.window(first)
