"""Making a new cluster, so that a kill at any moment leaves either none or a complete one."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import structlog

from diary_mcp.domain.errors import DatabaseUnavailableError
from diary_mcp.postgres.account import ServerAccount
from diary_mcp.postgres.binaries import ENVIRONMENT, find_programs
from diary_mcp.postgres.cluster import NEXT_STEP, Cluster
from diary_mcp.postgres.configuration import (
    ROLE,
    include_settings,
    sync_directory,
    write_configuration,
)
from diary_mcp.postgres.deadline import Deadline
from diary_mcp.postgres.server_log import ServerLog

_UNFINISHED = "postgres.init-"
_REMOVALS = 20
_REMOVAL_INTERVAL_S = 0.05

# Full text search and pg_trgm ask the C library what a letter is, whatever the locale provider:
# under LC_CTYPE=C a typographic quote is one, and to pg_trgm an accented letter is none.
_CHARACTER_TYPES = "en_US.UTF-8" if sys.platform == "darwin" else "C.UTF-8"

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


def create_cluster(cluster: Cluster, account: ServerAccount, deadline: Deadline) -> None:
    """Make the cluster beside its place and move it there when it is complete and on disk.

    Only the holder of the start lock may call this.

    Raises:
        DatabaseUnavailableError: `initdb` failed, or something that is not ours has the place.
    """
    _make_room(cluster)
    for leftover in cluster.data_dir.glob(f"{_UNFINISHED}*"):
        _remove(leftover)
    unfinished = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=cluster.data_dir))
    try:
        os.chown(unfinished, account.uid, account.gid)
        _run_initdb(cluster, unfinished, account, deadline)
        include_settings(unfinished, cluster.settings)
        write_configuration(cluster, unfinished, account)
        unfinished.rename(cluster.directory)
        sync_directory(cluster.data_dir)
    finally:
        _remove(unfinished)
    log.info("postgres.cluster_created", directory=str(cluster.directory))


def _make_room(cluster: Cluster) -> None:
    directory = cluster.directory
    if not directory.exists() or not any(directory.iterdir()):
        return  # a rename replaces an empty directory
    if not _is_unfinished_initdb(directory):
        raise DatabaseUnavailableError(
            f"{directory} holds something that diary-mcp did not make. Move it away. {NEXT_STEP}"
        )
    aside = directory.with_name(f"postgres.incomplete-{datetime.now(UTC):%Y%m%dT%H%M%S%fZ}")
    directory.rename(aside)
    log.warning("postgres.incomplete_cluster_set_aside", moved_to=str(aside))


def _is_unfinished_initdb(directory: Path) -> bool:
    begun = ("PG_VERSION", "pg_wal")
    served_or_restored = ("postmaster.opts", "backup_label", "backup_manifest")
    return any((directory / name).exists() for name in begun) and not any(
        (directory / name).exists() for name in served_or_restored
    )


def _run_initdb(cluster: Cluster, target: Path, account: ServerAccount, deadline: Deadline) -> None:
    command = [
        *account.command_prefix,
        str(find_programs() / "initdb"),
        f"--pgdata={target}",
        f"--username={ROLE}",
        "--auth=peer",
        "--encoding=UTF8",
        "--locale-provider=builtin",
        "--builtin-locale=C.UTF-8",
        "--locale=C",
        f"--lc-ctype={_CHARACTER_TYPES}",
        "--no-instructions",
    ]
    server_log = ServerLog(cluster.log)
    with (
        server_log.opened() as output,
        subprocess.Popen(  # noqa: S603  # our own program and words
            command,
            cwd="/",
            env=ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        ) as initdb,
    ):
        try:
            while initdb.poll() is None:
                deadline.pause()
        except BaseException:
            _kill_group(initdb.pid)
            raise
    if initdb.returncode != 0:
        raise DatabaseUnavailableError(
            f"initdb could not make a database in {cluster.data_dir}: "
            f"{server_log.complaints()}. Everything it said is in {cluster.log}. {NEXT_STEP}"
        )


def _kill_group(leader: int) -> None:
    """Kills `initdb` with the servers that it runs: they would go on writing without it."""
    with suppress(ProcessLookupError):
        os.killpg(leader, signal.SIGKILL)


def _remove(directory: Path) -> None:
    """Removes a directory that processes may still write to which are dying at this moment."""
    for _ in range(_REMOVALS):
        shutil.rmtree(directory, ignore_errors=True)
        if not directory.exists():
            return
        time.sleep(_REMOVAL_INTERVAL_S)
