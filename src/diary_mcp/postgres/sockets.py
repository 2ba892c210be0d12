"""The directory of the server's Unix socket, which has to fit into a socket address."""

import os
import stat
import sys
import tempfile
from pathlib import Path
from urllib.parse import quote

from diary_mcp.domain.errors import DatabaseUnavailableError
from diary_mcp.postgres.cluster import Cluster
from diary_mcp.postgres.configuration import ROLE, SERVING_ROLE
from diary_mcp.postgres.processes import read_pid_file

PORT = 5432
DATABASE = "diary"
# The length of sun_path, less the NUL at its end.
_MAX_PATH_BYTES = 103 if sys.platform == "darwin" else 107


def socket_path(directory: Path) -> Path:
    return directory / f".s.PGSQL.{PORT}"


def socket_lock_path(directory: Path) -> Path:
    return directory / f".s.PGSQL.{PORT}.lock"


def database_url(socket_dir: Path, database: str) -> str:
    """For libpq and SQLAlchemy alike; says the port, or PGPORT would."""
    return f"postgresql://{ROLE}@/{database}?host={quote(os.fsencode(socket_dir))}&port={PORT}"


def as_serving_role(url: str) -> str:
    """The same database for the role that serves; the URL by itself is its owner's."""
    return url.replace(f"//{ROLE}@", f"//{SERVING_ROLE}@", 1)


def socket_directory(cluster: Cluster) -> Path:
    """The cluster's own directory, else a private one that every process of ours finds again.

    Raises:
        DatabaseUnavailableError: There is no directory that is short enough, and only ours.
    """
    if _fits(cluster.directory):
        return cluster.directory
    # The environment of the process that started the server may have been another one.
    recorded = read_pid_file(cluster.directory).socket_dir
    if recorded and recorded.name == cluster.name and recorded.exists():
        return make_private_directory(recorded)
    for base in (os.environ.get("XDG_RUNTIME_DIR"), tempfile.gettempdir()):
        if base and _is_trustworthy(Path(base)) and _fits(Path(base) / cluster.name):
            return make_private_directory(Path(base) / cluster.name)
    raise DatabaseUnavailableError(
        f"The path of the data directory {cluster.data_dir} is too long for a Unix socket, and the "
        f"temporary directory {tempfile.gettempdir()} is too, or others can change what is in it. "
        "Set TMPDIR or DIARY_MCP_DATA_DIR to a shorter one of your own."
    )


def make_private_directory(directory: Path) -> Path:
    """Make `directory` where it is missing, so that nobody else can put a socket of theirs there.

    Raises:
        DatabaseUnavailableError: Somebody could have done so.
    """
    directory.mkdir(mode=0o700, exist_ok=True)
    status = directory.lstat()
    private = stat.S_ISDIR(status.st_mode) and not status.st_mode & 0o077
    if not private or status.st_uid != os.geteuid():
        raise DatabaseUnavailableError(
            f"{directory} should be a private directory for the socket of the embedded "
            "PostgreSQL, but it is not one, or it is not yours. Remove it, or set TMPDIR or "
            "DIARY_MCP_DATA_DIR to another directory."
        )
    return directory


def _fits(directory: Path) -> bool:
    path = os.fsencode(socket_path(directory))
    # A comma would make a list of hosts of it, and a URL is UTF-8.
    return len(path) <= _MAX_PATH_BYTES and b"," not in path and _is_utf8(path)


def _is_trustworthy(base: Path) -> bool:
    """Whether nobody can exchange a directory of ours in it."""
    if not base.is_dir() or not os.access(base, os.W_OK | os.X_OK):
        return False
    status = base.stat()
    return status.st_uid in (os.geteuid(), 0) and (
        not status.st_mode & 0o022 or bool(status.st_mode & stat.S_ISVTX)
    )


def _is_utf8(path: bytes) -> bool:
    try:
        path.decode()
    except UnicodeDecodeError:
        return False
    return True
