"""Whether a server that listens can be used: it lets in who owns the database and who serves it."""

import time
from pathlib import Path

import psycopg

from diary_mcp.postgres.account import ServerAccount
from diary_mcp.postgres.cluster import Cluster
from diary_mcp.postgres.configuration import SERVING_ROLE, write_configuration
from diary_mcp.postgres.sockets import DATABASE, as_serving_role, database_url

_CONNECT_TIMEOUT_S = 2
_ADMISSION_ATTEMPTS = 50
_ADMISSION_INTERVAL_S = 0.02


def find_refusal(cluster: Cluster, account: ServerAccount, socket_dir: Path) -> str | None:
    """Why the server cannot be used at the moment; `None` if it can.

    Makes the database and the role where they are missing. Only the holder of the start lock may
    call this.
    """
    url = database_url(socket_dir, "postgres")
    try:
        with psycopg.connect(
            url, autocommit=True, connect_timeout=_CONNECT_TIMEOUT_S
        ) as connection:
            found = connection.execute(
                "select 1 from pg_database where datname = %(name)s", {"name": DATABASE}
            )
            if found.fetchone() is None:
                connection.execute("create database diary template template0")
            _admit_serving_role(connection, cluster, account, as_serving_role(url))
    except psycopg.Error as error:
        return str(error).strip()
    return None


def _admit_serving_role(
    connection: psycopg.Connection, cluster: Cluster, account: ServerAccount, url: str
) -> None:
    """Let in the role that serves, also where an older version has started the server."""
    found = connection.execute(
        "select 1 from pg_roles where rolname = %(name)s", {"name": SERVING_ROLE}
    )
    if found.fetchone() is None:
        connection.execute("create role diary_server login")
    if write_configuration(cluster, cluster.directory, account):
        connection.execute("select pg_reload_conf()")
        _wait_until_admitted(url)


def _wait_until_admitted(url: str) -> None:
    """The postmaster reads its files again at a moment of its own.

    Raises:
        psycopg.Error: the role is still refused.
    """
    for attempts_left in reversed(range(_ADMISSION_ATTEMPTS)):
        try:
            psycopg.connect(url, connect_timeout=_CONNECT_TIMEOUT_S).close()
        except psycopg.OperationalError:
            if not attempts_left:
                raise
            time.sleep(_ADMISSION_INTERVAL_S)
        else:
            return
