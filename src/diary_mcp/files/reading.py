"""From paths to entries, one after another; what cannot be read is named and passed over."""

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from diary_mcp.domain.credentials import CredentialDoor
from diary_mcp.domain.errors import InvalidArgumentError
from diary_mcp.domain.fields import printable
from diary_mcp.files.conversations import Program, Unreadable, read_conversations
from diary_mcp.files.drafts import decode_text
from diary_mcp.files.json_lines import read_line
from diary_mcp.files.markdown import read_markdown
from diary_mcp.files.names import read_name, without_suffix
from diary_mcp.files.other_programs import adapt
from diary_mcp.files.server_memory import BadLine, read_graph
from diary_mcp.files.sources import (
    MAX_LINE_BYTES,
    Rejection,
    Source,
    find_modification_time,
    open_regular,
    open_source,
    read_bytes,
    shown,
)
from diary_mcp.service.archive.importer import ImportedEntry

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_MAX_FOLDERS = 6
_MAX_KEY = 255


CLOSED_DOOR = CredentialDoor(way_through="--allow-secrets")


@dataclass
class Batch:
    """Entries to import together, and what was passed over on the way to them."""

    entries: list[ImportedEntry] = field(default_factory=list[ImportedEntry])
    rejected: list[Rejection] = field(default_factory=list[Rejection])
    repeated: int = 0
    """Lines without key and id that say to the byte what an earlier one says."""
    files_done: int = 0
    """Of the whole run, files that were read to their end."""


def read_batches(
    sources: Sequence[Source], size: int, door: CredentialDoor = CLOSED_DOOR
) -> Generator[Batch]:
    """What the files hold, at most `size` entries at a time.

    A key or an id that was there before in the same run is rejected, and what `door` refuses.
    """
    origins: dict[str, str] = {}
    batch = Batch()
    names = distinct_names(sources)
    for files_done, (source, name) in enumerate(zip(sources, names, strict=True), start=1):
        for item in read_source(source, name):
            if len(batch.entries) == size:
                yield batch
                batch = Batch(files_done=files_done - 1)
            if isinstance(item, Rejection):
                batch.rejected.append(item)
            else:
                _add(item, batch, origins, door)
        batch.files_done = files_done
    yield batch


def distinct_names(sources: Sequence[Source]) -> list[str]:
    """A name for each file: its own, and where that is there twice, with its folders before it."""
    names = [_own_name(source.path) for source in sources]
    for longer in (_name_in_folder, _name_with_folder):
        keys = [read_name(name) for name in names]
        folders: dict[str, set[Path]] = {}
        for source, key in zip(sources, keys, strict=True):
            if source.kind in {"markdown", "memory_graph"}:
                folders.setdefault(key, set()).add(source.path.parent)
        names = [
            longer(source) if len(folders.get(key, ())) > 1 else name
            for source, name, key in zip(sources, names, keys, strict=True)
        ]
    return names


def _name_in_folder(source: Source) -> str:
    path = source.path if source.folder is None else source.path.relative_to(source.folder)
    within = path.parent.parts if source.folder is not None else ()
    return "/".join([*within, _own_name(path)])


def _name_with_folder(source: Source) -> str:
    folder = source.folder or source.path.parent
    return f"{folder.resolve().name}/{_name_in_folder(source)}"


def _own_name(path: Path) -> str:
    return path.stem if path.suffix.lower() in {".json", ".jsonl"} else without_suffix(path.name)


@dataclass(frozen=True)
class Found:
    """An entry, and the file or line that it is in."""

    origin: str
    entry: ImportedEntry


def _add(found: Found, batch: Batch, origins: dict[str, str], door: CredentialDoor) -> None:
    """Adds an entry, unless an earlier one of the run has its key or id, or the door is closed."""
    names = _names(found.entry)
    taken = next((name for name in names if name in origins), None)
    if taken is None:
        origins.update(dict.fromkeys(names, found.origin))
        try:
            batch.entries.append(replace(_admitted(found.entry, door), place=found.origin))
        except InvalidArgumentError as error:
            batch.rejected.append(Rejection(found.origin, str(error)))
    elif taken == found.entry.source_hash:
        batch.repeated += 1
    else:
        reason = (
            f"has the key or id {taken!r} of {origins[taken]}, which is imported already; rename "
            "one of the two."
        )
        batch.rejected.append(Rejection(found.origin, reason))


