"""The embedded PostgreSQL is killed with SIGKILL, all its processes, while clients write.

The servers live on, the one that notices first starts it again, and what was acknowledged is
there.
"""

import contextlib
from collections.abc import Generator
from functools import partial
from pathlib import Path

import psutil
import pytest

from support.clients import RawClient, environment
from support.ground_truth import check_promise, eventually
from support.load import Author, Logbook
from support.postgres_users import server_processes_of
from support.sites import add_agents, embedded_url

AUTHORS = ("ann", "ben")


@pytest.fixture
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture
def logbook() -> Logbook:
    return Logbook()


@pytest.fixture
def authors(data_dir: Path, logbook: Logbook) -> Generator[list[Author[RawClient]]]:
    writing = [
        Author(
            name,
            partial(RawClient, environment(agent=name, data_dir=data_dir)),
            seed,
            logbook,
            grantees=(AUTHORS[1 - seed], "cleo"),
        )
        for seed, name in enumerate(AUTHORS)
    ]
    writing[0].client.wait_until_up()
    add_agents(embedded_url(data_dir), *AUTHORS, "cleo")
    for author in writing:
        author.start()
    try:
        yield writing
    finally:
        for author in writing:
            author.stop()


def kill_database(data_dir: Path) -> None:
    killed = server_processes_of(data_dir)
    assert killed
    for process in killed:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()


def let_work(authors: list[Author[RawClient]]) -> None:
    """Returns when every author has got some more done."""
    done = {author: author.acknowledged for author in authors}
    eventually(lambda: all(author.acknowledged > done[author] + 6 for author in authors))


@pytest.mark.xdist_group("database-kills")
def test_servers_outlive_a_killed_database_and_lose_nothing_acknowledged(
    data_dir: Path, authors: list[Author[RawClient]], logbook: Logbook
) -> None:
    servers = [author.client.process.pid for author in authors]
    let_work(authors)
    kill_database(data_dir)
    let_work(authors)
    for author in authors:
        author.rest()

    url = embedded_url(data_dir)
    check_promise(url, within_s=90)
    logbook.check(url)
    assert [author.client.process.pid for author in authors] == servers
