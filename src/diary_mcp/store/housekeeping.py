"""Rows that nobody needs any more: finished workflows, and answers to old create calls."""

from datetime import timedelta
from typing import LiteralString

from diary_mcp.service.ports.workflows import APPLICATION_NAME
from diary_mcp.store.database import Database, fetch_flag
from diary_mcp.store.sql import load_queries

_SQL = load_queries("housekeeping")
_ROWS_PER_TRANSACTION = 1000
# Longer than anybody repeats a call: an id that is gone could be used again.
_KEEP = timedelta(days=7)


class PostgresHousekeeping:
    """`Housekeeping` in batches, so that no transaction is long."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def tidy(self) -> int:
        """Removes everything that is a week old, or leaves it to the process that is at it.

        Returns:
            How many workflows and create calls were removed.

        Raises:
            DatabaseUnavailableError: PostgreSQL gives no answer in time; what was removed before
                that stays removed.
        """
        workflows = await self._remove(_SQL["remove_finished"])
        return workflows + await self._remove(_SQL["remove_requests"])

    async def _remove(self, statement: LiteralString) -> int:
        total = 0
        while True:
            async with self._database.transaction() as connection:
                if not await fetch_flag(connection, _SQL["lock_housekeeping"], {}):
                    return total
                cursor = await connection.execute(
                    statement,
                    {
                        "application": APPLICATION_NAME,
                        "keep": _KEEP,
                        "limit": _ROWS_PER_TRANSACTION,
                    },
                )
            total += cursor.rowcount
            if cursor.rowcount < _ROWS_PER_TRANSACTION:
                return total
