"""What a connection to PostgreSQL is: the only place where one is opened.

What the URL says is kept. What it does not say is ours: how long to wait, the name, and, once the
connection is there, the session's settings. They are set by a statement and not by the start-up
parameter `options`, so that the URL may have `options` of its own, and poolers let us in.
"""

import os
import re
from collections.abc import Mapping
from types import MappingProxyType

import psycopg
from psycopg import AsyncConnection
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from diary_mcp.service.ports.workflows import APPLICATION_NAME
from diary_mcp.store.sql import load_queries

Connection = AsyncConnection[tuple[object, ...]]
Limits = Mapping[str, str]
"""Settings of a session that bound what it may cost; what the URL's `options` say wins."""

CONNECT_TIMEOUT_S = 5
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
) -> Connection:
    """A connection in autocommit, ready for use.

    Args:
        url: as the user wrote it.
        limits: of this session.
        name: what `pg_stat_activity` calls it.
        transport: further parameters of libpq.

    Raises:
        psycopg.Error: it cannot be opened.
    """
    address = complete_url(url, name=name, transport=transport)
    connection = await AsyncConnection.connect(address, autocommit=True)
    try:
        await prepare_session(connection, url, limits)
    except BaseException:
        await connection.close()
        raise
    return connection


def open_blocking_connection(
    url: str, limits: Limits = NO_LIMITS, *, name: str = APPLICATION_NAME
) -> psycopg.Connection[tuple[object, ...]]:
    """The same for who does not await: not in autocommit, as the DB-API wants it.

    Raises:
        psycopg.Error: it cannot be opened.
    """
    connection = psycopg.connect(complete_url(url, name=name), autocommit=True)
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
        **transport,
    }
    if "," in said.get("host", said.get("hostaddr", "")):
        # Several hosts are one that can be written to, and those that will take its place.
        ours["target_session_attrs"] = os.environ.get("PGTARGETSESSIONATTRS", "read-write")
    missing = {key: value for key, value in ours.items() if key not in said}
    return make_conninfo(url, **{**missing, "client_encoding": "UTF8"})


async def prepare_session(connection: Connection, url: str, limits: Limits = NO_LIMITS) -> None:
    """Sets what every session of ours has, and its limits.

    Raises:
        psycopg.Error: the connection is lost, or a setting is refused.
    """
    await connection.execute(_SQL["set_session"], _session(url, limits))


def _session(url: str, limits: Limits) -> dict[str, list[str]]:
    options = _said(url).get("options", os.environ.get("PGOPTIONS", ""))
    said = {found.replace("-", "_").lower() for found in _OPTION.findall(options)}
    allowed = {name: value for name, value in limits.items() if name not in said}
    settings = {**allowed, **_SESSION}
    return {"names": list(settings), "values": list(settings.values())}


def _said(url: str) -> dict[str, str]:
    return {key: str(value) for key, value in conninfo_to_dict(url).items()}
