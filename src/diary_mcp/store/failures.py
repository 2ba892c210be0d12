"""What a failure of PostgreSQL means to a caller."""

import re
from collections.abc import Generator
from contextlib import contextmanager
from typing import NoReturn

import psycopg

from diary_mcp.domain.errors import DatabaseUnavailableError, UnavailableError
from diary_mcp.service.ports.chain import HeadMovedError

REACH_IT = (
    "Make sure that it runs and lets this user in, and that DIARY_MCP_DATABASE_URL is right where "
    "it is set; then try again."
)
_LOOK_FIRST = (
    "Try again in a moment; `diary-mcp status` shows what is wrong. If this was a "
    "change, check whether it was made before you repeat it."
)
# What refuses a connection has no SQLSTATE in psycopg, only a text: PostgreSQL's, or PgBouncer's.
_IS_TOO_MANY = re.compile(
    "too many (clients|connections)|connection slots are reserved|no more connections allowed"
)
_TOO_MANY = (
    "Close servers and other clients that are not used, or raise the limit, which is "
    "max_connections unless a role, a database or a pooler has one of its own: each server uses up "
    "to 17 connections."
)
_REMOVED_NOW = (
    "An agent or a group of this name was removed a moment ago, and the permission backend has not "
    "forgotten it yet. Try again in a moment; `diary-mcp status` shows whether the backend answers."
)
_REMOVAL_CONSTRAINTS = frozenset(
    {
        "removal_is_settled",
        # Told where the removal has committed between a statement's insert and its check.
        "entry_owner_exists",
        "diary_owner_exists",
        "agent_token_agent_exists",
    }
)
_HEAD_CONSTRAINT = "chain_goes_on_from_its_head"
_HEAD_MOVED = "Another change of yours was signed at the same moment; try again."
_READ_ONLY = (
    "This PostgreSQL is read-only, and nothing was changed: it is a standby, or "
    "default_transaction_read_only is on. Point DIARY_MCP_DATABASE_URL at the primary; of several "
    "hosts in it, the primary is found by itself."
)


@contextmanager
def translate_errors(advice: str = _LOOK_FIRST) -> Generator[None]:
    """Turns a connection's failure inside the block into a `DatabaseUnavailableError`."""
    try:
        yield
    except psycopg.Error as error:
        raise_translated(error, advice)


def raise_translated(error: psycopg.Error, advice: str = _LOOK_FIRST) -> NoReturn:
    """Raises what the failure means to a caller; as it is, where a statement has failed.

    Raises:
        DatabaseUnavailableError: PostgreSQL does not answer, or only to who reads.
        UnavailableError: a name was removed a moment ago.
        HeadMovedError: a chain was signed on meanwhile.
    """
    if error.diag.constraint_name in _REMOVAL_CONSTRAINTS:
        raise UnavailableError(_REMOVED_NOW) from error
    if error.diag.constraint_name == _HEAD_CONSTRAINT:
        raise HeadMovedError(_HEAD_MOVED) from error
    if not is_unavailability(error):
        raise error
    if isinstance(error, psycopg.errors.ReadOnlySqlTransaction):
        raise DatabaseUnavailableError(_READ_ONLY) from error
    reason = _reason(error)
    if _IS_TOO_MANY.search(str(error)):
        raise DatabaseUnavailableError(
            f"PostgreSQL has no connection left for this process ({reason}). {_TOO_MANY}"
        ) from error
    raise DatabaseUnavailableError(
        f"PostgreSQL is not answering as it should ({reason}). {advice}"
    ) from error


def is_unavailability(error: psycopg.Error) -> bool:
    """Whether it is PostgreSQL, and not the statement, that has failed.

    The only place that decides it: what ends a session, and what a server says that only reads,
    comes in other classes than a lost connection does.
    """
    if isinstance(error, psycopg.ProgrammingError):
        # A URL that cannot be parsed has no SQLSTATE.
        return error.sqlstate is None
    return isinstance(
        error,
        psycopg.OperationalError
        | psycopg.InterfaceError
        | psycopg.errors.IdleInTransactionSessionTimeout
        | psycopg.errors.TransactionTimeout
        | psycopg.errors.ReadOnlySqlTransaction
        # A server whose installation is gone cannot load what it has not loaded yet.
        | psycopg.errors.UndefinedFile,
    )


def _reason(error: psycopg.Error) -> str:
    told = str(error).strip()
    reason = told.splitlines()[0] if told else type(error).__name__
    if isinstance(error, psycopg.ProgrammingError):
        # What libpq quotes of a URL that it cannot parse may be the password.
        return re.sub('".*"', '"…"', reason)
    return reason
