"""A real PostgreSQL for tests, and an empty migrated database for each of them.

In order: `DIARY_MCP_TEST_DATABASE_URL`; a container where an engine runs and
`DIARY_MCP_TEST_CONTAINERS` is set; else the embedded PostgreSQL, one server for the whole run.
"""

import os
import shutil
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import psycopg
from anyio.from_thread import start_blocking_portal
from psycopg import sql

from diary_mcp.migrating import open_migrated_database
from diary_mcp.postgres.embedded import embedded_postgres
from diary_mcp.settings import Settings
from support.paths import keys_of

_TEMPLATE = "diary_test_template"
_CREATION_LOCK = 20_260_131

_CATALOGS = {
    "pg_catalog.pg_attrdef": "oid",
    "pg_catalog.pg_attribute": "attrelid",
    "pg_catalog.pg_class": "oid",
    "pg_catalog.pg_constraint": "oid",
    "pg_catalog.pg_db_role_setting": "setdatabase",
    "pg_catalog.pg_index": "indexrelid",
    "pg_catalog.pg_namespace": "oid",
    "pg_catalog.pg_proc": "oid",
    "pg_catalog.pg_rewrite": "oid",
    "pg_catalog.pg_statistic": "starelid",
    "pg_catalog.pg_trigger": "oid",
    "pg_catalog.pg_type": "oid",
}
"""What changes with a schema, a setting or an `analyze`, each with the column of its objects."""

_FIRST_OBJECT = 16_384
"""Those before it are PostgreSQL's own."""

_NEWEST = "max(xmin::text::bigint)"
"""The transaction that has last written a row."""

_MANY_ROWS = 2_000
_TABLES = """
select format('%I.%I', schemaname, tablename)
from pg_catalog.pg_tables
where schemaname in ('dbos', 'diary', 'public')
"""
_END_OTHERS = """
select pg_terminate_backend(pid, 5000)
from pg_catalog.pg_stat_activity
where
    datname = current_database()
    and backend_type = 'client backend'
    and pid <> pg_backend_pid()
"""
_BEGIN_SEQUENCES = """
select setval(format('%I.%I', schemaname, sequencename)::regclass, start_value, false)
from pg_catalog.pg_sequences
"""


@contextmanager
def postgres_server(shared_dir: Path) -> Generator[str]:
    """The URL of a database on a running server. All processes of a run share one server."""
    url = os.environ.get("DIARY_MCP_TEST_DATABASE_URL")
    if url:
        yield url
    elif os.environ.get("DIARY_MCP_TEST_CONTAINERS"):
        # A second to import, for what few runs ask for.
        from testcontainers.community.postgres import PostgresContainer  # noqa: PLC0415

        with PostgresContainer("pgvector/pgvector:pg18", driver=None) as container:
            yield container.get_connection_url()
    else:
        with (
            start_blocking_portal() as portal,
            portal.wrap_async_context_manager(embedded_postgres(shared_dir)) as embedded_url,
        ):
            _make_careless(embedded_url)
            yield embedded_url


def _make_careless(server_url: str) -> None:
    """Nothing here has to outlive the machine, and a database for each test is much to write."""
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute("alter system set fsync = off")
        connection.execute("alter system set full_page_writes = off")
        connection.execute("alter system set max_wal_size = '1GB'")
        connection.execute("select pg_reload_conf()")


async def create_template(server_url: str) -> None:
    """Makes the migrated database that the tests' databases are copied from, once a run."""
    async with await psycopg.AsyncConnection.connect(server_url, autocommit=True) as connection:
        await connection.execute("select pg_advisory_lock(%s)", (_CREATION_LOCK,))
        cursor = await connection.execute(
            "select from pg_database where datname = %s and datistemplate", (_TEMPLATE,)
        )
        if await cursor.fetchone() is not None:
            return
        name = sql.Identifier(_TEMPLATE)
        await connection.execute(sql.SQL("drop database if exists {}").format(name))
        await connection.execute(sql.SQL("create database {}").format(name))
        async with open_migrated_database(Settings(database_url=_on(server_url, _TEMPLATE))) as url:
            await _add_backend_calls(url)
        await connection.execute(sql.SQL("alter database {} is_template true").format(name))


