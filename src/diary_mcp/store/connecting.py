"""What a connection to PostgreSQL is: the only place where one is opened.

What the URL says is kept. What it does not say is ours: how long to wait, the name, and, once the
connection is there, the session's settings. They are set by a statement and not by the start-up
parameter `options`, so that the URL may have `options` of its own, and poolers let us in.
"""

import asyncio
import os
import re
import select
import sys
import time
from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import asynccontextmanager, contextmanager
from functools import cached_property
from types import MappingProxyType
from typing import TypeVar

import psycopg
from psycopg import AsyncConnection, AsyncPipeline
from psycopg.abc import PQGen
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.generators import send
from psycopg.pq import TransactionStatus
from psycopg.pq.abc import PGconn
from psycopg.types.json import set_json_loads
from pydantic_core import from_json

from diary_mcp.service.ports.workflows import APPLICATION_NAME
from diary_mcp.store.packed_ids import register_packed_ids
from diary_mcp.store.sql import load_queries
from diary_mcp.store.waiting import SocketWatch

Connection = AsyncConnection[tuple[object, ...]]
Limits = Mapping[str, str]
"""Settings of a session that bound what it may cost; what the URL's `options` say wins."""

CONNECT_TIMEOUT_S = 5
SURE_S = 5.0
"""For so long after an answer a connection is taken for alive."""
# Whoever is gone without a word is noticed by both ends: this one must not wait for a host that is
# lost, nor that host's PostgreSQL hold locks for a process that is.
_TRANSPORT = MappingProxyType(
    {
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": 20_000,
    }
)
_SERVER_TRANSPORT: Limits = MappingProxyType(
    {
        "tcp_keepalives_idle": "10",
        "tcp_keepalives_interval": "5",
        "tcp_keepalives_count": "3",
        "tcp_user_timeout": "20s",
    }
)
NO_LIMITS: Limits = MappingProxyType({})

_SQL = load_queries("connection")
# Whatever the server, the database or the role is set to: what is read and written depends on it.
_SESSION = MappingProxyType(
    {
        "datestyle": "ISO",
        "intervalstyle": "postgres",
        "timezone": "UTC",
        "extra_float_digits": "1",
        "bytea_output": "hex",
        "array_nulls": "on",
        "standard_conforming_strings": "on",
        # The settling lock relies on it: a statement after the lock must see what came before it.
        "default_transaction_isolation": "read committed",
        # Idle connections listen, and are a sign of life.
        "idle_session_timeout": "0",
    }
)
# `-c name=value`, `-cname=value` or `--name=value`, as PostgreSQL's command line takes them.
_OPTION = re.compile(r"(?:-c\s*|--)([\w.-]+)=")
# Nothing is looked at in between.
_LONGEST_INTERVAL_S = 3600.0
_CALL_OFF_S = 5.0

_Answer = TypeVar("_Answer")


class _SyncedPipeline(AsyncPipeline):
    """Sends what was asked together with the sync that ends it, and not one by one.

    PostgreSQL counts for how long a transaction is idle from where it has answered a sync. After a
    statement alone, or the flush with which psycopg fetches a result, it waits for the next one for
    ever, and the transaction keeps its locks for as long as this process is stopped.
    """

    def _communicate_gen(self) -> PQGen[None]:
        if self.command_queue and self.command_queue[-1] == self.pgconn.pipeline_sync:
            # psycopg's sends one after the other, and PostgreSQL wakes up for each.
            while self.command_queue:
                self.command_queue.popleft()()
            yield from send(self.pgconn)

    def _fetch_gen(self, *, flush: bool) -> PQGen[None]:
        if not flush:
            yield from super()._fetch_gen(flush=False)
        elif self.result_queue:
            yield from self._sync_gen()

    def _exit_gen(self) -> PQGen[None]:
        """Tells of the statement that failed; psycopg's tells of one that was skipped for it."""
        self._enqueue_sync()
        failure: psycopg.Error | None = None
        for attempt in (self._communicate_gen(), self._fetch_gen(flush=False)):
            try:
                yield from attempt
            except psycopg.Error as error:
                failure = failure or error
        if failure is not None:
            raise failure


