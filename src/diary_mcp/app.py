"""The composition root: everything is opened, wired and closed here.

Opening is in two parts, because they cost differently. The foundation (database, migrations,
permission backend, diary) is what a tool call needs. The workflows come after it: importing and
launching DBOS costs more than all the rest, and a mutation only needs DBOS's tables.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import parse_qs, urlsplit

import anyio
import anyio.to_thread
import structlog

from diary_mcp.domain.chain import PublicKey
from diary_mcp.domain.credentials import CredentialDoor
from diary_mcp.domain.errors import DatabaseUnavailableError
from diary_mcp.domain.fields import AgentName
from diary_mcp.embeddings.choice import choose_embedder
from diary_mcp.keys.chain_memory import ChainMemoryFile
from diary_mcp.keys.key_files import AgentKeys, LocalSigner
from diary_mcp.lasting_imports import lasting_imports
from diary_mcp.migrating import open_migrated_database
from diary_mcp.permissions.embedded import EmbeddedPermissions
from diary_mcp.service.activity import Activity
from diary_mcp.service.agents.removal import RemovalService
from diary_mcp.service.agents.tokens import TokenService
from diary_mcp.service.chain.continuity import Continuity
from diary_mcp.service.chain.links import ChainSigning
from diary_mcp.service.diary import BackendNames, Diary, build_diary
from diary_mcp.service.entries.cursors import Cursors
from diary_mcp.service.index.eager_indexing import EagerIndexing
from diary_mcp.service.index.indexer import EntryIndexer
from diary_mcp.service.index.tokenizer import WordCounts
from diary_mcp.service.ports.settlement import DriftCounts, Grant
from diary_mcp.service.ports.workflows import QUEUES
from diary_mcp.service.sharing.common_look import CommonLook
from diary_mcp.service.sharing.eager_settlement import EagerSettlement
from diary_mcp.service.sharing.overdue_settlement import OverdueSettlement
from diary_mcp.service.sharing.reconciliation import Repairs, count_drift, preview, reconcile
from diary_mcp.service.sharing.settlement import settle
from diary_mcp.service.sharing.unanswered_writes import SecondLooks
from diary_mcp.service.telemetry import NO_TELEMETRY, Telemetry
from diary_mcp.settings import Settings
from diary_mcp.store.connecting import Limits, open_blocking_connection
from diary_mcp.store.database import Database, WaitLimits, open_database
from diary_mcp.store.drift import PostgresDriftFinder
from diary_mcp.store.entries import PostgresAnnouncements
from diary_mcp.store.housekeeping import PostgresHousekeeping
from diary_mcp.store.postgres import PostgresStore
from diary_mcp.store.relation_tuples import PostgresTuples
from diary_mcp.store.search_index import PostgresSearchIndex
from diary_mcp.store.settlements import PostgresSettlements
from diary_mcp.store.sweep import PostgresSweep
from diary_mcp.store.takeover import PostgresExecutors, PostgresStandby
from diary_mcp.store.tokens import PostgresTokens
from diary_mcp.workflows.chores import queue_chores
from diary_mcp.workflows.loop import end_tasks
from diary_mcp.workflows.ports import OpenRuntime, RuntimeStore, Work

if TYPE_CHECKING:
    from diary_mcp.permissions.keto import KetoPermissions

_log = structlog.get_logger()

_CALL_CONNECTIONS = 6
# An agent that thinks for a while finds the connection as it left it.
_CALL_IDLE_S = 20.0
_SETTLING_CONNECTIONS = 4
# It asks the permission backend in its transactions, for as long as that has something to say.
_SETTLING_WAITS = WaitLimits(transaction_s=0)
_BACKLOG_S = 15
# DBOS commits three times for every workflow that runs, and nobody waits for these commits. What a
# crash of PostgreSQL takes of them is how far workflows had come; those run again. That there is a
# workflow was committed by the unit of work, which does wait (docs/DBOS.md).
_ACCOUNT_LIMITS: Limits = MappingProxyType(
    {
        "statement_timeout": "30s",
        "idle_in_transaction_session_timeout": "15s",
        "synchronous_commit": "off",
    }
)
# By then PostgreSQL has ended the statement, where it can.
_ACCOUNT_WAIT_S = 40.0

PermissionBackend: TypeAlias = "EmbeddedPermissions | KetoPermissions"


@dataclass(frozen=True)
class Foundation:
    """What is open while the diary is up. Settling has connections of its own."""

    database_url: str
    database: Database
    settling_database: Database
    store: PostgresStore
    settlements: PostgresSettlements
    runtime_store: RuntimeStore
    import_runtime: Callable[[], OpenRuntime]
    """Imports DBOS; the same each time."""
    standby: PostgresStandby
    second_looks: SecondLooks
    eager_settlement: EagerSettlement
    eager_indexing: EagerIndexing
    permissions: PermissionBackend
    tokens: TokenService
    removals: RemovalService
    indexer: EntryIndexer
    signing: ChainSigning
    diary: Diary
    telemetry: Telemetry


@asynccontextmanager
async def open_foundation(
    settings: Settings, telemetry: Telemetry = NO_TELEMETRY, *, with_keys: bool = False
) -> AsyncGenerator[Foundation]:
    """Opens the database, migrated, the permission backend and the diary on them.

    Args:
        settings: where things are.
        telemetry: is told what happens.
        with_keys: whether what the agent writes is signed with its key on this machine; without
            it, entries wait for their signature.

    Raises:
        DatabaseUnavailableError: PostgreSQL cannot be started, reached or migrated.
    """
    async with (
        open_migrated_database(settings) as url,
        lay_foundation(url, settings, telemetry, with_keys=with_keys) as foundation,
    ):
        yield foundation


@asynccontextmanager
async def lay_foundation(
    url: str, settings: Settings, telemetry: Telemetry = NO_TELEMETRY, *, with_keys: bool = False
) -> AsyncGenerator[Foundation]:
    """The same on a database that was looked at a moment ago, and is migrated.

    Raises:
        DatabaseUnavailableError: PostgreSQL cannot be reached.
    """
    async with (
        # None of them stays open: nearly all servers are idle nearly all the time.
        open_database(url, max_size=_CALL_CONNECTIONS, min_size=0, idle_s=_CALL_IDLE_S) as database,
        open_database(
            url, max_size=_SETTLING_CONNECTIONS, min_size=0, waits=_SETTLING_WAITS
        ) as settling_database,
        _open_permissions(settings, database) as permissions,
    ):
        settlements = PostgresSettlements(settling_database, telemetry)
        second_looks = SecondLooks(lambda ids: settle(ids, settlements, permissions))
        prompt = EagerSettlement(second_looks.settle, telemetry)
        embedder = choose_embedder(settings.embedder)
        activity = Activity()
        counts = WordCounts()
        indexer = EntryIndexer(PostgresSearchIndex(settling_database), embedder, activity, counts)
        eager_indexing = EagerIndexing(indexer, activity)
        store = PostgresStore(
            database,
            telemetry,
            wants_signatures=settings.signing == "on",
            committed=prompt.committed,
            written=eager_indexing.written.set,
        )
        backends = BackendNames(_database_name(settings), permissions.name)
        signing = _signing(settings, with_keys=with_keys)
        yield Foundation(
            database_url=url,
            database=database,
            settling_database=settling_database,
            store=store,
            settlements=settlements,
            runtime_store=RuntimeStore(
                PostgresExecutors(url),
                PostgresSweep(settling_database),
                PostgresHousekeeping(settling_database),
            ),
            import_runtime=cache(partial(_import_runtime, url)),
            standby=PostgresStandby(url, QUEUES),
            second_looks=second_looks,
            eager_settlement=prompt,
            eager_indexing=eager_indexing,
            permissions=permissions,
            tokens=TokenService(PostgresTokens(database)),
            removals=RemovalService(store),
            indexer=indexer,
            signing=signing,
            diary=build_diary(
                store,
                permissions,
                PostgresAnnouncements(url),
                backends,
                embedder,
                check_signature=_check_signature,
                signing=signing,
                activity=activity,
                counts=counts,
                cursors=Cursors(await store.get_cursor_key()),
                door=CredentialDoor(is_open=settings.secrets == "allow"),
            ),
            telemetry=telemetry,
        )


@asynccontextmanager
async def run_workflows(foundation: Foundation) -> AsyncGenerator[None]:
    """Settles in this process for as long as the block runs: at once, by the queue, and overdue.

    Raises:
        DatabaseUnavailableError: PostgreSQL does not answer now; this can be tried again.
    """
    async with settle_beside_queue(foundation), run_queue(foundation):
        yield


@asynccontextmanager
async def settle_beside_queue(foundation: Foundation) -> AsyncGenerator[None]:
    """Settles and indexes at once what this process commits, and whatever is overdue; no DBOS."""
    looks = foundation.second_looks
    overdue = OverdueSettlement(
        looks.settle,
        foundation.settlements,
        list_due=looks.list_due,
        is_all_settled=foundation.standby.saw_all_settled,
    )
    async with (
        _beside(foundation.eager_settlement.run()),
        _beside(foundation.eager_indexing.run()),
        _beside(overdue.run()),
    ):
        if foundation.telemetry.is_on:
            async with _beside(_tell_backlog(foundation)):
                yield
        else:
            yield


@asynccontextmanager
async def standing_by(foundation: Foundation) -> AsyncGenerator[PostgresStandby]:
    """Tells this process, for as long as the block runs, what it should do for all."""
    try:
        yield foundation.standby
    finally:
        await foundation.standby.close()


@asynccontextmanager
async def run_queue(foundation: Foundation) -> AsyncGenerator[None]:
    """Runs workflows from the queue for as long as the block runs.

    What waits to be indexed is indexed meanwhile: importing and launching DBOS, and taking over
    what a session before has left, takes longer than a short session lasts.

    Raises:
        DatabaseUnavailableError: PostgreSQL does not answer now; this can be tried again.
    """
    store, work = foundation.runtime_store, _work(foundation)
    # One connection to settle on is there before DBOS takes its own, however few PostgreSQL has.
    await foundation.settling_database.check()
    with foundation.eager_indexing.needed():
        async with _beside(foundation.indexer.index_at_once()):
            runtime = await anyio.to_thread.run_sync(foundation.import_runtime)
            async with runtime(store, work, telemetry=foundation.telemetry):
                yield


@asynccontextmanager
async def watch_queue(foundation: Foundation) -> AsyncGenerator[None]:
    """Does the chores of the queue without running anything from it; DBOS is not needed."""
    with foundation.eager_indexing.needed():
        async with queue_chores(foundation.runtime_store, _work(foundation)):
            yield


@asynccontextmanager
async def leave_queue(foundation: Foundation) -> AsyncGenerator[None]:
    """Leaves the queue to the process whose it is."""
    with foundation.eager_indexing.left_to_others():
        yield


def _work(foundation: Foundation) -> Work:
    look = CommonLook(
        foundation.second_looks.settle, foundation.settlements, foundation.permissions
    )
    return Work(look.settle, foundation.indexer, foundation.diary.signing.expire)


async def count_rows_adrift(foundation: Foundation) -> DriftCounts:
    """How much settled rows and tuples differ; changes nothing.

    Raises:
        PermissionBackendUnavailableError: the backend gives no usable answer.
    """
    return await count_drift(PostgresDriftFinder(foundation.database_url), foundation.permissions)


async def preview_repairs(foundation: Foundation, tell: Callable[[Grant], None]) -> DriftCounts:
    """What a repair would find, and one by one whom it would let in; changes nothing.

    Raises:
        PermissionBackendUnavailableError: the backend gives no usable answer.
    """
    finder = PostgresDriftFinder(foundation.database_url)
    return await preview(finder, foundation.permissions, tell)


async def repair_rows_adrift(foundation: Foundation) -> Repairs:
    """Settles what waits, finds drift and repairs it; what was found.

    Raises:
        PermissionBackendUnavailableError: the backend gives no usable answer.
        PermissionRefusedError: the backend refuses what the rows want.
    """
    return await reconcile(
        PostgresDriftFinder(foundation.database_url),
        foundation.settlements,
        foundation.permissions,
    )


@asynccontextmanager
async def _beside(work: Coroutine[None, None, None]) -> AsyncGenerator[None]:
    """Does the work while the block runs, and no longer."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        await end_tasks([task])


