"""The private key of an agent on this machine: `keys/NAME.pem` in the data directory.

Several processes may be first at the same moment. Each writes a file of its own and links it to
the name, which succeeds for one of them; the others read that one.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import anyio.to_thread

from diary_mcp.domain.errors import SigningKeyError
from diary_mcp.domain.fields import AgentName
from diary_mcp.service.ports.chain import SigningKey

if TYPE_CHECKING:
    from diary_mcp.keys.ed25519 import PrivateKey

_OPEN_TO_OTHERS = 0o077
_Stamp = tuple[int, int, int]


class KeyFile:
    """One key file. What it holds is kept in memory until the file changes. Blocks."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._known: tuple[_Stamp, PrivateKey] | None = None

    def load(self) -> "PrivateKey | None":
        """The key; `None` where there is no file.

        Raises:
            SigningKeyError: it cannot be read, others can read it or it is theirs, or it holds
                something else.
        """
        try:
            stamp = self._stamp()
            if self._known is None or self._known[0] != stamp:
                self._known = (stamp, self._read())
        except FileNotFoundError:
            return None
        except OSError as error:
            raise SigningKeyError(
                f"The signing key {self.path} cannot be read ({error.strerror or error}). Let the "
                "user that runs diary-mcp read it (mode 0600), or set DIARY_MCP_SIGNING=off."
            ) from error
        return self._known[1]

    def load_or_create(self) -> "PrivateKey":
        """The key, made now where there is none.

        Raises:
            SigningKeyError: as for `load`, or it cannot be written.
        """
        key = self.load()
        if key is None:
            self.create()
            key = self.load()
        if key is None:
            raise SigningKeyError(f"The signing key {self.path} vanished. Try again.")
        return key

    def create(self) -> None:
        """Writes a new key, unless another process was first.

        Raises:
            SigningKeyError: it cannot be written.
        """
        from diary_mcp.keys.ed25519 import generate_key  # noqa: PLC0415  # imports cryptography

        draft = self.path.with_name(f".{uuid4().hex}.tmp")
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            try:
                with os.fdopen(descriptor, "wb") as file:
                    file.write(generate_key().to_pem())
                    file.flush()
                    os.fsync(file.fileno())
                os.link(draft, self.path)
            finally:
                draft.unlink(missing_ok=True)
        except FileExistsError:
            return
        except OSError as error:
            raise SigningKeyError(
                f"The signing key {self.path} cannot be made ({error.strerror or error}). Make "
                "room there, or set DIARY_MCP_DATA_DIR, or DIARY_MCP_SIGNING=off."
            ) from error

    def _stamp(self) -> _Stamp:
        status = self.path.stat()
        if os.name == "posix" and status.st_mode & _OPEN_TO_OTHERS:
            raise SigningKeyError(
                f"The signing key {self.path} can be read by others (mode "
                f"{status.st_mode & 0o777:04o}). Run `chmod 600 {self.path}`; if somebody may have "
                "read it, `diary-mcp key rotate` after that."
            )
        if os.name == "posix" and status.st_uid not in (os.geteuid(), 0):
            raise SigningKeyError(
                f"The signing key {self.path} belongs to another user (uid {status.st_uid}), who "
                "can sign with it. If it is yours, take it over with `chown`; else move it away, "
                "and `diary-mcp key takeover` begins with a new key."
            )
        return status.st_ino, status.st_size, status.st_mtime_ns

    def _read(self) -> "PrivateKey":
        from diary_mcp.keys.ed25519 import read_pem  # noqa: PLC0415  # imports cryptography

        try:
            return read_pem(self.path.read_bytes())
        except ValueError as error:
            raise SigningKeyError(
                f"The signing key {self.path} {error}. Put the right file back; without one, move "
                "it away, and `diary-mcp key takeover` begins with a new key."
            ) from error


class AgentKeys:
    """The keys of one agent in a data directory: the present one, and one that replaces it."""

    def __init__(self, data_dir: Path, agent: AgentName) -> None:
        self.agent = agent
        self.present = KeyFile(data_dir / "keys" / f"{agent}.pem")
        self.next = KeyFile(data_dir / "keys" / "next" / f"{agent}.pem")

    def load(self) -> "list[PrivateKey]":
        """The present key, made now where there is none; then the next, if a rotation left one.

        Raises:
            SigningKeyError: a file cannot be used.
        """
        following = self.next.load()
        return [self.present.load_or_create(), *([] if following is None else [following])]

    def rotate(self) -> None:
        """Puts the next key in the place of the present one, which is gone for good.

        Raises:
            SigningKeyError: it cannot be written.
        """
        try:
            self.next.path.replace(self.present.path)
        except OSError as error:
            raise SigningKeyError(
                f"{self.next.path} cannot take the place of {self.present.path} "
                f"({error.strerror or error}). Run `diary-mcp key rotate` again."
            ) from error

    def set_aside(self) -> Path | None:
        """Puts the present key, and a next one, where nobody signs with it; where the first is.

        Raises:
            SigningKeyError: it cannot be moved.
        """
        folder = self.present.path.parent / "removed"
        moved: Path | None = None
        try:
            for key in (self.next, self.present):
                if key.path.exists():
                    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                    moved = key.path.replace(folder / f"{self.agent}.{uuid4().hex[:8]}.pem")
        except OSError as error:
            raise SigningKeyError(
                f"The signing key {self.present.path} cannot be moved to {folder} "
                f"({error.strerror or error}). Move it away by hand."
            ) from error
        return moved


class LocalSigner:
    """`Signer` with the key files of one agent."""

    def __init__(self, keys: AgentKeys) -> None:
        self._keys = keys
        self._is_ready = False

    @property
    def agent(self) -> AgentName:
        return self._keys.agent

    async def keys(self) -> Sequence[SigningKey]:
        """As `Signer` says; the first time it imports what it needs, and may make the key."""
        if self._is_ready:
            # Looks only whether the files have changed.
            return self._keys.load()
        keys = await anyio.to_thread.run_sync(self._keys.load)
        self._is_ready = True
        return keys