@asynccontextmanager
async def fresh_database(server_url: str) -> AsyncGenerator[str]:
    """A copy of the template for one test."""
    url = _copy_template(server_url)
    yield url
    _drop(server_url, url)


class Databases:
    """Copies of the template, each lent to one test after another: emptied, not made anew.

    To empty one takes a fraction of the work. One of which more than rows was changed, or which
    held many, is dropped: no test finds what another has left.
    """

    def __init__(self, server_url: str) -> None:
        self._server_url = server_url
        self._free: list[_Copy] = []

    @contextmanager
    def lend(self) -> Generator[str]:
        copy = self._free.pop() if self._free else _Copy(_copy_template(self._server_url))
        try:
            yield copy.url
        finally:
            if copy.restore():
                self._free.append(copy)
            else:
                self._drop(copy)

    def drop(self) -> None:
        for copy in self._free:
            self._drop(copy)

    def _drop(self, copy: "_Copy") -> None:
        copy.close()
        _drop(self._server_url, copy.url)


class _Copy:
    """A copy of the template, with what it takes to see that it still is one.

    Its connection stays: a new one would read the whole catalog first.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._connection = psycopg.connect(url, autocommit=True)
        # Without triggers: they would refuse, or note it.
        self._connection.execute("set session_replication_role = replica")
        tables = [str(name) for (name,) in self._connection.execute(_TABLES).fetchall()]
        restoring = [f"delete from {name}" for name in tables]
        for number, name in enumerate(filter(self._has_rows, tables)):
            self._connection.execute(
                f"create temporary table kept_{number} as table {name}".encode()
            )
            restoring.append(f"insert into {name} table kept_{number}")
        self._restoring = ";".join(restoring)
        self._looks = " union all ".join(
            f"select count(*), {_NEWEST} from {name} where {column} >= {_FIRST_OBJECT}"
            for name, column in _CATALOGS.items()
        )
        self._as_made = self._look()

    def restore(self) -> bool:
        """Gives it the rows that it had; whether it is a copy again."""
        shutil.rmtree(keys_of(self.url), ignore_errors=True)
        try:
            self._connection.execute(_END_OTHERS)
            if self._look() != self._as_made:
                return False
            changed = self._restore_rows()
            self._connection.execute(_BEGIN_SEQUENCES)
        except psycopg.OperationalError:
            # Some tests end all connections there are.
            return False
        return changed <= _MANY_ROWS

    def close(self) -> None:
        self._connection.close()

    def _restore_rows(self) -> int:
        cursor = self._connection.execute(self._restoring.encode())
        changed = cursor.rowcount
        while cursor.nextset():
            changed += cursor.rowcount
        return changed

    def _look(self) -> list[tuple[object, ...]]:
        return self._connection.execute(self._looks.encode()).fetchall()

    def _has_rows(self, table: str) -> bool:
        return self._connection.execute(f"select from {table} limit 1".encode()).rowcount > 0


async def _add_backend_calls(url: str) -> None:
    """Where the workflow tests note what their permission backend was asked."""
    async with await psycopg.AsyncConnection.connect(url) as connection:
        await connection.execute(
            "create table public.backend_call (call text, entry_id uuid, alone boolean,"
            " at timestamptz not null default clock_timestamp())"
        )


def _copy_template(server_url: str) -> str:
    name = f"diary_test_{uuid4().hex}"
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(
            # A fourth of the work of a copy through the write-ahead log.
            sql.SQL("create database {} template {} strategy file_copy").format(
                sql.Identifier(name), sql.Identifier(_TEMPLATE)
            )
        )
    return _on(server_url, name)


def _drop(server_url: str, url: str) -> None:
    name = urlsplit(url).path.removeprefix("/")
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))
    shutil.rmtree(keys_of(url), ignore_errors=True)


def _on(server_url: str, database: str) -> str:
    return urlunsplit(urlsplit(server_url)._replace(path=f"/{database}"))
