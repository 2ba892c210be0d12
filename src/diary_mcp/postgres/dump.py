"""The whole database as one file, and back, by the programs that come with PostgreSQL."""

import subprocess
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from diary_mcp.domain.errors import DatabaseUnavailableError, InvalidArgumentError
from diary_mcp.postgres.binaries import ENVIRONMENT, find_programs


def dump_database(url: str, target: Path) -> None:
    """Writes what the database holds at one moment; servers go on meanwhile. Blocks.

    Raises:
        DatabaseUnavailableError: it cannot be read, or the file not be written.
    """
    _run("pg_dump", "--format=custom", f"--file={target}", url=url)


def check_dump(dump: Path) -> None:
    """Reads the dump to its end. Blocks.

    Raises:
        InvalidArgumentError: it is damaged.
    """
    try:
        _run("pg_restore", "--file=/dev/null", str(dump))
    except DatabaseUnavailableError as error:
        raise InvalidArgumentError(f"The backup is damaged: {error}") from error


def restore_dump(url: str, dump: Path) -> None:
    """Puts all of the dump into an empty database, or nothing. Blocks.

    Raises:
        DatabaseUnavailableError: it does not fit into this database.
    """
    _run("pg_restore", "--single-transaction", "--no-owner", "--no-privileges", str(dump), url=url)


def _run(program: str, *words: str, url: str | None = None) -> None:
    environment, where = dict(ENVIRONMENT), list[str]()
    if url is not None:
        # Every user of the machine sees the words of a command.
        try:
            told = conninfo_to_dict(url)
        except psycopg.ProgrammingError as error:
            raise DatabaseUnavailableError(f"The database's URL cannot be read: {error}") from error
        environment["PGPASSWORD"] = str(told.pop("password", None) or "")
        where = [f"--dbname={make_conninfo('', **told)}"]
    command = [str(find_programs() / program), "--no-password", *where, *words]
    done = subprocess.run(  # noqa: S603  # PostgreSQL's own programs
        command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, check=False
    )
    if done.returncode != 0:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines() or ["it said nothing"]
        raise DatabaseUnavailableError(f"{program} failed: {said[0]}")