async def _tell_backlog(foundation: Foundation) -> None:
    """Tells the observer now and then what is not settled."""
    while True:
        with suppress(DatabaseUnavailableError):
            backlog = await foundation.settlements.count_backlog()
            foundation.telemetry.tell_backlog(pending=backlog.pending, failed=backlog.refused)
        await asyncio.sleep(_BACKLOG_S)


@asynccontextmanager
async def _open_permissions(
    settings: Settings, database: Database
) -> AsyncGenerator[PermissionBackend]:
    if settings.keto_urls is None:
        yield EmbeddedPermissions(PostgresTuples(database))
        return
    from diary_mcp.permissions.keto import open_keto  # noqa: PLC0415  # imports httpx

    identity = await PostgresSettlements(database).get_identity()
    async with open_keto(*settings.keto_urls, identity=identity) as permissions:
        yield permissions


def set_keys_aside(settings: Settings, agent: AgentName) -> Path | None:
    """Where this machine's key of an agent that was removed is from now on, and forgets its chain.

    A key with which it has signed in another database too stays.

    Raises:
        SigningKeyError: a file cannot be read or moved.
    """
    memory = ChainMemoryFile(settings.data_dir, agent, _place(settings))
    return None if memory.forget() else AgentKeys(settings.data_dir, agent).set_aside()


