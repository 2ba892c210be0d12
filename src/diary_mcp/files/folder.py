"""The folder that an export writes into, and nothing outside it."""

import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

from diary_mcp.domain.errors import InvalidArgumentError
from diary_mcp.files.sources import read_bytes

_FOLDER_MODE = 0o700
_FILE_MODE = 0o600


class ExportFolder:
    """A folder that is there, with files that appear whole or not at all."""

    def __init__(self, path: Path) -> None:
        """Makes the folder where it is not there, for its owner alone.

        Raises:
            InvalidArgumentError: it cannot be made, or a file has its name.
        """
        self.path = path
        with _translate_errors(path):
            path.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
            self.place = str(path.resolve())

    def find(self, name: str) -> bytes | None:
        """What the file of this name holds, as far as an entry can reach; `None`: there is none.

        Raises:
            InvalidArgumentError: it cannot be read, or is no file.
        """
        path = self.path / name
        return read_bytes(path) if path.exists() else None

    def write(self, name: str, raw: bytes) -> None:
        """Puts a file in the place of what has its name.

        Raises:
            InvalidArgumentError: it cannot be written; what was there still is.
        """
        with self.replacing(name) as file:
            file.write(raw)

    @contextmanager
    def replacing(self, name: str) -> Generator[BinaryIO]:
        """A new file, which takes the name when the block ends, and vanishes when it raises.

        Raises:
            InvalidArgumentError: it cannot be written; what was there still is.
        """
        draft = self.path / f".diary-mcp-{uuid4().hex}.tmp"
        with _translate_errors(self.path / name):
            try:
                with open(draft, "xb", opener=_open_private) as file:
                    yield file
                draft.replace(self.path / name)
            finally:
                draft.unlink(missing_ok=True)


def _open_private(path: str, flags: int) -> int:
    return os.open(path, flags, _FILE_MODE)


@contextmanager
def _translate_errors(path: Path) -> Generator[None]:
    try:
        yield
    except OSError as error:
        raise InvalidArgumentError(
            f"{path} cannot be written ({error.strerror or error}); export into another folder, or "
            "make room there."
        ) from error
