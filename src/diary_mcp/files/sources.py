"""Which files an import reads, and their bytes.

Folders are walked in the order of their names. Hidden files and folders are passed over, a folder
that was walked already is not walked again (so a loop of symbolic links ends), and what is
neither Markdown nor JSON Lines nor another program's JSON is not looked at. A link that leads out
of the folder that was named is not followed.
"""

import os
import stat
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, BinaryIO, Literal

from diary_mcp.domain.errors import InvalidArgumentError
from diary_mcp.domain.fields import MAX_CONTENT_CHARACTERS, printable
from diary_mcp.files.conversations import find_program
from diary_mcp.files.front_matter import MAX_FRONT_MATTER_CHARACTERS
from diary_mcp.files.other_programs import find_vault, holds_templates, is_transcript
from diary_mcp.files.server_memory import is_graph_line
from diary_mcp.files.zip_archive import list_conversations, open_packed

_LONGEST_CHARACTER_BYTES = 4
MAX_FILE_BYTES = _LONGEST_CHARACTER_BYTES * (MAX_CONTENT_CHARACTERS + MAX_FRONT_MATTER_CHARACTERS)
# JSON may write a character as two escapes of six bytes.
MAX_LINE_BYTES = 12 * MAX_CONTENT_CHARACTERS + 100_000

