"""Locks between processes: the kernel frees them when their holder ends, however it ends."""

import contextlib
import fcntl
import os
from collections.abc import Generator
from pathlib import Path

from diary_mcp.postgres.deadline import Deadline


class FileLock:
    """An flock on an open file of its own, so two of one process exclude each other as well."""

    def __init__(self, path: Path) -> None:
        # Python keeps it from children: a lock must not outlive the process that took it.
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)

    def fileno(self) -> int:
        return self._fd

    def try_exclusive(self) -> bool:
        """Take it for oneself alone, or change a shared hold into that; False if others hold it.

        A failed change from shared to exclusive gives the shared hold up.
        """
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def wait_exclusive(self, deadline: Deadline) -> None:
        while not self.try_exclusive():
            deadline.pause()

    def wait_shared(self, deadline: Deadline) -> None:
        while not self._try_shared():
            deadline.pause()

    def close(self) -> None:
        os.close(self._fd)

    def _try_shared(self) -> bool:
        try:
            fcntl.flock(self._fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


@contextlib.contextmanager
def opened_lock(path: Path) -> Generator[FileLock]:
    """The lock file at `path`, not locked yet; leaving the block frees it."""
    lock = FileLock(path)
    try:
        yield lock
    finally:
        lock.close()
