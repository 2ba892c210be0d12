"""What the server's processes say: their log file in the data directory."""

import contextlib
import os
import re
from collections.abc import Generator
from pathlib import Path

_MAX_BYTES = 4 * 1024 * 1024
_TAIL_BYTES = 64 * 1024
_LINE_PREFIX = re.compile(r"^\S+ \S+ [A-Z]+ \[\d+\] ")
# The last three are only log lines, before the FATAL one that says no more than "errors".
_COMPLAINTS = re.compile(
    r"FATAL:|PANIC:|error:|setpriv:|invalid value|unrecognized configuration|syntax error"
)
_MAX_COMPLAINTS = 3


class ServerLog:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen_bytes = path.stat().st_size if path.exists() else 0

    def rotate(self) -> None:
        """Keep the log bounded: a large one makes way, and only one old one is kept.

        Only while no server writes to it.
        """
        if self._seen_bytes > _MAX_BYTES:
            self._path.replace(self._path.with_name(f"{self._path.name}.1"))
            self._seen_bytes = 0

    @contextlib.contextmanager
    def opened(self) -> Generator[int]:
        """A descriptor to which everything written is appended."""
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW
        fd = os.open(self._path, flags, 0o600)
        try:
            yield fd
        finally:
            os.close(fd)

    def complaints(self) -> str:
        """The last lines since this object was made that tell why something failed."""
        with self._path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(self._seen_bytes, size - _TAIL_BYTES))
            text = file.read().decode(errors="replace")
        lines = [_LINE_PREFIX.sub("", line) for line in text.splitlines() if line.strip()]
        complaints = dict.fromkeys(line for line in lines if _COMPLAINTS.search(line))
        if not complaints and _is_full(self._path):
            return "no space is left on the disk"
        return "; ".join([*complaints][-_MAX_COMPLAINTS:] or lines[-1:] or ["it said nothing"])


def _is_full(path: Path) -> bool:
    """Whether not even a complaint may have found room."""
    disk = os.statvfs(path)
    has_no_names = disk.f_files > 0 and disk.f_favail == 0
    return has_no_names or disk.f_bavail * disk.f_frsize < _TAIL_BYTES
