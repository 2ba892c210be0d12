"""Databases that somebody else has set up: what can work works, and what cannot is named."""

import signal
from collections.abc import AsyncGenerator, Callable, Generator
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql

from support.clients import RawClient, environment, raw_client
from support.databases import fresh_database
from support.ground_truth import ask, check_promise
from support.pgbouncer import pgbouncer, server_url, trusting_postgres

pytestmark = pytest.mark.xdist_group("foreign-databases")


def assert_it_works(url: str, *, meanwhile: Callable[[], None] = lambda: None) -> None:
    """An entry is written, read, and settled by a workflow."""
    with raw_client(environment(database_url=url)) as client:
        write_and_read(client)
        client.create("A second one, for the workflow.")
        check_promise(url)
        meanwhile()


def write_and_read(client: RawClient) -> None:
    made = client.create("Déjà vu → ✓", date="2024-03-05T09:30:00Z", importance=0.1)
    read = client.call("diary_get", entry_id=made["id"]).data
    assert (read["content"], read["date"]) == ("Déjà vu → ✓", "2024-03-05T09:30:00Z")


def assert_it_tells(url: str, *words: str) -> None:
    with raw_client(environment(database_url=url)) as client:
        for _ in range(2):
            answer = client.call("diary_create", content="x")
            assert answer.code == "unavailable"
            for word in words:
                assert word in answer.text
        assert client.process.poll() is None


def name_of(url: str) -> str:
    return urlsplit(url).path.removeprefix("/")


def socket_of(url: str) -> str:
    return parse_qs(urlsplit(url).query)["host"][0]


@pytest.fixture
async def empty_url(postgres_url: str) -> AsyncGenerator[str]:
    """A database without a diary."""
    async with fresh_database(postgres_url) as url:
        ask(url, "drop schema diary cascade")
        ask(url, "drop schema dbos cascade")
        ask(url, "drop table public.diary_migration")
        yield url


@pytest.fixture
def foreign_url(postgres_url: str) -> Generator[str]:
    """An empty database of this name, which a test makes and this fixture drops."""
    name = f"foreign_{uuid4().hex}"
    yield postgres_url.replace("/diary?", f"/{name}?")
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(
            sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name))
        )


@pytest.mark.anyio
async def test_a_database_with_other_settings_works(empty_url: str) -> None:
    for setting in (
        "datestyle = 'SQL, DMY'",
        "intervalstyle = 'sql_standard'",
        "timezone = 'Asia/Kathmandu'",
        "extra_float_digits = -3",
        "bytea_output = 'escape'",
        "client_encoding = 'LATIN1'",
        "default_transaction_isolation = 'serializable'",
        "standard_conforming_strings = off",
        "idle_session_timeout = '300ms'",
    ):
        ask(empty_url, f'alter database "{name_of(empty_url)}" set {setting}')

    assert_it_works(empty_url)


@pytest.mark.anyio
async def test_options_of_the_url_are_kept_beside_ours(database_url: str) -> None:
    options = quote("-c datestyle=German -c work_mem=5MB -c statement_timeout=7s")

    def is_named_so() -> None:
        assert ask(
            database_url,
            "select count(*) > 0 from pg_stat_activity where application_name = 'mine'",
        ) == [(True,)]

    url = f"{database_url}&options={options}&application_name=mine"
    assert_it_works(url, meanwhile=is_named_so)


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
def test_an_encoding_that_cannot_hold_a_diary_is_named(
    postgres_url: str, foreign_url: str, encoding: str
) -> None:
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(
            sql.SQL(
                "create database {} encoding {} template template0 locale_provider libc locale 'C'"
            ).format(sql.Identifier(name_of(foreign_url)), encoding)
        )

    assert_it_tells(foreign_url, encoding, "UTF8")


