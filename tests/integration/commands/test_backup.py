"""`diary-mcp backup` and `restore`: a whole diary in one file, and from it another."""

import json
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Generator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import psycopg
import pytest
from psycopg.sql import SQL, Identifier

from diary_mcp.domain.errors import UnavailableError
from diary_mcp.postgres.binaries import programs_major
from diary_mcp.postgres.dump import dump_database, restore_dump
from support.clients import environment
from support.commands import Done, run_command
from support.sites import own_database


@pytest.fixture(scope="module")
def database(postgres_url: str) -> Generator[str]:
    with own_database(postgres_url) as url:
        yield url


@pytest.fixture
def empty_url(postgres_url: str) -> Generator[str]:
    """The URL of a database with nothing in it."""
    name = f"empty_{uuid4().hex}"
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(SQL("create database {}").format(Identifier(name)))
        yield urlunsplit(urlsplit(postgres_url)._replace(path=f"/{name}"))
        connection.execute(SQL("drop database {} with (force)").format(Identifier(name)))


def run(settings: dict[str, str], *words: str) -> Done:
    return run_command(*words, settings=settings)


def test_a_restored_diary_is_the_one_that_was_backed_up_and_moves_back(
    database: str, empty_url: str, tmp_path: Path
) -> None:
    there = environment(database_url=database, data_dir=tmp_path / "there")
    here = environment(data_dir=tmp_path / "here")
    run(there, "agent", "add", "bob")
    run(there, "write", "first", "--key", "k")
    run(there, "edit", "k", "--content", "second")
    run(there, "share", "k", "--with", "bob")
    shown = json.loads(run(there, "show", "k", "--json").out)
    file = tmp_path / "diary.backup"

    made = run(there, "backup", str(file))
    restored = run(here, "restore", str(file))

    assert (made.status, restored.status) == (0, 0), made.err + restored.err
    assert restored.out == "restored; local has 1 entry\n"
    assert file.stat().st_mode & 0o777 == 0o600
    assert json.loads(run(here, "show", "k", "--json").out) == shown
    assert "first" in run(here, "show", "k", "--version", "1").out
    assert run(here, "show", shown["id"], "--agent", "bob").status == 0
    assert run(here, "verify").status == 0
    signed = json.loads(run(here, "write", "third", "--json").out)
    assert signed["signature"] == "signed"
    assert run(here, "restore", str(file)).err.startswith("conflict: ")

    server = environment(database_url=empty_url, data_dir=tmp_path / "server")
    run(here, "backup", str(tmp_path / "back"))
    moved = run(server, "restore", str(tmp_path / "back"))

    assert (moved.status, moved.out) == (0, "restored; local has 2 entries\n"), moved.err
    assert json.loads(run(server, "show", "k", "--json").out) == shown
    assert "first" in run(server, "show", "k", "--version", "1").out
    assert run(server, "show", shown["id"], "--agent", "bob").status == 0
    assert run(server, "verify", "--strict").status == 0


def test_what_does_not_fit_into_a_database_is_told_and_leaves_nothing_in_it(
    database: str, empty_url: str, tmp_path: Path
) -> None:
    dump = tmp_path / "dump"
    dump_database(database, dump)

    with psycopg.connect(empty_url, autocommit=True) as connection:
        connection.execute("create schema diary")
        with pytest.raises(UnavailableError, match=r'ERROR: +schema "diary" already exists'):
            restore_dump(empty_url, dump)
        left = connection.execute(
            "select from pg_namespace where nspname = 'dbos'"
            " union all select from pg_class where relnamespace = 'diary'::regnamespace"
        ).fetchall()

    assert left == []


