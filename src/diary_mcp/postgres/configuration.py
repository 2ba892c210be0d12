"""The files that configure the cluster, written anew before each start of the server.

So an upgrade can change them. What an administrator sets with `alter system` stays in force,
except for what decides who can connect: that is on the command line (`server.py`).
"""

import os
import tempfile
from pathlib import Path

from diary_mcp.postgres.account import ServerAccount
from diary_mcp.postgres.cluster import Cluster

ROLE = "diary"
"""Owns the database and migrates it."""
SERVING_ROLE = "diary_server"
"""Serves, and owns nothing."""

_SETTINGS = """\
# Written by diary-mcp before each start. Your own settings: alter system set ...
# Small enough for a laptop.
max_connections = 250
shared_buffers = 64MB
# No transaction is serializable; room for the locks of so many takes as much as a backend.
max_pred_locks_per_transaction = 10
io_method = sync
max_logical_replication_workers = 0
# An old write-ahead log is what a start after a crash has to read.
max_wal_size = 256MB
# A segment that is used again would go on holding what was deleted since.
wal_recycle = off
# What was acknowledged survives.
fsync = on
synchronous_commit = on
full_page_writes = on
autovacuum = on
# Whoever does not wait for the disk is on it within three of these. After each write, fifty of them
# wake up a process that has nothing to do.
wal_writer_delay = 333ms
timezone = 'UTC'
log_timezone = 'UTC'
# The log must not repeat what the diary says: no statements, no failing rows.
log_destination = 'stderr'
logging_collector = off
log_min_messages = warning
log_min_error_statement = panic
log_error_verbosity = terse
log_line_prefix = '%m [%p] '
"""

_WHO_MAY_CONNECT = """\
# Written by diary-mcp before each start.
# TYPE  DATABASE     USER  METHOD
local   all          all   peer map=owner
local   replication  all   peer map=owner
"""


def include_settings(cluster_directory: Path, settings: Path) -> None:
    """Make a new cluster read our settings after those that `initdb` wrote."""
    with (cluster_directory / "postgresql.conf").open("a", encoding="utf-8") as main:
        main.write(f"\ninclude '{settings.name}'\n")


def write_configuration(cluster: Cluster, directory: Path, account: ServerAccount) -> bool:
    """Write what differs from it into `directory`: the cluster's, or one that becomes it.

    Returns:
        Whether anything did.
    """
    has_changed = False
    quoted = account.client.replace('"', '""')
    files = {
        "pg_hba.conf": _WHO_MAY_CONNECT,
        "pg_ident.conf": (
            "# Written by diary-mcp before each start.\n"
            f'# MAP   SYSTEM USER  ROLE\nowner   "{quoted}"  {ROLE}\n'
            f'owner   "{quoted}"  {SERVING_ROLE}\n'
        ),
        # The last one: it marks the cluster as complete.
        cluster.settings.name: _SETTINGS,
    }
    for name, text in files.items():
        path = directory / name
        if not path.exists() or path.read_text(encoding="utf-8", errors="replace") != text:
            _write_at_once(path, text, account)
            has_changed = True
    return has_changed


def sync_directory(directory: Path) -> None:
    """Make renamed and new names in `directory` survive a power failure."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _write_at_once(path: Path, text: str, account: ServerAccount) -> None:
    # Under a new name first, and never through a link that somebody put there.
    fd, temporary = tempfile.mkstemp(dir=path.parent, prefix=f"{path.name}.")
    with open(fd, "w", encoding="utf-8") as file:  # noqa: PTH123  # a descriptor, not a path
        os.fchown(fd, account.uid, account.gid)
        file.write(text)
        file.flush()
        os.fsync(fd)
    Path(temporary).replace(path)
    sync_directory(path.parent)
