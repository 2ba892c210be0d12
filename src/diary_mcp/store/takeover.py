"""Which processes run workflows, and what happens to the work of one that dies.

One process is enough, and that only while there is work: polling costs the same whether there is
any or not. Nothing depends on there being only one, and where work waits, others come to help.

Every process holds an advisory lock in the name of its executor for as long as its connection
lives. PostgreSQL frees the lock however the process ends, and keeps it while the process is
merely stopped: there is no heartbeat to miss.
"""

import time
from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from types import MappingProxyType

from psycopg.errors import LockNotAvailable, QueryCanceled
from psycopg.rows import dict_row, scalar_row

from diary_mcp.domain.errors import DatabaseUnavailableError
from diary_mcp.service.ports.workflows import PERMISSION_QUEUE, QUEUES, Duty, PollRates
from diary_mcp.store.bounded_connection import Connection
from diary_mcp.store.connecting import open_connection
from diary_mcp.store.database import Database, fetch_flag
from diary_mcp.store.failures import translate_errors
from diary_mcp.store.sql import load_queries

STANDBY = "diary-mcp standby"
"""The name of a connection on which a process stands by, and waits to be the first."""

_SQL = load_queries("takeover")
# What is settled at once, or at the next poll, has not waited.
_DEADLINE = timedelta(seconds=1)
_BURST = timedelta(seconds=1)
_BURST_CHANGES = 10
# How long workflows of settled entries may wait while there is a burst, and after it.
_BURST_PATIENCE = timedelta(minutes=10)
_IDLE_PATIENCE = timedelta(seconds=2)
_LIMITS = MappingProxyType(
    {
        "statement_timeout": "5s",
        "lock_timeout": "5s",
        "tcp_keepalives_idle": "5",
        "tcp_keepalives_interval": "2",
        "tcp_user_timeout": "10s",
    }
)
_LONGEST_WAIT_S = 10.0
# How long somebody who stands by waits for the lock before the next look: while there is work,
# which another may leave undone, and otherwise. A wait keeps a snapshot, and that keeps VACUUM from
# what died since, so it is short.
_WAIT_AT_WORK_S = 2.0
_WAIT_S = 12.0
_STANDBY_LIMITS = MappingProxyType({**_LIMITS, "statement_timeout": "15s"})
# What is settled at once, or by whoever runs workflows, does not take so long; nor does the rest.
_LATE = timedelta(seconds=4)
_VERY_LATE = timedelta(seconds=60)
# Somebody who has written something often writes more. To poll for so long costs about as much as
# starting anew.
_GO_ON_S = 1.0
# Somewhat longer than between two looks.
_OF_LATE_S = 15.0
# This end of a broken network must not take itself for alive much longer than the other end does.
_TRANSPORT = MappingProxyType(
    {
        "keepalives_idle": 5,
        "keepalives_interval": 2,
        "keepalives_count": 3,
        "tcp_user_timeout": 10_000,
    }
)


async def is_served(database: Database) -> bool:
    """Whether a server runs on this database, here or elsewhere.

    Raises:
        DatabaseUnavailableError: PostgreSQL gives no answer.
    """
    async with database.connection() as connection:
        return await fetch_flag(connection, _SQL["is_served"], {"standby": STANDBY})


class PostgresStandby:
    """What this process should do for all; the one that does it holds an advisory lock.

    PostgreSQL frees the lock with the process that holds it, and not where that merely sleeps.
    Then work waits, and others run workflows beside it, for as long as some does and then a while.
    """

    def __init__(
        self, database_url: str, queues: Sequence[str], *, wait_s: float = _WAIT_S
    ) -> None:
        self._database_url = database_url
        self._wait_s = wait_s
        self._parameters = {
            "queues": list(queues),
            "patient_queue": PERMISSION_QUEUE,
            "burst_patience": _BURST_PATIENCE,
            "late": _LATE,
            "very_late": _VERY_LATE,
        }
        self._connection: Connection | None = None
        self._is_first = False
        self._is_there_work = False
        self._runs_until = float("-inf")
        self._all_settled_at = float("-inf")

    async def look(self) -> Duty:
        """To be asked again and again. Whoever is the first stays that.

        Raises:
            DatabaseUnavailableError: PostgreSQL gives no answer. Whoever was the first may not be
                it any more.
        """
        with translate_errors():
            connection = await self._connected()
            is_needed = not self._is_first and await self._stand_by(connection)
            if self._is_first:
                found = await self._find(connection, "is_work_there")
                is_needed = found["is_work_there"]
            if is_needed:
                self._runs_until = time.monotonic() + _GO_ON_S
        if time.monotonic() < self._runs_until:
            return "run"
        return "watch" if self._is_first else "rest"

    async def _stand_by(self, connection: Connection) -> bool:
        """Asks for the lock, and gives whether work waits that nobody seems to do."""
        found = await self._find(connection, "stand_by")
        self._is_first = found["is_first"]
        self._is_there_work = found["is_work_there"]
        return found["is_work_waiting"]

    async def _find(self, connection: Connection, query: str) -> dict[str, bool]:
        asked_at = time.monotonic()
        cursor = connection.cursor(row_factory=dict_row)
        await cursor.execute(_SQL[query], self._parameters)
        (found,) = await cursor.fetchall()
        self._all_settled_at = float("-inf") if found["is_unsettled"] else asked_at
        return found

    async def rest(self) -> None:
        """Returns as soon as whoever was the first is gone, or when it is time to look again.

        Raises:
            DatabaseUnavailableError: PostgreSQL gives no answer, or the connection was lost.
        """
        wait_s = min(self._wait_s, _WAIT_AT_WORK_S) if self._is_there_work else self._wait_s
        with translate_errors():
            connection = await self._connected()
            # The one is the usual end; the other, where a statement may not take as long, or was
            # asked to let go of its snapshot.
            with suppress(LockNotAvailable, QueryCanceled):
                await connection.execute(_SQL["wait_to_be_first"], {"wait": f"{wait_s:g}s"})

    def saw_all_settled(self) -> bool:
        """Whether the last look was of late and has found everything settled; asks nobody."""
        return time.monotonic() - self._all_settled_at < _OF_LATE_S

    async def close(self) -> None:
        """Lets another be the one."""
        if self._connection is not None:
            await self._connection.close()

    async def _connected(self) -> Connection:
        if self._connection is None or self._connection.closed:
            self._is_first = False
            self._connection = await open_connection(
                self._database_url,
                _STANDBY_LIMITS,
                name=STANDBY,
                transport=_TRANSPORT,
                longest_wait_s=self._wait_s + _LONGEST_WAIT_S,
            )
        return self._connection