class BoundedConnection(AsyncConnection[tuple[object, ...]]):
    """A connection on which neither side waits for ever.

    PostgreSQL ends the transaction of a process that sleeps.

    On this side every wait has an end, whatever has become of the other.
    """

    longest_wait_s: float | None = None
    sure_s = 0.0
    """For so long after an answer it is taken for alive."""

    check_s = 0.0
    """How long it has to say so afterwards."""

    answered_at = 0.0
    """When PostgreSQL has answered last, by the monotonic clock."""

    @cached_property
    def _watch(self) -> SocketWatch:
        return SocketWatch()

    async def wait(
        self,
        gen: PQGen[_Answer],
        interval: float = 0.1,
        timeout: float | None = None,  # noqa: ASYNC109  # psycopg's
    ) -> _Answer:
        # The interval is there to let Ctrl-C through, and the event loop does that by itself.
        del interval
        if timeout is not None:
            return await super().wait(gen, _LONGEST_INTERVAL_S, timeout)
        try:
            answer = await self._attend(gen)
        except psycopg.OperationalError as error:
            _give_up_if_left_waiting(self.pgconn, error, self.longest_wait_s)
            raise
        finally:
            if self.closed:
                # Or the other end would not learn of it.
                self._watch.end()
        self.answered_at = time.monotonic()
        return answer

    async def commit(self) -> None:
        # At the end of every call; psycopg finds that there is nothing to do by way of a wait.
        if self.pgconn.transaction_status != TransactionStatus.IDLE:
            await super().commit()

    async def close(self) -> None:
        self._watch.end()
        await super().close()

    async def _attend(self, gen: PQGen[_Answer]) -> _Answer:
        """As psycopg waits, but that the socket stays registered with the loop."""
        if sys.platform == "win32":
            return await super().wait(gen, _LONGEST_INTERVAL_S, self.longest_wait_s)
        try:
            return await self._take_turns(gen)
        except OSError as error:
            raise psycopg.OperationalError("connection socket closed") from error
        except asyncio.CancelledError:
            if self.pgconn.transaction_status == TransactionStatus.ACTIVE:
                await self._call_off(gen)
            raise

    async def _take_turns(self, gen: PQGen[_Answer]) -> _Answer:
        loop, longest_s = asyncio.get_running_loop(), self.longest_wait_s
        until = None if longest_s is None else loop.time() + longest_s
        try:
            wanted = next(gen)
            while True:
                ready = await self._watch.wait(self.pgconn.socket, wanted, until)
                if not ready and until is not None and loop.time() >= until:
                    raise psycopg.OperationalError("no answer")
                wanted = gen.send(ready)
        except StopIteration as end:
            answer: _Answer = end.value
        await self._watch.rest()
        return answer

    async def _call_off(self, gen: PQGen[_Answer]) -> None:
        """Ends what PostgreSQL does for who has gone, or the connection."""
        try:
            await self.cancel_safe(timeout=_CALL_OFF_S)
            await super().wait(gen, _LONGEST_INTERVAL_S, _CALL_OFF_S)
        except psycopg.errors.QueryCanceled:
            return
        except BaseException:  # noqa: BLE001  # whatever it is, its state is not known
            self.pgconn.finish()

    @contextmanager
    def waiting_at_most(self, seconds: float) -> Generator[None]:
        """Waits for so long for an answer while the block runs."""
        usual_s, self.longest_wait_s = self.longest_wait_s, seconds
        try:
            yield
        finally:
            self.longest_wait_s = usual_s

    @asynccontextmanager
    async def pipeline(self) -> AsyncGenerator[AsyncPipeline]:
        self._pipeline = self._pipeline or _SyncedPipeline(self)
        async with super().pipeline() as pipeline:
            yield pipeline


class BoundedBlockingConnection(psycopg.Connection[tuple[object, ...]]):
    """The same for who does not await, without pipelines.

    Whoever only listens finds that nobody has notified, and listens again.
    """

    longest_wait_s: float | None = None
    answered_at = 0.0

    def wait(
        self, gen: PQGen[_Answer], interval: float = 0.1, timeout: float | None = None
    ) -> _Answer:
        if timeout is not None:
            return super().wait(gen, interval, timeout)
        try:
            answer = super().wait(gen, interval, self.longest_wait_s)
        except psycopg.OperationalError as error:
            _give_up_if_left_waiting(self.pgconn, error, self.longest_wait_s)
            raise
        self.answered_at = time.monotonic()
        return answer

    def seems_alive(self) -> bool:
        """Whether it has answered of late, and has not ended since; asks nobody."""
        return time.monotonic() - self.answered_at < SURE_S and is_quiet(self.fileno())


def is_quiet(socket: int) -> bool:
    """Whether there is nothing to read; where nothing was asked, that is an end, or a notice."""
    if sys.platform == "win32":
        return select.select([socket], [], [], 0)[0] == []
    poll = select.poll()
    poll.register(socket, select.POLLIN)
    return poll.poll(0) == []