@pytest.fixture
def other_major() -> Generator[str]:
    """A server of another major version, where this machine has the programs of one."""
    programs = [
        path.parent
        for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")
        if path.parts[-3] != programs_major()
    ]
    if not programs:
        pytest.skip("there is no other PostgreSQL on this machine")
    account = "nobody" if os.geteuid() == 0 else None  # It does not run as root.

    def do(program: str, *words: str) -> None:
        command = [str(programs[0] / program), *words]
        subprocess.run(command, user=account, cwd="/", stdout=subprocess.DEVNULL, check=True)

    # Short: the path of a socket has 107 bytes.
    with tempfile.TemporaryDirectory(prefix="pg") as name:
        folder = Path(name)
        if account is not None:
            shutil.chown(folder, account)
        do("initdb", "-D", f"{folder}/data", "-U", "postgres", "-A", "trust", "-N")
        server = ("-D", f"{folder}/data", "-l", f"{folder}/log", "-w")
        do("pg_ctl", *server, "-o", f"-F -c listen_addresses= -k {folder}", "start")
        try:
            yield f"postgresql://postgres@/postgres?host={folder}"
        finally:
            do("pg_ctl", *server, "-m", "immediate", "stop")


def test_a_diary_moves_to_another_major_version_of_postgresql_and_back(
    database: str, other_major: str, empty_url: str, tmp_path: Path
) -> None:
    first = environment(database_url=database, data_dir=tmp_path / "first", agent="mover")
    run(first, "agent", "add", "reader")
    run(first, "write", "first", "--key", "k", "--tag", "kept")
    run(first, "edit", "k", "--content", "second")
    run(first, "share", "k", "--with", "reader")
    shown = json.loads(run(first, "show", "k", "--json").out)

    other = environment(database_url=other_major, data_dir=tmp_path / "other", agent="mover")
    back = environment(database_url=empty_url, data_dir=tmp_path / "back", agent="mover")
    for number, (source, target) in enumerate(((first, other), (other, back))):
        file = tmp_path / f"{number}.backup"
        assert run(source, "backup", str(file)).status == 0
        restored = run(target, "restore", str(file))
        assert (restored.out, restored.err) == ("restored; mover has 1 entry\n", "")
        assert json.loads(run(target, "show", "k", "--json").out) == shown
        assert "first" in run(target, "show", "k", "--version", "1").out
        assert run(target, "show", shown["id"], "--agent", "reader").status == 0
        assert run(target, "verify", "--strict").status == 0


def test_a_file_that_is_there_is_not_overwritten(database: str, tmp_path: Path) -> None:
    file = tmp_path / "precious"
    file.write_text("mine", "utf-8")

    done = run(environment(database_url=database, data_dir=tmp_path), "backup", str(file))

    assert (done.status, done.err.partition(":")[0]) == (1, "invalid_argument")
    assert file.read_text("utf-8") == "mine"


def test_there_is_nothing_to_back_up_where_there_is_nothing(tmp_path: Path) -> None:
    done = run(environment(data_dir=tmp_path / "data"), "backup", str(tmp_path / "file"))

    assert (done.status, done.err.partition(":")[0]) == (1, "invalid_argument")
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_whole_backup_is_refused_and_restores_nothing(
    database: str, tmp_path: Path
) -> None:
    file, damaged = tmp_path / "diary.backup", tmp_path / "damaged"
    run(environment(database_url=database, data_dir=tmp_path / "a"), "backup", str(file))
    whole = file.read_bytes()
    with tarfile.open(file) as archive:
        middle = archive.getmember("database.dump").offset_data + 1_000
    here = environment(data_dir=tmp_path / "here")

    for content in (b"", b"nonsense" * 1_000, whole[:middle], _flipped(whole, middle)):
        damaged.write_bytes(content)
        done = run(here, "restore", str(damaged))
        assert (done.status, done.err.partition(":")[0]) == (1, "invalid_argument")
    missing = run(here, "restore", str(tmp_path / "missing"))
    assert (missing.status, missing.err.partition(":")[0]) == (1, "invalid_argument")
    assert not (tmp_path / "here").exists()


def _flipped(content: bytes, position: int) -> bytes:
    return content[:position] + bytes([content[position] ^ 1]) + content[position + 1 :]