class PostgresExecutors:
    """`Executors` by advisory locks; each living one costs a connection."""

    def __init__(self, database_url: str) -> None:
        self._database_url = database_url

    @asynccontextmanager
    async def living(self, executor_id: str) -> AsyncGenerator["PostgresExecutor"]:
        executor = PostgresExecutor(self._database_url, executor_id)
        try:
            await executor.announce()
            yield executor
        finally:
            await executor.close()


class PostgresExecutor:
    """One executor: its connection, the lock on it, and the silence of the others."""

    def __init__(self, database_url: str, executor_id: str) -> None:
        self._database_url = database_url
        self._executor_id = executor_id
        self._connection: Connection | None = None
        self._silent: set[str] = set()
        self._not_running: dict[str, float] = {}
        """Since when claims of its own were seen not to run, by a clock that nobody sets."""

    async def announce(self) -> None:
        await self.close()
        # After a restart of PostgreSQL everybody is silent for a moment.
        self._silent = set()
        with translate_errors():
            self._connection = await open_connection(
                self._database_url,
                _LIMITS,
                name="diary-mcp executor",
                transport=_TRANSPORT,
                longest_wait_s=_LONGEST_WAIT_S,
            )
            await self._connection.execute(_SQL["announce"], {"executor_id": self._executor_id})

    async def watch(self, duration_s: float) -> None:
        with translate_errors():
            # Nobody notifies: this waits on the socket, which PostgreSQL closes when it goes.
            async for _ in self._alive.notifies(timeout=duration_s):
                pass

    async def take_over(self) -> Sequence[str]:
        silent = set(await self._list("list_silent", {}))
        dead = self._silent & silent
        self._silent = silent - dead
        if not dead:
            return []
        return await self._list("take_over", {"executor_ids": list(dead)})

    async def hand_back(self, *, running: Collection[str] = (), after_s: float) -> Sequence[str]:
        now = time.monotonic()
        found = await self._list("list_not_running", {"running": list(running)})
        self._not_running = {claim: self._not_running.get(claim, now) for claim in found}
        dropped = [claim for claim, since in self._not_running.items() if now - since >= after_s]
        return await self._list("hand_back", {"claims": dropped}) if dropped else []

    async def end_unreadable(self) -> Sequence[str]:
        return await self._list("end_unreadable", {})

    async def poll_rate(self, poll_rates: PollRates) -> str | None:
        changed = await self._list(
            "poll_rate",
            {
                "queue": PERMISSION_QUEUE,
                "idle_s": poll_rates.idle.interval_s,
                "idle_at_once": poll_rates.idle.at_once,
                "busy_s": poll_rates.busy.interval_s,
                "busy_at_once": poll_rates.busy.at_once,
                "burst_s": poll_rates.burst.interval_s,
                "burst_at_once": poll_rates.burst.at_once,
                "deadline": _DEADLINE,
                "burst": _BURST,
                "burst_changes": _BURST_CHANGES,
                "burst_patience": _BURST_PATIENCE,
                "idle_patience": _IDLE_PATIENCE,
            },
        )
        if not changed:
            return None
        (name,) = changed
        if name != "idle":
            with translate_errors():
                await self._alive.execute(_SQL["analyze_queue"])
        return name

    async def close(self) -> None:
        """Goes silent."""
        if self._connection is not None:
            await self._connection.close()

    @property
    def _alive(self) -> Connection:
        if self._connection is None:
            raise DatabaseUnavailableError("This executor has not announced itself yet.")
        return self._connection

    async def _list(self, query: str, parameters: Mapping[str, object]) -> list[str]:
        with translate_errors():
            cursor = self._alive.cursor(row_factory=scalar_row)
            await cursor.execute(
                _SQL[query],
                {"queues": list(QUEUES), "executor_id": self._executor_id, **parameters},
            )
            return [str(value) for value in await cursor.fetchall()]
