"""DBOS as other processes of a deployment would run it."""

from dbos import DBOS, DBOSConfig

from diary_mcp.domain.fields import EntryId
from diary_mcp.service.ports.workflows import APPLICATION_NAME
from diary_mcp.workflows.dbos_process import (
    APPLICATION_VERSION,
    DBOS_SCHEMA,
    DbosProcess,
)
from support.workflows import Diary, connect_to


async def claim(diary: Diary, entry_id: EntryId, executor_id: str) -> None:
    """Makes the entry's workflows look like work that an executor has started long ago."""
    await diary.query(
        "update dbos.workflow_status set status = 'PENDING', executor_id = %s,"
        " owner_xid = 'claim', recovery_attempts = 1, started_at_epoch_ms = 1000,"
        " application_version = %s where queue_partition_key = %s",
        executor_id,
        APPLICATION_VERSION,
        str(entry_id),
    )


def launch_as(database_url: str, executor_id: str) -> None:
    """Starts DBOS under this id, listening to no queue, until it has recovered its work."""
    process = DbosProcess(connect_to(database_url))
    DBOS(
        config=DBOSConfig(
            name=APPLICATION_NAME,
            system_database_engine=process.engine,
            dbos_system_schema=DBOS_SCHEMA,
            application_version=APPLICATION_VERSION,
            executor_id=executor_id,
        )
    )
    try:
        DBOS.listen_queues([])
        DBOS.launch()
        while DBOS.list_workflows(executor_id=executor_id, status="PENDING"):
            pass
    finally:
        process.destroy()
