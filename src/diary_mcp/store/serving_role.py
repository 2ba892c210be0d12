"""The role that serves the diary: what it needs, what it has, and what it need not have."""

from typing import LiteralString

from psycopg.rows import args_row

from diary_mcp.domain.errors import DatabaseUnavailableError
from diary_mcp.store.database import Connection, connect
from diary_mcp.store.migrations import lock_migrations
from diary_mcp.store.sql import load_queries

_SQL = load_queries("serving_role")
_NAMED = 5


async def let_serve(connection: Connection, role: str) -> None:
    """Grants `role` what it needs to serve, on a connection of the owner."""
    if not await _list(connection, _SQL["list_missing"], role):
        return
    # Several processes may start at once, and a grant that meets another fails.
    async with connection.transaction():
        await lock_migrations(connection)
        if await _list(connection, _SQL["list_missing"], role):
            await connection.execute(_SQL["let_serve"], {"role": role})


async def require_grants(connection: Connection) -> None:
    """Makes sure that whoever is signed in on the connection may serve.

    Raises:
        DatabaseUnavailableError: what is missing, by name.
    """
    missing = await _list(connection, _SQL["list_missing"], None)
    if missing:
        named = ", ".join(missing[:_NAMED])
        more = f" and {len(missing) - _NAMED} more" if len(missing) > _NAMED else ""
        user = connection.info.user
        raise DatabaseUnavailableError(
            f"The database user {user!r} lacks {named}{more}. Let the owner of the schema "
            f"`diary` run `select diary.let_serve('{user}')` once (docs/security.md)."
        )


async def list_excess(url: str) -> list[str]:
    """What whom `url` signs in can do beside serving, in words.

    Raises:
        DatabaseUnavailableError: no answer.
    """
    async with connect(url) as connection:
        return await _list(connection, _SQL["list_excess"], None)


async def _list(connection: Connection, statement: LiteralString, role: str | None) -> list[str]:
    cursor = connection.cursor(row_factory=args_row(str))
    await cursor.execute(statement, {"role": role})
    return await cursor.fetchall()