SourceKind = Literal["markdown", "json_lines", "memory_graph", "chatgpt", "claude"]
_MARKDOWN = frozenset({".md", ".markdown"})
_JSON = frozenset({".json", ".jsonl"})
# By then an export has named the parts of its first conversation.
_BEGINNING_BYTES = 65_536
_LEADS_OUT = (
    "is a link that leads out of the folder, and is not followed; name what it leads to by itself."
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Source:
    """A file to read."""

    path: Path
    kind: SourceKind
    folder: Path | None = None
    """The folder that was named and that it was found in."""
    is_in_vault: bool = False
    """Whether Obsidian keeps it."""
    packed: str | None = None
    """Its name in the zip that `path` is."""


@dataclass(frozen=True)
class Rejection:
    """What was not imported, and why."""

    path: str
    reason: str


def find_sources(paths: Iterable[Path]) -> Generator[Source | Rejection]:
    """The files that `paths` name, each once, and those paths that cannot be used."""
    seen: set[tuple[Path, str | None]] = set()
    for path in paths:
        for found in _find_at(path):
            if isinstance(found, Source):
                place = found.path.parent.resolve() / found.path.name, found.packed
                if place in seen:
                    continue
                seen.add(place)
            yield found


def read_bytes(path: Path) -> bytes:
    """The bytes of a file.

    Raises:
        InvalidArgumentError: it cannot be read, is no file, or is larger than an entry can be.
    """
    with open_regular(path) as file:
        raw = file.read(MAX_FILE_BYTES + 1)
    if len(raw) > MAX_FILE_BYTES:
        raise InvalidArgumentError(
            f"is larger than an entry can be ({MAX_CONTENT_CHARACTERS:,} characters); divide it."
        )
    return raw


def find_modification_time(path: Path) -> datetime:
    """Raises: InvalidArgumentError: it cannot be read, or is no time that an entry can have."""
    try:
        return _EPOCH + timedelta(microseconds=path.stat().st_mtime_ns // 1_000)
    except OSError as error:
        raise unreadable(error) from error
    except OverflowError as error:
        raise InvalidArgumentError(
            "has a modification time that is out of range; give it a `date` in front matter."
        ) from error


@contextmanager
def open_source(source: Source) -> Generator[IO[bytes]]:
    """A source that may be packed, open to read.

    Raises:
        InvalidArgumentError: it cannot be opened, or reading it fails inside the block.
    """
    opened = (
        open_regular(source.path)
        if source.packed is None
        else open_packed(source.path, source.packed)
    )
    with opened as file:
        yield file


@contextmanager
def open_regular(path: Path) -> Generator[BinaryIO]:
    """A file, open to read; never a pipe or a device, which might not end.

    Raises:
        InvalidArgumentError: it cannot be opened, or reading it fails inside the block.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise InvalidArgumentError("is not a regular file; name a file or a folder.")
        with path.open("rb") as file:
            yield file
    except OSError as error:
        raise unreadable(error) from error


def unreadable(error: OSError) -> InvalidArgumentError:
    """Why the system will not let a path be read."""
    return InvalidArgumentError(
        f"cannot be read ({error.strerror or error}); check that it is there and that you may "
        "read it."
    )


def shown(path: Path) -> str:
    """The path as text that any terminal can show."""
    return printable(str(path))


def _find_at(path: Path) -> Generator[Source | Rejection]:
    if _is_folder(path):
        found = list(_walk(path))
        reason = "holds no entries: no .md or .jsonl file is in it, hidden ones aside."
        yield from found or [Rejection(shown(path), reason)]
    elif not os.path.lexists(path):
        yield Rejection(shown(path), "does not exist; name a file or a folder that does.")
    elif path.suffix.lower() == ".zip":
        yield from _find_packed(path)
    elif (kind := _find_kind(path)) is None:
        yield Rejection(shown(path), _why_not(path))
    else:
        yield Source(path, kind, is_in_vault=find_vault(path.parent.resolve()) is not None)


def _find_packed(path: Path) -> Generator[Source | Rejection]:
    found: list[Source] = []
    try:
        for name in list_conversations(path):
            with open_packed(path, name) as file:
                program = find_program(file.read(_BEGINNING_BYTES))
            if program is not None:
                found.append(Source(path, program, packed=name))
    except InvalidArgumentError as error:
        yield Rejection(shown(path), str(error))
        return
    reason = "holds no conversations.json of ChatGPT or Claude; unpack it, and name its folder."
    yield from found or [Rejection(shown(path), reason)]


def _find_kind(path: Path) -> SourceKind | None:
    """What the file is: Markdown by its name, JSON by how it begins."""
    suffix = path.suffix.lower()
    if suffix in _MARKDOWN:
        return "markdown"
    if suffix not in _JSON:
        return None
    beginning = _read_beginning(path)
    line = beginning.lstrip(b"\xef\xbb\xbf \t\r\n").split(b"\n", 1)[0]
    if is_graph_line(line):
        return "memory_graph"
    if suffix == ".json":
        return find_program(beginning)
    return None if is_transcript(line) else "json_lines"


def _read_beginning(path: Path) -> bytes:
    try:
        with open_regular(path) as file:
            return file.read(_BEGINNING_BYTES)
    except InvalidArgumentError:
        # Whoever reads it all tells why not.
        return b""


def _why_not(path: Path) -> str:
    match path.suffix.lower():
        case ".json":
            return (
                "is neither an export of ChatGPT or Claude (conversations.json) nor the memory of "
                "server-memory; leave it out."
            )
        case ".jsonl":
            return "is the transcript of a session, and no diary; leave it out."
        case _:
            return "is neither Markdown (.md) nor JSON Lines (.jsonl); name it so, or leave it out."


def _walk(top: Path) -> Generator[Source | Rejection]:
    boundary = Path(os.path.realpath(top))
    walked: set[str] = set()
    waiting = [top]
    while waiting:
        folder = waiting.pop()
        place = os.path.realpath(folder)
        if place in walked:
            continue
        walked.add(place)
        try:
            paths = sorted(folder.iterdir())
        except OSError as error:
            yield Rejection(shown(folder), str(unreadable(error)))
            continue
        paths = [path for path in paths if not path.name.startswith(".")]
        inside = [path for path in paths if _stays_in(path, boundary)]
        yield from (Rejection(shown(path), _LEADS_OUT) for path in paths if path not in inside)
        folders = [path for path in inside if _is_folder(path)]
        vault = find_vault(Path(place))
        if vault is not None and vault != Path(place) and holds_templates(Path(place), vault):
            continue
        for path in inside:
            if path not in folders and (kind := _find_kind(path)) is not None:
                yield Source(path, kind, top, is_in_vault=vault is not None)
        waiting.extend(reversed(folders))


def _stays_in(path: Path, boundary: Path) -> bool:
    return not path.is_symlink() or Path(os.path.realpath(path)).is_relative_to(boundary)


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:
        return False
