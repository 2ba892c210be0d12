"""Migrations: plain SQL files, applied in name order, each in one transaction.

Several processes may start at once: an advisory lock lets them migrate one after another, and
each finds done what another did. A file that was edited after it was applied is refused; one that
was only given another name is known by its bytes, and the ledger takes the name over.
"""

import hashlib
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import LiteralString, NamedTuple, cast

import anyio
import psycopg
from psycopg import errors
from psycopg.rows import class_row

from diary_mcp.domain.errors import DatabaseUnavailableError
from diary_mcp.package_data import resource_path
from diary_mcp.store.bounded_connection import BoundedConnection
from diary_mcp.store.database import LONGEST_STATEMENT_S, Connection, connect, fetch_flag
from diary_mcp.store.sql import load_queries
from diary_mcp.store.workflow_queue import check_workflow_schema

_SQL = load_queries("migration")
_LONGEST_MAKING_S = 30.0
_LOOK_S = 0.1


class Migration(NamedTuple):
    """One file, or what the ledger says of one."""

    name: str
    sha256: str


async def pending_migrations(url: str) -> list[Migration]:
    """Files that the database has not seen, in the order in which they will be applied.

    Raises:
        DatabaseUnavailableError: no answer, a file that was edited, or a schema that is not ours.
    """
    async with migrating(url) as connection:
        return await _pending(connection)


async def is_database_empty(url: str) -> bool:
    """Whether there is no diary in the database, not even one without entries.

    Raises:
        DatabaseUnavailableError: no answer.
    """
    async with migrating(url) as connection:
        return not await fetch_flag(connection, _SQL["schema_exists"], {})


async def migrate(url: str) -> list[Migration]:
    """Applies what is pending; each file entirely or not at all.

    Returns:
        What this call applied; empty where another process was first.

    Raises:
        DatabaseUnavailableError: as for `pending_migrations`, or a file failed; the files
            before it stay applied.
    """
    async with migrating(url) as connection:
        return await apply_pending(connection)


async def apply_pending(connection: BoundedConnection) -> list[Migration]:
    """The same on a connection of `migrating`."""
    applied: list[Migration] = []
    while await _pending(connection):
        with connection.waiting_at_most(LONGEST_STATEMENT_S):
            applied += await _apply_next(connection)
    return applied


async def _apply_next(connection: Connection) -> list[Migration]:
    """Applies one; none where another process was first."""
    async with connection.transaction():
        await lock_migrations(connection)
        await connection.execute(_SQL["bound_waiting"])
        await connection.execute(_SQL["create_ledger"])
        await _take_over_names(connection)
        following = (await _pending(connection))[:1]
        for migration in following:
            await _apply(connection, migration)
    return following


async def lock_migrations(connection: Connection) -> None:
    """Until the transaction ends, nobody else changes the schema or who may use it."""
    await connection.execute(_SQL["lock_migrations"])


@asynccontextmanager
async def making_workflow_schema(
    url: str, *, longest_wait_s: float = _LONGEST_MAKING_S
) -> AsyncGenerator[bool]:
    """Whether DBOS's own tables have to be made or changed; asks without importing DBOS.

    Who wants to make them waits for whoever is at it, and then finds them: a process that has
    imported DBOS keeps more memory to its end. It does not wait for ever, and two at once
    do no harm.

    Raises:
        DatabaseUnavailableError: no answer.
    """
    async with migrating(url) as connection:
        if await check_workflow_schema(connection):
            yield False
            return
        # Not inside PostgreSQL: a statement that waits keeps a snapshot, and DBOS makes indexes
        # concurrently, which waits for everybody who has one.
        until = time.monotonic() + longest_wait_s
        while not await fetch_flag(connection, _SQL["lock_workflow_schema"], {}):
            if time.monotonic() > until:
                break
            await anyio.sleep(_LOOK_S)
        yield not await check_workflow_schema(connection)


async def _apply(connection: Connection, migration: Migration) -> None:
    text = (resource_path("migrations") / migration.name).read_text("utf-8")
    try:
        # The file ships with the package and holds no user input.
        await connection.execute(cast("LiteralString", text))
    except (errors.InsufficientPrivilege, psycopg.OperationalError):
        raise
    except psycopg.Error as error:
        raise DatabaseUnavailableError(
            f"Migration {migration.name} does not fit this database ({_first_line(error)}). Give "
            "diary-mcp a database of its own."
        ) from error
    await connection.execute(
        _SQL["record_migration"], {"name": migration.name, "sha256": migration.sha256}
    )


async def _take_over_names(connection: Connection) -> None:
    files = _files()
    await connection.execute(
        _SQL["rename_migrations"],
        {
            "names": [migration.name for migration in files],
            "hashes": [migration.sha256 for migration in files],
        },
    )


async def _pending(connection: Connection) -> list[Migration]:
    # In this order: another process may be making both at this moment.
    has_schema = await fetch_flag(connection, _SQL["schema_exists"], {})
    applied = {migration.name: migration.sha256 for migration in await _ledger(connection)}
    if has_schema and not applied:
        raise DatabaseUnavailableError(
            f"The database {connection.info.dbname!r} has a schema `diary` that diary-mcp did not "
            "make. Give diary-mcp a database of its own, or rename that schema."
        )
    files = _files()
    for migration in files:
        if applied.get(migration.name, migration.sha256) != migration.sha256:
            raise DatabaseUnavailableError(
                f"Migration {migration.name} was edited after it was applied to this database. "
                "Install the release that applied it, or an unedited newer one."
            )
    by_bytes = set(applied.values())
    return [migration for migration in files if migration.sha256 not in by_bytes]


async def _ledger(connection: Connection) -> list[Migration]:
    if not await fetch_flag(connection, _SQL["ledger_exists"], {}):
        return []
    cursor = connection.cursor(row_factory=class_row(Migration))
    try:
        await cursor.execute(_SQL["list_applied"])
    except errors.InsufficientPrivilege as error:
        user = connection.info.user
        raise DatabaseUnavailableError(
            f"The database user {user!r} may not read public.diary_migration. Let the owner of the "
            f"schema `diary` run `select diary.let_serve('{user}')` once (docs/security.md)."
        ) from error
    return await cursor.fetchall()


def _files() -> list[Migration]:
    paths = sorted(resource_path("migrations").glob("*.sql"))
    return [Migration(path.name, hashlib.sha256(path.read_bytes()).hexdigest()) for path in paths]


@asynccontextmanager
async def migrating(url: str) -> AsyncGenerator[BoundedConnection]:
    """A connection to migrate on, in autocommit.

    Raises:
        DatabaseUnavailableError: no answer, or the user may not.
    """
    async with connect(url) as connection:
        try:
            yield connection
        except errors.InsufficientPrivilege as error:
            raise DatabaseUnavailableError(
                f"The database user {connection.info.user!r} may not migrate this database "
                f"({_first_line(error)}). Let its owner run `diary-mcp migrate` once."
            ) from error


def _first_line(error: psycopg.Error) -> str:
    return str(error).splitlines()[0]
