"""The whole database as one file, and back, by the programs that come with PostgreSQL."""

import contextlib
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from itertools import takewhile
from pathlib import Path
from subprocess import DEVNULL, PIPE
from typing import IO, cast

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
    """Puts all of the dump into an empty database, of any supported version, or nothing. Blocks.

    Raises:
        DatabaseUnavailableError: it does not fit into this database.
    """
    read = [_program("pg_restore"), "--no-owner", "--no-privileges", "--file=-", str(dump)]
    where, environment = _target(url)
    write = [_program("psql"), *where, "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1"]
    with (
        tempfile.TemporaryFile() as said,
        subprocess.Popen(read, env=ENVIRONMENT, stdout=PIPE, stderr=said) as reading,  # noqa: S603
        subprocess.Popen(  # noqa: S603
            write, env=environment, stdin=PIPE, stdout=DEVNULL, stderr=said
        ) as writing,
    ):
        script, database = cast("IO[bytes]", reading.stdout), cast("IO[bytes]", writing.stdin)
        with contextlib.suppress(BrokenPipeError):  # It has said why.
            database.write(b"begin;\n")
            database.writelines(_for_any_version(script))
            if reading.wait() == 0:
                database.write(b"commit;\n")
        with contextlib.suppress(BrokenPipeError):
            database.close()
        script.close()
        if writing.wait() or reading.wait():
            said.seek(0)
            raise _failed("The restore", said.read())


def _for_any_version(script: Iterable[bytes]) -> Iterator[bytes]:
    """The script without the one setting in it that PostgreSQL knows only from 17 on."""
    lines = iter(script)
    # `takewhile` also takes the line that ends it.
    yield from takewhile(lambda line: line != b"SET transaction_timeout = 0;\n", lines)
    yield from lines


def _run(program: str, *words: str, url: str | None = None) -> None:
    where, environment = _target(url) if url is not None else ([], ENVIRONMENT)
    command = [_program(program), *where, *words]
    done = subprocess.run(  # noqa: S603  # PostgreSQL's own programs
        command, env=environment, stdin=DEVNULL, capture_output=True, check=False
    )
    if done.returncode != 0:
        raise _failed(program, done.stderr)


def _program(name: str) -> str:
    return str(find_programs() / name)


def _target(url: str) -> tuple[list[str], dict[str, str]]:
    """Words and environment of a program that connects to the database."""
    try:
        told = conninfo_to_dict(url)
    except psycopg.ProgrammingError as error:
        raise DatabaseUnavailableError(f"The database's URL cannot be read: {error}") from error
    # Every user of the machine sees the words of a command.
    environment = {**ENVIRONMENT, "PGPASSWORD": str(told.pop("password", None) or "")}
    return ["--no-password", f"--dbname={make_conninfo('', **told)}"], environment


def _failed(what: str, said: bytes) -> DatabaseUnavailableError:
    lines = said.decode("utf-8", "replace").strip().splitlines() or ["it said nothing"]
    # The second line may say which versions do not fit.
    return DatabaseUnavailableError(f"{what} failed: {'; '.join(lines[:2])}")
