"""What was deleted, also off the disk of the embedded database."""

import anyio
import psycopg
from psycopg.rows import scalar_row

from diary_mcp.domain.errors import UnavailableError
from diary_mcp.store.database import LONGEST_STATEMENT_S, Connection, connect, fetch_count
from diary_mcp.store.sql import load_queries
from diary_mcp.store.takeover import STANDBY

_PATIENCE_S = 30
_LOOK_EVERY_S = 0.1

_SQL = load_queries("purging")


async def purge(url: str) -> None:
    """Rewrites the tables without what is deleted in them, and ends the log of it.

    Deletes nothing. Reads and writes of a table wait while it is rewritten, which takes about as
    long as to copy it; killed in the middle, it leaves each table as it was or as it is to be.

    Args:
        url: of the embedded database's owner.

    Raises:
        UnavailableError: a table was in use for 30 s, or no answer.
    """
    async with connect(url, longest_wait_s=LONGEST_STATEMENT_S) as connection:
        await connection.execute(_SQL["limit_waiting"])
        try:
            await _wait_for_older(connection)
            await connection.execute(_SQL["rewrite_tables"])
            await connection.execute(_SQL["forget_statistics"])
            await _wait_for_older(connection)
            await connection.execute(_SQL["rewrite_statistics"])
        except (TimeoutError, psycopg.errors.LockNotAvailable) as error:
            raise UnavailableError(
                "Somebody has been using what was deleted, or a table, for 30 s: it is still on "
                "the disk. Run `diary-mcp purge` again, or without servers."
            ) from error
        await connection.execute(_SQL["end_segment"])
        for _ in range(2):
            await connection.execute(_SQL["let_go_of_segments"])


async def _wait_for_older(connection: Connection) -> None:
    """Waits for every transaction that may see what was deleted: vacuum keeps it for them.

    Raises:
        TimeoutError: one goes on for 30 s.
    """
    cursor = connection.cursor(row_factory=scalar_row)
    number = await (await cursor.execute(_SQL["take_number"])).fetchone()
    await connection.execute(_SQL["wake_standby"], {"standby": STANDBY})
    with anyio.fail_after(_PATIENCE_S):
        while await fetch_count(connection, _SQL["count_older"], {"number": number}):  # noqa: ASYNC110  # nothing tells
            await anyio.sleep(_LOOK_EVERY_S)
