"""DBOS in this process: what it is told, how it starts and how it ends. One at a time."""

import logging
import time
import warnings
from collections.abc import Callable, Sequence
from typing import cast

from dbos import DBOS, DBOSClient, DBOSConfig
from dbos._error import DBOSException
from dbos._sys_db import SystemDatabase
from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DisconnectionError, SQLAlchemyError
from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection

from diary_mcp.domain.errors import DatabaseUnavailableError
from diary_mcp.service.ports.workflows import (
    APPLICATION_NAME,
    DIARY_QUEUE,
    INDEXING_QUEUE,
    PERMISSION_QUEUE,
    PERMISSION_QUEUES,
    QUEUES,
    SIGNATURE_QUEUE,
    PollRate,
    PollRates,
)
from diary_mcp.workflows.json_rows import read_rows_as_json
from diary_mcp.workflows.ports import Connect, LastingConnection

DBOS_SCHEMA = "dbos"
# Constant: by default it is a hash of the workflows' source, and rows that are bound to the
# source of yesterday are run by nobody.
APPLICATION_VERSION = "diary-mcp"
_POOL_SIZE = 3
_POOL_TIMEOUT_S = 30
_THREADS = 16
# Work of one entry or diary runs one at a time; one run indexes whatever there is.
_PARTITION_CONCURRENCY = {
    PERMISSION_QUEUE: 1,
    DIARY_QUEUE: 1,
    INDEXING_QUEUE: None,
    SIGNATURE_QUEUE: None,
}
# Nobody waits for the index, and still less for what has expired. Diaries change seldom, and what
# this process changes of them it settles at once.
_TIMES_AS_SELDOM = {PERMISSION_QUEUE: 1, DIARY_QUEUE: 4, INDEXING_QUEUE: 2, SIGNATURE_QUEUE: 4}
_SHORTEST_POLLING_S = {
    PERMISSION_QUEUE: 0.0,
    DIARY_QUEUE: 1.0,
    INDEXING_QUEUE: 0.25,
    SIGNATURE_QUEUE: 1.0,
}
# Polling is what an idle server costs. What this process changes it also settles at once, see
# `service/eager_settlement.py`; the queue has the rest: what others left, and what failed at first.
# While that waits, the queue is polled more often; while many changes come and all of them are
# settled at once, hardly anything is taken from it. Not by a longer interval: DBOS comes back from
# one in steps of a tenth.
PACES = PollRates(idle=PollRate(0.5, 2), busy=PollRate(0.1, 48), burst=PollRate(0.5, 1))
# DBOS wakes up so often to pass on events that are not used here; its end waits for it, too.
_NOTIFIER_INTERVAL_S = 0.1
_SILENCE_S = 60


def open_engine(connect: Connect) -> Engine:
    """DBOS's connections, opened as all others are; whoever opens it disposes of it.

    SQLAlchemy would read the URL in a way of its own: several hosts, and sockets, otherwise.
    """
    engine = create_engine(
        "postgresql+psycopg://",
        creator=cast("Callable[[], DBAPIConnection]", connect),
        pool_size=_POOL_SIZE,
        max_overflow=0,
        pool_timeout=_POOL_TIMEOUT_S,
    )
    # SQLAlchemy's own way to look is a statement before each transaction.
    event.listen(engine, "checkout", _refuse_dead)
    return engine


def _refuse_dead(
    connection: DBAPIConnection, _record: ConnectionPoolEntry, _proxy: PoolProxiedConnection
) -> None:
    """Lets the pool open a connection anew that may not last."""
    if not cast("LastingConnection", connection).seems_alive():
        raise DisconnectionError


def migrate_dbos(connect: Connect) -> None:
    """Brings DBOS's own tables up to date; safe beside others that do the same. Blocks.

    The queues are made, too: a launch that has to make them itself finds them a second later.

    Raises:
        DatabaseUnavailableError: PostgreSQL gives no answer, or refuses.
    """
    _quieten()
    engine = open_engine(connect)
    try:
        _migrate(engine)
        client = DBOSClient(
            system_database_engine=engine,
            dbos_system_schema=DBOS_SCHEMA,
            application_name=APPLICATION_NAME,
            retry_connection_errors=False,
            lazy=True,
            serializer=read_rows_as_json(),
        )
        try:
            for queue in QUEUES:
                client.register_queue(
                    queue,
                    partition_concurrency=_PARTITION_CONCURRENCY[queue],
                    worker_concurrency=_worker_concurrency(queue, PACES.idle),
                    polling_interval_sec=PACES.idle.interval_s,
                    on_conflict="never_update",
                )
        finally:
            client.destroy()
    except (SQLAlchemyError, DBOSException) as error:
        raise _unavailable(error) from error
    finally:
        engine.dispose()