def _give_up_if_left_waiting(
    pgconn: PGconn, error: psycopg.OperationalError, longest_wait_s: float | None
) -> None:
    if (
        error.sqlstate is None
        and not isinstance(error, psycopg.errors.PipelineAborted)
        and pgconn.transaction_status == TransactionStatus.ACTIVE
    ):
        # What comes later would be taken for the answer to something else.
        pgconn.finish()
        raise psycopg.OperationalError(f"no answer within {longest_wait_s} s") from error


async def open_connection(
    url: str,
    limits: Limits = NO_LIMITS,
    *,
    name: str = APPLICATION_NAME,
    transport: Mapping[str, int] = MappingProxyType({}),
    longest_wait_s: float | None = None,
) -> BoundedConnection:
    """A connection in autocommit, ready for use.

    Args:
        url: as the user wrote it.
        limits: of this session.
        name: what `pg_stat_activity` calls it.
        transport: further parameters of libpq.
        longest_wait_s: how long to wait for one answer; by default for as long as it takes.

    Raises:
        psycopg.Error: it cannot be opened.
    """
    address = complete_url(url, name=name, transport=transport)
    connection = await BoundedConnection.connect(address, autocommit=True)
    connection.longest_wait_s = longest_wait_s
    try:
        await prepare_session(connection, url, limits)
    except BaseException:
        await connection.close()
        raise
    return connection


def open_blocking_connection(
    url: str,
    limits: Limits = NO_LIMITS,
    *,
    name: str = APPLICATION_NAME,
    longest_wait_s: float | None = None,
) -> BoundedBlockingConnection:
    """The same for who does not await: not in autocommit, as the DB-API wants it.

    Raises:
        psycopg.Error: it cannot be opened.
    """
    connection = BoundedBlockingConnection.connect(complete_url(url, name=name), autocommit=True)
    connection.longest_wait_s = longest_wait_s
    try:
        connection.execute(_SQL["set_session"], _session(url, limits))
        connection.autocommit = False
    except BaseException:
        connection.close()
        raise
    return connection


def complete_url(
    url: str,
    *,
    name: str = APPLICATION_NAME,
    transport: Mapping[str, int] = MappingProxyType({}),
) -> str:
    """What libpq is told: the URL, and what it leaves open.

    Raises:
        psycopg.ProgrammingError: it is no URL that libpq can read.
    """
    said = _said(url)
    ours: dict[str, str | int] = {
        "application_name": name,
        "connect_timeout": CONNECT_TIMEOUT_S,
        **_TRANSPORT,
        **transport,
    }
    if "," in said.get("host", said.get("hostaddr", "")):
        # Several hosts are one that can be written to, and those that will take its place.
        ours["target_session_attrs"] = os.environ.get("PGTARGETSESSIONATTRS", "read-write")
    missing = {key: value for key, value in ours.items() if key not in said}
    return make_conninfo(url, **{**missing, "client_encoding": "UTF8"})


def other_hosts_s(url: str) -> float:
    """How long connecting may take in vain where the URL names several hosts, before the last."""
    said = _said(url)
    others = max(said.get("host", "").count(","), said.get("hostaddr", "").count(","))
    # What libpq makes of less than two seconds; and no end is none of ours either.
    return others * max(2, int(said.get("connect_timeout", CONNECT_TIMEOUT_S)))


async def prepare_session(connection: Connection, url: str, limits: Limits = NO_LIMITS) -> None:
    """Sets what every session of ours has, and its limits.

    Raises:
        psycopg.Error: the connection is lost, or a setting is refused.
    """
    # Each row of a list has some, and Python's own reader takes ten times as long.
    set_json_loads(from_json, connection)
    register_packed_ids(connection.adapters)
    await connection.execute(_SQL["set_session"], _session(url, limits))


def _session(url: str, limits: Limits) -> dict[str, list[str]]:
    options = _said(url).get("options", os.environ.get("PGOPTIONS", ""))
    said = {found.replace("-", "_").lower() for found in _OPTION.findall(options)}
    wanted = {**_SERVER_TRANSPORT, **limits}
    allowed = {name: value for name, value in wanted.items() if name not in said}
    settings = {**allowed, **_SESSION}
    return {"names": list(settings), "values": list(settings.values())}


def _said(url: str) -> dict[str, str]:
    return {key: str(value) for key, value in conninfo_to_dict(url).items()}
