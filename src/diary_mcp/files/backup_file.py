"""A backup: one tar file with a manifest, the dump of the database, and the keys."""

import hashlib
import os
import re
import shutil
import tarfile
import tempfile
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ValidationError

from diary_mcp.domain.errors import InvalidArgumentError

DUMP = "database.dump"
_MANIFEST = "manifest.json"
_KEYS = "keys"
_NAME = re.compile(r"manifest\.json|database\.dump|keys/(?:(?:chains|next|removed)/)?\w[\w.-]*")
_MAX_MANIFEST_BYTES = 1_000_000


class Manifest(BaseModel, frozen=True, extra="forbid"):
    """What a backup holds, by name and SHA-256, and what it was made of."""

    format: Literal["diary-mcp-backup"] = "diary-mcp-backup"
    format_version: Literal[1] = 1
    version: str
    made_at: datetime
    settings: Mapping[str, str]
    files: Mapping[str, str]


def write_backup(
    path: Path, folder: Path, *, version: str, made_at: datetime, settings: Mapping[str, str]
) -> Manifest:
    """Packs the folder, which has the dump and the keys, into a file that only its owner reads.

    Raises:
        InvalidArgumentError: there is a file of that name.
        OSError: it cannot be written; nothing is left then.
    """
    names = sorted(str(each.relative_to(folder)) for each in folder.rglob("*") if each.is_file())
    manifest = Manifest(
        version=version,
        made_at=made_at,
        settings=settings,
        files={name: _hash(folder / name) for name in names},
    )
    (folder / _MANIFEST).write_text(manifest.model_dump_json(indent=2), "utf-8")
    descriptor, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            with tarfile.open(fileobj=file, mode="w") as archive:
                for name in (_MANIFEST, *names):
                    archive.add(folder / name, name)
            file.flush()
            os.fsync(file.fileno())
        os.link(draft, path)
    except FileExistsError as error:
        raise InvalidArgumentError(f"{path} exists already. Name another file.") from error
    finally:
        Path(draft).unlink(missing_ok=True)
    return manifest


@contextmanager
def opened_backup(path: Path, beside: Path | None = None) -> Generator[tuple[Manifest, Path]]:
    """The manifest, and a folder with the files as they were packed, each checked.

    Raises:
        InvalidArgumentError: it is no backup, or not what was written.
    """
    with tempfile.TemporaryDirectory(prefix="diary-mcp-", dir=beside) as folder:
        try:
            manifest = _unpack(path, Path(folder))
        except FileNotFoundError as error:
            raise InvalidArgumentError(f"There is no file {path}.") from error
        except (tarfile.TarError, ValidationError, OSError, EOFError) as error:
            raise InvalidArgumentError(
                f"{path} is not a backup of diary-mcp, or it is damaged."
            ) from error
        yield manifest, Path(folder)


def copy_keys(data_dir: Path, folder: Path) -> None:
    """Copies the keys, and what is remembered of the chains, into a folder that is packed.

    Before the database is dumped: a chain that goes on meanwhile is then ahead of what is
    remembered of it, and never behind.
    """
    for each in _list_keys(data_dir):
        target = folder / each.relative_to(data_dir)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(each.read_bytes())


def find_other_key(folder: Path, data_dir: Path) -> Path | None:
    """A key in the data directory that is not the one in the backup."""
    for each in _list_keys(folder):
        there = data_dir / each.relative_to(folder)
        is_key = each.suffix == ".pem"
        if is_key and there.exists() and there.read_bytes() != each.read_bytes():
            return there
    return None


def put_keys(folder: Path, data_dir: Path) -> None:
    """Writes the keys of the backup where they belong, for their owner only."""
    for each in _list_keys(folder):
        target = data_dir / each.relative_to(folder)
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(each.read_bytes())


def _list_keys(folder: Path) -> list[Path]:
    keys = (folder / _KEYS).rglob("*")
    return [each for each in keys if each.is_file() and not each.name.startswith(".")]


def _unpack(path: Path, folder: Path) -> Manifest:
    with tarfile.open(path, "r:") as archive:
        first = archive.next()
        if first is None or first.name != _MANIFEST or first.size > _MAX_MANIFEST_BYTES:
            raise tarfile.TarError("no manifest")
        _extract(archive, first, folder)
        manifest = Manifest.model_validate_json((folder / _MANIFEST).read_bytes())
        for member in archive.getmembers()[1:]:
            if member.name not in manifest.files:
                raise tarfile.TarError("more than the manifest names")
            _extract(archive, member, folder)
    for name, digest in manifest.files.items():
        if not (folder / name).is_file() or _hash(folder / name) != digest:
            raise tarfile.TarError(f"{name} is not as it was packed")
    if DUMP not in manifest.files:
        raise tarfile.TarError("no dump")
    return manifest


def _extract(archive: tarfile.TarFile, member: tarfile.TarInfo, folder: Path) -> None:
    packed = archive.extractfile(member) if member.isreg() else None
    if packed is None or not _NAME.fullmatch(member.name):
        raise tarfile.TarError(f"{member.name} does not belong here")
    target = folder / member.name
    target.parent.mkdir(parents=True, exist_ok=True)
    with packed, target.open("xb") as file:
        shutil.copyfileobj(packed, file)


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