def _admitted(entry: ImportedEntry, door: CredentialDoor) -> ImportedEntry:
    draft = door.admit(entry.draft, front_matter=entry.front_matter)
    return entry if draft is entry.draft else replace(entry, draft=draft)


def _names(entry: ImportedEntry) -> Sequence[str]:
    names = [entry.draft.key, entry.entry_id and str(entry.entry_id)]
    return [name for name in names if name is not None] or [entry.source_hash]


def read_source(source: Source, name: str | None = None) -> Generator[Found | Rejection]:
    """Every entry that a file holds; `name` where it is not just the file's own."""
    origin = shown(source.path)
    try:
        match source.kind:
            case "json_lines":
                yield from _read_lines(source.path, origin)
            case "memory_graph":
                yield from _read_graph(source, name or source.path.stem, origin)
            case "chatgpt" | "claude":
                yield from _read_conversations(source, source.kind, origin)
            case "markdown":
                yield from _read_file(source, name, origin)
    except InvalidArgumentError as error:
        yield Rejection(origin, str(error))


def _other_keys(path: Path, key: str | None, last: str) -> Sequence[str]:
    """With fewer and with more folders before its name, the shortest first."""
    if key is None:
        return ()
    longest = [*path.parent.parts[1:][-_MAX_FOLDERS:], last]
    keys = [read_name("/".join(longest[-count:])) for count in range(1, len(longest) + 1)]
    return [each for each in keys if each != key and len(each) <= _MAX_KEY]


def _read_file(source: Source, name: str | None, origin: str) -> Generator[Found]:
    """The entry of a Markdown file; none of a note that Obsidian made and nobody filled."""
    raw = read_bytes(source.path)
    if source.is_in_vault and not raw.removeprefix(_BYTE_ORDER_MARK).strip():
        return
    own_name = _own_name(source.path)
    entry = read_markdown(
        raw,
        name=own_name if name is None else name,
        modified_at=find_modification_time(source.path),
        # A note of properties alone says what it is by its name.
        in_place_of_nothing=f"# {own_name}\n" if source.is_in_vault else "",
    )
    entry = adapt(entry, source.path, is_in_vault=source.is_in_vault)
    path = source.path.resolve()
    keys = _other_keys(path, entry.draft.key, own_name)
    yield Found(origin, replace(entry, path=str(path), other_keys=keys))


def _read_graph(source: Source, name: str, origin: str) -> Generator[Found | Rejection]:
    path = source.path.resolve()
    modified_at = find_modification_time(source.path)
    with open_regular(source.path) as file:
        for item in read_graph(file, name=name, modified_at=modified_at):
            if isinstance(item, BadLine):
                place = f"{origin}:{item.number}" if item.number else origin
                yield Rejection(place, item.reason)
            else:
                key = item.draft.key
                last = f"{source.path.stem}/{(key or '').removeprefix(f'{name}/')}"
                keys = _other_keys(path, key, last)
                yield Found(origin, replace(item, path=str(path), other_keys=keys))


def _read_conversations(
    source: Source, program: Program, origin: str
) -> Generator[Found | Rejection]:
    with open_source(source) as file:
        text = decode_text(file.read())
    for item in read_conversations(text, program, find_modification_time(source.path)):
        if isinstance(item, Unreadable):
            yield Rejection(f"{origin}: {printable(item.title)}", item.reason)
        else:
            yield Found(f"{origin}: {printable(item.draft.title or item.draft.key or '')}", item)


def _read_lines(path: Path, origin: str) -> Generator[Found | Rejection]:
    number = 0
    with open_regular(path) as file:
        while line := file.readline(MAX_LINE_BYTES + 1):
            number += 1
            if len(line) > MAX_LINE_BYTES:
                while line and not line.endswith(b"\n"):
                    line = file.readline(MAX_LINE_BYTES)
                reason = "is longer than an entry can be; divide it."
                yield Rejection(f"{origin}:{number}", reason)
            elif text := line.removeprefix(_BYTE_ORDER_MARK if number == 1 else b"").strip():
                yield _read_one(text, f"{origin}:{number}")
    if number == 0:
        yield Rejection(origin, "is empty; there is nothing to import.")


def _read_one(line: bytes, origin: str) -> Found | Rejection:
    try:
        return Found(origin, read_line(line))
    except InvalidArgumentError as error:
        return Rejection(origin, str(error))
