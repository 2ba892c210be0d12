"""The database, migrated. Beside the driver it imports little: the rest can come meanwhile."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from types import MappingProxyType

import anyio.to_thread
import structlog

from diary_mcp.opening import open_postgres
from diary_mcp.postgres.configuration import SERVING_ROLE
from diary_mcp.postgres.sockets import as_serving_role
from diary_mcp.settings import Settings
from diary_mcp.store.connecting import Limits, open_blocking_connection
from diary_mcp.store.database import LONGEST_STATEMENT_S, connect
from diary_mcp.store.migrations import apply_pending, making_workflow_schema, migrating
from diary_mcp.store.serving_role import let_serve, require_grants
from diary_mcp.store.workflow_queue import check_workflow_schema

_log = structlog.get_logger()

_LIMITS: Limits = MappingProxyType({"idle_in_transaction_session_timeout": "60s"})


@asynccontextmanager
async def open_migrated_database(settings: Settings) -> AsyncGenerator[str]:
    """The URL of the database, with our migrations and DBOS's applied, for whoever serves.

    The embedded one is served by a role that owns nothing of it.

    Raises:
        DatabaseUnavailableError: PostgreSQL cannot be started, reached or migrated.
    """
    async with open_postgres(settings) as url:
        yield await migrate_to_serve(url, settings)


async def migrate_to_serve(url: str, settings: Settings) -> str:
    """The same of a PostgreSQL that is open.

    Raises:
        DatabaseUnavailableError: PostgreSQL cannot be reached or migrated.
    """
    is_embedded = settings.database_url is None
    served = as_serving_role(url) if is_embedded else url
    async with migrating(url) as connection:
        for migration in await apply_pending(connection):
            _log.info("migration.applied", name=migration.name)
        if not is_embedded:
            await require_grants(connection)
        # Nearly every start: nothing is left to be done, on one connection.
        if await check_workflow_schema(connection):
            if is_embedded:
                await let_serve(connection, SERVING_ROLE)
            return served
    async with making_workflow_schema(url) as is_to_be_made:
        if is_to_be_made:
            await anyio.to_thread.run_sync(_migrate_dbos, url)
            _log.info("migration.applied", name="dbos")
    if is_embedded:
        async with connect(url) as connection:
            await let_serve(connection, SERVING_ROLE)
    return served


def _migrate_dbos(url: str) -> None:
    from diary_mcp.workflows.dbos_process import migrate_dbos  # noqa: PLC0415  # imports DBOS

    migrate_dbos(
        partial(open_blocking_connection, url, _LIMITS, longest_wait_s=LONGEST_STATEMENT_S)
    )
