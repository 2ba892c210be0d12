"""Opening connections to PostgreSQL, which is done nowhere else.

What the URL says is kept. What it does not say is ours: how long to wait, the name, and, once the
connection is there, the session's settings. They are set by a statement and not by the start-up
parameter `options`, so that the URL may have `options` of its own, and poolers let us in.
"""

import os
import re
from collections.abc import Mapping
from types import MappingProxyType

from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.types.json import set_json_loads
from pydantic_core import from_json

from diary_mcp.service.ports.workflows import APPLICATION_NAME
from diary_mcp.store.bounded_connection import (
    BoundedBlockingConnection,
    BoundedConnection,
    Connection,
)
from diary_mcp.store.packed_arrays import register_packed_arrays
from diary_mcp.store.sql import load_queries

Limits = Mapping[str, str]
"""Settings of a session that bound what it may cost; what the URL's `options` say wins."""

CONNECT_TIMEOUT_S = 5
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
    register_packed_arrays(connection.adapters)
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
