"""Where the embedded PostgreSQL keeps its things inside a data directory."""

import os
import stat
import subprocess
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import structlog

from diary_mcp.domain.errors import DatabaseUnavailableError

_OTHERS = 0o077
_OTHERS_WRITE = 0o022
# The last one is what a file system of its own has.
_OUR_NAMES = frozenset({"postgres", "keys", "hooks", "lost+found"})
NEXT_STEP = (
    "Choose another directory with DIARY_MCP_DATA_DIR, or use a PostgreSQL of your own with "
    "DIARY_MCP_DATABASE_URL."
)

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Cluster:
    """The paths of one cluster; `data_dir` is absolute and free of symbolic links."""

    data_dir: Path

    @property
    def directory(self) -> Path:
        return self.data_dir / "postgres"

    @property
    def log(self) -> Path:
        return self.data_dir / "postgres.log"

    @property
    def start_lock(self) -> Path:
        """Held alone by whoever starts or stops the server."""
        return self.data_dir / "postgres.start.lock"

    @property
    def users_lock(self) -> Path:
        """Shared by everybody who uses the server."""
        return self.data_dir / "postgres.users.lock"

    @property
    def server_lock(self) -> Path:
        """Held by the server's own processes: free means that none of them is left."""
        return self.directory / "diary_mcp.lock"

    @property
    def settings(self) -> Path:
        """Our part of the configuration; it also marks the cluster as completely made."""
        return self.directory / "diary_mcp.conf"

    @property
    def is_complete(self) -> bool:
        return self.settings.exists()

    @property
    def name(self) -> str:
        """What tells this directory from every other on the machine, also from its own copy.

        A directory's inode number is not used again while a server still works in it.
        """
        status = self.directory.stat()
        return f"diary-mcp-{status.st_dev:x}-{status.st_ino:x}"


def has_cluster(data_dir: Path) -> bool:
    """Whether a cluster was made in `data_dir`; makes nothing.

    Raises:
        DatabaseUnavailableError: the directory cannot be looked at.
    """
    with system_errors_named(data_dir):
        return Cluster(Path(os.path.realpath(data_dir))).is_complete


def require_place(data_dir: Path) -> None:
    """Makes sure that a cluster could be made in `data_dir`; nothing of what it tries stays.

    Raises:
        DatabaseUnavailableError: why not, as `prepare_cluster` would say it.
    """
    path = Path(os.path.realpath(data_dir))
    with system_errors_named(data_dir):
        nearest = next(each for each in (path, *path.parents) if os.path.lexists(each))
        if not nearest.is_dir():
            raise _taken_by_a_file(path)
        if nearest == path:
            _require_owner(path)
            _is_to_be_closed(path)
        # Modes do not tell what a file system takes, and root is beyond them.
        try:
            with tempfile.TemporaryDirectory(prefix="postgres.looked-", dir=nearest):
                pass
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(path)) from error


@contextmanager
def system_errors_named(data_dir: Path) -> Generator[None]:
    """Turns what the system says of the data directory into a `DatabaseUnavailableError`."""
    try:
        yield
    except (OSError, subprocess.SubprocessError) as error:
        raise DatabaseUnavailableError(
            f"The data directory {data_dir} cannot be used: {error}. It has to be writable for "
            f"this user, on a disk with space left. {NEXT_STEP}"
        ) from error


def prepare_cluster(data_dir: Path) -> Cluster:
    """The cluster of `data_dir`, which is created, for its owner only, where it is missing.

    Raises:
        DatabaseUnavailableError: There is something else in its place, or it is another user's.
    """
    path = Path(os.path.realpath(data_dir))
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise _taken_by_a_file(path) from error
    _require_owner(path)
    if _is_to_be_closed(path):
        mode = stat.S_IMODE(path.stat().st_mode)
        path.chmod(mode & 0o700)
        # What came between the look and the closing.
        _refuse_planted(path, mode)
        log.warning("data_dir.closed_to_others", directory=str(path), mode=f"{mode:04o}")
    return Cluster(path)


def _taken_by_a_file(path: Path) -> DatabaseUnavailableError:
    return DatabaseUnavailableError(
        f"The data directory {path} cannot be made: there is a file in its place. {NEXT_STEP}"
    )


def _require_owner(path: Path) -> None:
    # A directory of root's is fine: what is inside belongs to us, and root may do anything anyway.
    owner = path.stat().st_uid
    if owner not in (os.geteuid(), 0):
        raise DatabaseUnavailableError(
            f"The data directory {path} belongs to another user (uid {owner}), and only its owner "
            f"may use the database in it. Run diary-mcp as that user. {NEXT_STEP}"
        )


def _is_to_be_closed(path: Path) -> bool:
    """Whether to take from group and others what a directory that was made beforehand gives them.

    Root's PostgreSQL runs under an account that other programs may run under as well: what is
    inside belongs to them too, and the way to it is all that keeps them out. For an ordinary user
    what is inside is private by itself, unless others may put something in its place.
    """
    status = path.stat()
    mode = stat.S_IMODE(status.st_mode)
    if status.st_uid != os.geteuid() or not mode & _OTHERS:
        return False
    if all(_is_ours(each) for each in path.iterdir()):
        _refuse_planted(path, mode)
        return True
    if os.geteuid() == 0 or mode & _OTHERS_WRITE:
        raise DatabaseUnavailableError(
            f"The data directory {path} is open to other users (mode {mode:04o}), and it holds "
            f"more than a diary, so its mode is left to you: run `chmod 700 {path}`, or better "
            f"give the diary a directory of its own. {NEXT_STEP}"
        )
    return False


def _refuse_planted(path: Path, mode: int) -> None:
    """Takes nothing that others may have put there: a database of theirs runs what they like.

    Raises:
        DatabaseUnavailableError: there is something that is not this user's.
    """
    if not mode & _OTHERS_WRITE:
        return
    planted = sorted(each.name for each in path.iterdir() if each.lstat().st_uid != os.geteuid())
    if planted:
        raise DatabaseUnavailableError(
            f"Others could write to the data directory {path} (mode {mode:04o}), and what is in it "
            f"is not all yours: {', '.join(planted)}. If you know that it is your diary, run "
            f"`chmod 700 {path}`; else move it away. {NEXT_STEP}"
        )


def _is_ours(path: Path) -> bool:
    return path.name in _OUR_NAMES or path.name.startswith("postgres.")