def _signing(settings: Settings, *, with_keys: bool) -> ChainSigning:
    wanted = settings.signing == "on"
    keys = AgentKeys(settings.data_dir, settings.agent)
    memory = ChainMemoryFile(settings.data_dir, settings.agent, _place(settings))
    return ChainSigning(
        LocalSigner(keys) if with_keys and wanted else None,
        Continuity(memory, _check_signature),
        wanted=wanted,
    )


def _place(settings: Settings) -> str:
    """Which database it is, as this machine knows it, without who signs in there."""
    if settings.database_url is None:
        return "embedded"
    # Here # begins no fragment, and may stand in a password.
    url = urlsplit(settings.database_url.replace("#", "%23"))
    asked = parse_qs(url.query)
    host = url.netloc.rpartition("@")[2] or ",".join(asked.get("host", ()))
    return f"postgresql://{host}{url.path or '/' + ','.join(asked.get('dbname', ()))}"


def _check_signature(key: PublicKey, signature: str, message: bytes) -> bool:
    from diary_mcp.keys.ed25519 import check_signature  # noqa: PLC0415  # imports cryptography

    return check_signature(key, signature, message)


def _database_name(settings: Settings) -> str:
    return "embedded" if settings.database_url is None else "postgresql"


def _import_runtime(database_url: str) -> OpenRuntime:
    with lasting_imports():
        # They import DBOS.
        from diary_mcp.workflows.dbos_process import DbosProcess  # noqa: PLC0415
        from diary_mcp.workflows.runtime import workflow_runtime  # noqa: PLC0415

    connect = partial(
        open_blocking_connection, database_url, _ACCOUNT_LIMITS, longest_wait_s=_ACCOUNT_WAIT_S
    )
    return partial(workflow_runtime, DbosProcess(connect))
