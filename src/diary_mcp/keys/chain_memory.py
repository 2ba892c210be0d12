"""How far this machine has seen its agent's chains, out of reach of the databases they are in.

`keys/chains/NAME.json` in the data directory has the head of each, by where the chain is kept: a
line for each time that something was remembered, of which the last one counts.
"""

import os
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

from pydantic import TypeAdapter, ValidationError

from diary_mcp.domain.errors import SigningKeyError
from diary_mcp.domain.fields import AgentName
from diary_mcp.service.ports.chain import Head

_HEADS = TypeAdapter(dict[str, Head])
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL
_LINE_MORE = os.O_WRONLY | os.O_APPEND
_MAX_BYTES = 64 * 1024
"""What would be longer is begun anew with its last line."""


class _Stamp(NamedTuple):
    """By what a file is known again that nobody has changed."""

    inode: int
    size: int
    modified_ns: int


class _Seen(NamedTuple):
    """What the file held when it was last read or written."""

    heads: dict[str, Head]
    stamp: _Stamp | None = None
    """`None` where there is no file."""

    may_go_on: bool = False
    """Whether another line may follow: not where the last one has no end."""


class ChainMemoryFile:
    """`ChainMemory` of one agent's chain in one place. Blocks, for as long as a small file takes.

    Processes do not wait for each other here: of two that remember at the same moment one may be
    lost, and the next signature makes up for it.
    """

    def __init__(self, data_dir: Path, agent: AgentName, place: str) -> None:
        self._path = data_dir / "keys" / "chains" / f"{agent}.json"
        self._agent = agent
        self._place = place
        self._seen = _Seen({})

    @property
    def agent(self) -> AgentName:
        return self._agent

    @property
    def path(self) -> str:
        return str(self._path)

    def recall(self) -> Head | None:
        """As `ChainMemory` says.

        Raises:
            SigningKeyError: the file cannot be read, or holds something else.
        """
        return self._read().get(self._place)

    def remember(self, head: Head) -> None:
        """As `ChainMemory` says.

        Raises:
            SigningKeyError: as for `recall`.
            OSError: the file cannot be written.
        """
        heads = self._read()
        known = heads.get(self._place)
        if known is not None and known.sequence >= head.sequence:
            return
        self._write(heads | {self._place: head})

    def forget(self) -> bool:
        """Forgets the chain in this place; whether it knows one in another.

        Raises:
            SigningKeyError: as for `recall`.
            OSError: the file cannot be written.
        """
        heads = {place: head for place, head in self._read().items() if place != self._place}
        if heads:
            self._write(heads)
        else:
            self._path.unlink(missing_ok=True)
        return bool(heads)

    def _write(self, heads: dict[str, Head]) -> None:
        line = _HEADS.dump_json(heads) + b"\n"
        _, stamp, may_go_on = self._seen
        if stamp is None:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # ext4 writes a file out at once that replaces another, which takes longer than the rest.
        elif may_go_on and stamp.size + len(line) <= _MAX_BYTES:
            self._seen = _Seen(heads, _write_to(self._path, line, _LINE_MORE), may_go_on=True)
            return
        draft = self._path.with_name(f".{uuid4().hex}.tmp")
        try:
            stamp = _write_to(draft, line, _NEW)
            draft.replace(self._path)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise
        self._seen = _Seen(heads, stamp, may_go_on=True)

    def _read(self) -> dict[str, Head]:
        try:
            stamp = _stamp(self._path.stat())
            if self._seen.stamp != stamp:
                told = self._path.read_bytes()
                self._seen = _Seen(_last_heads(told), stamp, may_go_on=told.endswith(b"\n"))
        except FileNotFoundError:
            self._seen = _Seen({})
        except (OSError, ValidationError) as error:
            raise SigningKeyError(
                f"{self._path} cannot be read, or holds no heads of chains. Mend it, or move it "
                "away: what this machine has seen is forgotten then."
            ) from error
        return self._seen.heads


def _write_to(path: Path, line: bytes, flags: int) -> _Stamp:
    with os.fdopen(os.open(path, flags, mode=0o600), "wb") as file:
        file.write(line)
        file.flush()
        return _stamp(os.fstat(file.fileno()))


def _last_heads(told: bytes) -> dict[str, Head]:
    """Of the last line that has an end; one value alone may have several, or none."""
    try:
        return _HEADS.validate_json(told)
    except ValidationError:
        ended, _, _ = told.rpartition(b"\n")
        return _HEADS.validate_json(ended.rpartition(b"\n")[2])


def _stamp(status: os.stat_result) -> _Stamp:
    return _Stamp(status.st_ino, status.st_size, status.st_mtime_ns)