def _migrate(engine: Engine) -> None:
    """What `DBOS.migrate` does, which takes nothing but a URL."""
    database = SystemDatabase.create(
        system_database_url="postgresql://",
        engine_kwargs={},
        engine=engine,
        schema=DBOS_SCHEMA,
        serializer=read_rows_as_json(),
        executor_id=None,
    )
    try:
        database.run_migrations()
    finally:
        database.destroy()


class DbosProcess:
    """DBOS with a loop and threads of its own: launched as often as wanted, one after the other.

    What DBOS is stands in globals of its module: one that ends takes along what starts meanwhile.
    From one launch to the next the engine is kept, which knows its statements, and no connection.
    """

    def __init__(self, connect: Connect) -> None:
        self.engine = open_engine(connect)
        self._registered = set[str]()

    def launch(
        self,
        executor_id: str,
        poll_rate: PollRate,
        register: Callable[[], None],
        *,
        queues: Sequence[str],
    ) -> None:
        """Starts it; `destroy` ends it. Blocks.

        Raises:
            DatabaseUnavailableError: PostgreSQL gives no answer; after `destroy` it can be tried
                again.
            UnsafeDbosError: DBOS would read rows in a way that could run what stands in them.
        """
        _quieten()
        config = _configuration(self.engine, executor_id)
        try:
            DBOS(config=config)
            register()
            DBOS.listen_queues(list(queues))
            DBOS.launch()
            self._register_queues(queues, poll_rate)
        except (SQLAlchemyError, DBOSException) as error:
            raise _unavailable(error) from error

    def destroy(self) -> None:
        """Ends it without waiting for its workflows: they stay pending in the database. Blocks."""
        # What is cut off would be told as failures.
        logging.getLogger("dbos").setLevel(logging.CRITICAL)
        warnings.filterwarnings(
            "ignore", "coroutine '.*' was never awaited", RuntimeWarning, "dbos"
        )
        DBOS.destroy(destroy_registry=True, workflow_completion_timeout_sec=0)
        self.engine.dispose()

    def _register_queues(self, queues: Sequence[str], poll_rate: PollRate) -> None:
        """Once is enough, unless somebody takes one away: it is most of what a launch costs."""
        self._registered &= {queue.name for queue in DBOS.list_queues()}
        for queue in queues:
            if queue in self._registered:
                continue
            DBOS.register_queue(
                queue,
                partition_concurrency=_PARTITION_CONCURRENCY[queue],
                worker_concurrency=_worker_concurrency(queue, poll_rate),
                polling_interval_sec=max(
                    _TIMES_AS_SELDOM[queue] * poll_rate.interval_s, _SHORTEST_POLLING_S[queue]
                ),
                # By default DBOS asks for each whether this is the latest version; all are.
                on_conflict="always_update",
            )
            self._registered.add(queue)


def _worker_concurrency(queue: str, poll_rate: PollRate) -> int:
    return poll_rate.at_once if queue in PERMISSION_QUEUES else 1


def _configuration(engine: Engine, executor_id: str) -> DBOSConfig:
    return DBOSConfig(
        name=APPLICATION_NAME,
        system_database_engine=engine,
        dbos_system_schema=DBOS_SCHEMA,
        application_version=APPLICATION_VERSION,
        executor_id=executor_id,
        max_executor_threads=_THREADS,
        notification_coalesce_sec=_NOTIFIER_INTERVAL_S,
        log_level="WARNING",
        enable_otlp=False,
        serializer=read_rows_as_json(),
    )


def _quieten() -> None:
    """Leaves warnings, now and then, to the handlers of the application.

    DBOS adds a handler of its own, and stops propagating, where its logger has none.
    """
    logger = logging.getLogger("dbos")
    logger.setLevel(logging.WARNING)
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())
    if not any(isinstance(present, _NowAndThen) for present in logger.filters):
        logger.addFilter(_NowAndThen())


class _NowAndThen(logging.Filter):
    """Lets every place in the code speak once in a while.

    While PostgreSQL is away, each thread of DBOS says so at each poll.
    """

    def __init__(self) -> None:
        super().__init__()
        self._spoke_at: dict[tuple[str, int], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        place = (record.pathname, record.lineno)
        now = time.monotonic()
        if now - self._spoke_at.get(place, -_SILENCE_S) < _SILENCE_S:
            return False
        self._spoke_at[place] = now
        return True


def _unavailable(error: SQLAlchemyError | DBOSException) -> DatabaseUnavailableError:
    reason = str(error).strip().splitlines()[0]
    return DatabaseUnavailableError(
        f"DBOS cannot use PostgreSQL ({reason}). `diary-mcp status` shows what is wrong."
    )
