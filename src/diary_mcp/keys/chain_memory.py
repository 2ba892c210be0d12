"""How far this machine has seen its agent's chains, out of reach of the databases they are in.

`keys/chains/NAME.json` in the data directory has the head of each, by where the chain is kept.
"""

import os
from pathlib import Path
from uuid import uuid4

from pydantic import TypeAdapter, ValidationError

from diary_mcp.domain.errors import SigningKeyError
from diary_mcp.domain.fields import AgentName
from diary_mcp.service.ports.chain import Head

_HEADS = TypeAdapter(dict[str, Head])
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL
_Stamp = tuple[int, int, int]


class ChainMemoryFile:
    """`ChainMemory` of one agent's chain in one place. Blocks, for as long as a small file takes.

    Processes do not wait for each other here: of two that remember at the same moment one may be
    lost, and the next signature makes up for it.
    """

    def __init__(self, data_dir: Path, agent: AgentName, place: str) -> None:
        self._path = data_dir / "keys" / "chains" / f"{agent}.json"
        self._agent = agent
        self._place = place
        self._known: tuple[_Stamp | None, dict[str, Head]] = (None, {})

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
        if self._known[0] is None:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = self._path.with_name(f".{uuid4().hex}.tmp")
        try:
            with os.fdopen(os.open(draft, _NEW, mode=0o600), "wb") as file:
                file.write(_HEADS.dump_json(heads, indent=1))
                file.flush()
                stamp = _stamp(os.fstat(file.fileno()))
            draft.replace(self._path)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise
        self._known = (stamp, heads)

    def _read(self) -> dict[str, Head]:
        try:
            stamp = _stamp(self._path.stat())
            if self._known[0] != stamp:
                self._known = (stamp, _HEADS.validate_json(self._path.read_bytes()))
        except FileNotFoundError:
            self._known = (None, {})
        except (OSError, ValidationError) as error:
            raise SigningKeyError(
                f"{self._path} cannot be read, or holds no heads of chains. Mend it, or move it "
                "away: what this machine has seen is forgotten then."
            ) from error
        return self._known[1]


def _stamp(status: os.stat_result) -> _Stamp:
    return status.st_ino, status.st_size, status.st_mtime_ns
