"""The embedded PostgreSQL as one process sees it: started, used, cancelled, left."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncGenerator
from pathlib import Path

import anyio
import psycopg
import pytest
import sqlalchemy

from diary_mcp.postgres.embedded import embedded_postgres
from diary_mcp.postgres.processes import find_postmaster
from support.postgres_user import ask
from support.postgres_users import server_processes_of, wait_until_stopped

pytest_plugins = ["support.postgres_fixtures"]
pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[str]:
    async with embedded_postgres(tmp_path_factory.mktemp("running")) as url:
        yield url


def permissions(path: Path) -> int:
    return path.stat().st_mode & 0o777


async def test_an_empty_directory_becomes_a_private_database_of_our_own(data_dir: Path) -> None:
    async with embedded_postgres(data_dir) as url:
        who = ask(url, "select current_database(), current_user, current_setting('TimeZone')")
        encoding = ask(url, "select current_setting('server_encoding')")
        listening = ask(url, "select current_setting('listen_addresses')")

    assert who == ("diary", "diary", "UTC")
    assert encoding == "UTF8"
    assert listening == ""
    assert permissions(data_dir) == 0o700
    assert permissions(data_dir / "postgres") == 0o700


@pytest.mark.parametrize("setting", ["fsync", "synchronous_commit", "full_page_writes"])
async def test_what_is_acknowledged_is_on_disk(running: str, setting: str) -> None:
    value = ask(running, f"select current_setting('{setting}')")

    assert value == "on"


@pytest.mark.parametrize("extension", ["vector", "pg_trgm", "unaccent"])
async def test_the_extensions_that_search_needs_are_there(running: str, extension: str) -> None:
    found = ask(running, f"select name from pg_available_extensions where name = '{extension}'")

    assert found == extension


async def test_text_search_knows_letters_from_typographic_punctuation(running: str) -> None:
    words = ask(running, "select to_tsvector('simple', '“ÉCOLE”—Straße')::text")

    assert words == "'straße':2 'école':1"


async def test_trigrams_know_accented_letters(running: str) -> None:
    with psycopg.connect(running) as connection:
        connection.execute("create extension if not exists pg_trgm")

    similarity = ask(running, "select similarity('élève', 'ÉLÈVE') , similarity('élève', 'lv')")

    assert similarity == (1, 0)


async def test_the_url_serves_sqlalchemy_as_well(running: str) -> None:
    engine = sqlalchemy.create_engine(running.replace("postgresql:", "postgresql+psycopg:", 1))

    with engine.connect() as connection:
        who = connection.scalar(sqlalchemy.text("select current_user"))
    engine.dispose()

    assert who == "diary"


async def test_a_second_start_finds_what_the_first_one_wrote(used_data_dir: Path) -> None:
    async with embedded_postgres(used_data_dir) as url:
        with psycopg.connect(url) as connection:
            connection.execute("create table remark as select 'kept' as words")

    async with embedded_postgres(used_data_dir) as url:
        words = ask(url, "select words from remark")

    assert words == "kept"


async def test_the_last_one_out_stops_the_server_and_no_one_before(used_data_dir: Path) -> None:
    async with embedded_postgres(used_data_dir):
        async with embedded_postgres(used_data_dir):
            pass

        still_there = server_processes_of(used_data_dir)

    assert still_there
    wait_until_stopped(used_data_dir)


@pytest.mark.parametrize(
    "name",
    ["with 'quotes\" and spaces 100%25+?&#=ü", "one,two", "long-" + "x" * 120],
    ids=["odd characters", "looks like two hosts", "longer than a socket's path may be"],
)
async def test_any_name_of_the_directory_will_do(tmp_path: Path, name: str) -> None:
    data_dir = tmp_path / name

    async with embedded_postgres(data_dir) as url:
        served = ask(url, "select current_setting('data_directory')")
        engine = sqlalchemy.create_engine(url.replace("postgresql:", "postgresql+psycopg:", 1))
        with engine.connect() as connection:
            also = connection.scalar(sqlalchemy.text("show data_directory"))
        engine.dispose()

    assert served == also == str(data_dir / "postgres")


async def test_a_relative_path_and_a_link_mean_the_directory_they_lead_to(
    used_data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = tmp_path / "link"
    link.symlink_to(used_data_dir)
    monkeypatch.chdir(tmp_path)
    urls: set[str] = set()

    async with embedded_postgres(used_data_dir) as url:
        urls.add(url)
    async with embedded_postgres(link) as url:
        urls.add(url)
    async with embedded_postgres(Path(used_data_dir.name)) as url:
        urls.add(url)

    assert len(urls) == 1


async def test_the_environment_of_another_postgresql_does_not_matter(
    used_data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PGHOST", "PGPORT", "PGUSER", "PGDATABASE", "PGDATA"):
        monkeypatch.setenv(name, "6543")

    async with embedded_postgres(used_data_dir) as url:
        who = ask(url, "select current_user")

    assert who == "diary"


async def test_the_event_loop_runs_on_while_the_server_starts(data_dir: Path) -> None:
    turns = turns_meanwhile = 0

    async def turn() -> None:
        nonlocal turns
        while True:
            await anyio.sleep(0.001)
            turns += 1

    async with anyio.create_task_group() as group:
        group.start_soon(turn)
        async with embedded_postgres(data_dir):
            turns_meanwhile = turns
        group.cancel_scope.cancel()

    assert turns_meanwhile > 20


@pytest.mark.parametrize("after_s", [0.0, 0.2, 0.4])
async def test_a_cancelled_start_leaves_nothing_behind(data_dir: Path, after_s: float) -> None:
    async def stay() -> None:
        async with embedded_postgres(data_dir):
            await anyio.sleep_forever()

    with anyio.move_on_after(after_s):
        await stay()

    wait_until_stopped(data_dir)
    async with embedded_postgres(data_dir) as url:
        assert ask(url, "select 1") == 1


async def test_a_start_cancelled_the_asyncio_way_leaves_nothing_behind(data_dir: Path) -> None:
    async def stay() -> None:
        async with embedded_postgres(data_dir):
            await anyio.sleep_forever()

    task = asyncio.create_task(stay())
    await anyio.sleep(0.1)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task

    wait_until_stopped(data_dir)


async def test_a_server_that_dies_under_its_user_comes_back_under_the_same_url(
    used_data_dir: Path,
) -> None:
    async with embedded_postgres(used_data_dir) as url:
        for _ in range(2):
            with anyio.fail_after(60):
                await wait_until_watched()
            postmaster = find_postmaster(used_data_dir / "postgres")
            assert postmaster is not None
            postmaster.kill()

            with anyio.fail_after(60):
                assert await ask_until_answered(url) == 1


async def wait_until_watched() -> None:
    """Until a thread of this process waits for the end of the postmaster."""
    while not any(thread.name == "postmaster-end" for thread in threading.enumerate()):  # noqa: ASYNC110  # it tells nobody
        await anyio.sleep(0.02)


async def ask_until_answered(url: str) -> object:
    while True:
        try:
            return ask(url, "select 1")
        except psycopg.OperationalError:
            await anyio.sleep(0.02)