@pytest.mark.anyio
async def test_the_host_that_answers_is_found_among_several(
    database_url: str, subtests: pytest.Subtests
) -> None:
    path, name = socket_of(database_url), name_of(database_url)
    for url in (
        f"postgresql://diary@/{name}?host=/nowhere,{quote(path)}&port=5432,5432",
        f"postgresql://diary@{quote(path, safe='')}/{name}",
    ):
        with subtests.test(url), raw_client(environment(database_url=url)) as client:
            write_and_read(client)
    url = f"postgres://diary@127.0.0.1:1,{quote(path, safe='')}:5432/{name}"
    with subtests.test(url):
        assert_it_works(f"{url}?target_session_attrs=read-write")


@pytest.mark.anyio
async def test_a_schema_of_somebody_else_is_named(empty_url: str) -> None:
    ask(empty_url, "create schema diary")

    assert_it_tells(empty_url, "schema `diary`", name_of(empty_url))


@pytest.mark.anyio
async def test_a_read_only_database_says_so(database_url: str) -> None:
    ask(
        database_url,
        f'alter database "{name_of(database_url)}" set default_transaction_read_only = on',
    )

    assert_it_tells(database_url, "read-only")


@pytest.mark.anyio
async def test_a_read_only_database_without_a_diary_says_so(empty_url: str) -> None:
    ask(empty_url, f'alter database "{name_of(empty_url)}" set default_transaction_read_only = on')

    assert_it_tells(empty_url, "read-only")


@pytest.fixture(scope="module")
def trusting_port(tmp_path_factory: pytest.TempPathFactory) -> Generator[int]:
    with trusting_postgres(tmp_path_factory.mktemp("trusting")) as port:
        yield port


@pytest.fixture
def fresh_name(trusting_port: int) -> str:
    name = f"diary_{uuid4().hex}"
    with psycopg.connect(server_url(trusting_port), autocommit=True) as connection:
        connection.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
    return name


def test_pgbouncer_in_session_mode_works(
    tmp_path: Path, trusting_port: int, fresh_name: str
) -> None:
    with pgbouncer(tmp_path, trusting_port, "session") as url:
        assert_it_works(url.replace("/postgres", f"/{fresh_name}"))


@pytest.mark.parametrize(("mode", "pool_size"), [("transaction", 20), ("transaction", 1)])
def test_pgbouncer_in_transaction_mode_is_named(
    tmp_path: Path, trusting_port: int, fresh_name: str, mode: str, pool_size: int
) -> None:
    with pgbouncer(tmp_path, trusting_port, mode, pool_size=pool_size) as url:
        assert_it_tells(url.replace("/postgres", f"/{fresh_name}"), "transaction mode")

    assert ask(server_url(trusting_port, fresh_name), "select to_regnamespace('diary')") == [
        (None,)
    ]


def test_pgbouncer_with_too_few_connections_is_named(
    tmp_path: Path, trusting_port: int, fresh_name: str
) -> None:
    with pgbouncer(tmp_path, trusting_port, "session", pool_size=1) as url:
        assert_it_tells(url.replace("/postgres", f"/{fresh_name}"), "pool size")


LIBPQ = {
    "PGSERVICE": "mydb",
    "PGSERVICEFILE": "/nowhere",
    "PGDATESTYLE": "SQL, DMY",
    "PGTZ": "Asia/Kathmandu",
    "PGOPTIONS": "-c default_transaction_read_only=on",
    "PGHOST": "example.org",
    "PGPORT": "1",
    "PGUSER": "somebody",
    "PGDATABASE": "other",
    "PGCLIENTENCODING": "LATIN1",
    "PGSSLMODE": "verify-full",
    "PGTARGETSESSIONATTRS": "standby",
    "PGREQUIREAUTH": "scram-sha-256",
    "PGCONNECT_TIMEOUT": "nonsense",
}


def test_no_variable_of_libpq_reaches_the_embedded_database(tmp_path: Path) -> None:
    with raw_client(environment(data_dir=tmp_path) | LIBPQ) as client:
        made = client.create()
        read = client.call("diary_get", entry_id=made["id"]).data
        assert read["content"] == "What happened."
        client.process.send_signal(signal.SIGTERM)
        client.wait()
