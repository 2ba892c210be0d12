"""What is packed in a zip: that is how ChatGPT and Claude hand out their exports."""

import lzma
import struct
import zipfile
import zlib
from collections.abc import Generator
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath
from typing import IO

from diary_mcp.domain.errors import InvalidArgumentError
from diary_mcp.domain.fields import printable

# Whatever the zip says of itself, no more is unpacked.
MAX_UNPACKED_BYTES = 1 << 30
_CONVERSATIONS = "conversations*.json"
# Encrypted, packed in another way, damaged.
_UNUSABLE = (
    RuntimeError,
    NotImplementedError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    UnicodeDecodeError,
    EOFError,
)


def list_conversations(path: Path) -> list[str]:
    """The names in the zip of what holds conversations.

    Raises:
        InvalidArgumentError: it cannot be read, or is larger than 1 GiB when unpacked.
    """
    with _opened(path) as packed:
        found = [
            each
            for each in packed.infolist()
            if fnmatch(PurePosixPath(each.filename).name, _CONVERSATIONS)
        ]
    if sum(each.file_size for each in found) > MAX_UNPACKED_BYTES:
        raise InvalidArgumentError("holds more than 1 GiB of conversations; unpack it yourself.")
    return sorted(each.filename for each in found)


@contextmanager
def open_packed(path: Path, name: str) -> Generator[IO[bytes]]:
    """One file of the zip, unpacked while it is read.

    Raises:
        InvalidArgumentError: it cannot be read, here or inside the block.
    """
    with _opened(path) as packed, packed.open(name) as file:
        yield file


@contextmanager
def _opened(path: Path) -> Generator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(path) as packed:
            yield packed
    except OSError as error:
        raise InvalidArgumentError(f"cannot be read ({error.strerror or error}).") from error
    except _UNUSABLE as error:
        raise InvalidArgumentError(
            f"cannot be unpacked ({printable(str(error))}); unpack it yourself."
        ) from error
