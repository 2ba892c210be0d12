"""What hooks leave behind in the data directory: whom they asked, and how often they failed."""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

_MAX_BYTES = 100_000
_HASH_CHARACTERS = 32


@dataclass(frozen=True)
class HookFailures:
    """Failures since a hook of this data directory last did what it is for."""

    count: int
    last: str
    """When, which hook, and why."""


class HookState:
    """Reading makes nothing; writing makes the folder, and raises `OSError` where it cannot."""

    def __init__(self, data_dir: Path) -> None:
        self._folder = data_dir / "hooks"

    def is_first_question(self, session: str) -> bool:
        """Whether nobody was asked in this session before; from now on somebody was."""
        name = hashlib.sha256(session.encode("utf-8", "replace")).hexdigest()[:_HASH_CHARACTERS]
        asked = self._folder / "asked"
        asked.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            (asked / name).touch(exist_ok=False)
        except FileExistsError:
            return False
        return True

    def count_failure(self, event: str, reason: str) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        line = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} {event}: {' '.join(reason.split())}\n"
        with self._failures(event).open("a", encoding="utf-8", errors="replace") as file:
            if file.tell() < _MAX_BYTES:
                file.write(line)

    def forget_failures(self, event: str) -> None:
        self._failures(event).unlink(missing_ok=True)

    def find_failures(self) -> HookFailures | None:
        lines = [
            line
            for path in self._folder.glob("*.failures")
            for line in path.read_text("utf-8", errors="replace").splitlines()
        ]
        return HookFailures(len(lines), max(lines)) if lines else None

    def _failures(self, event: str) -> Path:
        return self._folder / f"{event}.failures"
