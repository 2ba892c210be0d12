"""A diary in one file that can be checked with no database: docs/signing.md, "A bundle"."""

import json
from collections.abc import AsyncGenerator, Generator, Iterable, Sequence
from datetime import UTC, datetime
from operator import not_
from pathlib import Path
from typing import BinaryIO, Literal, TypeVar

import anyio.to_thread
import rfc8785
from pydantic import BaseModel, ConfigDict, Field, JsonValue

from diary_mcp.domain.chain import ChainHead, Count, Hash, Owner
from diary_mcp.domain.errors import ConflictError, InvalidArgumentError
from diary_mcp.domain.fields import AgentName, EntryId, EntryType, Importance, Time
from diary_mcp.domain.version import EntryRecord, Version
from diary_mcp.files.folder import ExportFolder
from diary_mcp.service.chain.check import CheckedEntry
from diary_mcp.service.chain.continuity import end_of
from diary_mcp.service.chain.key_history import KeyPeriod, ToldKeys
from diary_mcp.service.chain.statements import JsonObject, parse_json, read_strictly
from diary_mcp.service.ports.chain import SignedLink
from diary_mcp.service.ports.store import Reading, Store
from diary_mcp.service.signing.verification import entry_pages, link_pages, list_checked

BUNDLE_NAME = "diary.bundle"
_FORMAT = "diary-mcp/bundle/1"
_LineModel = TypeVar("_LineModel", bound=BaseModel)


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Head(_Part):
    hash: Hash
    sequence: Count


class BundleHeader(_Part):
    """The first line."""

    exported_at: Time
    format: Literal["diary-mcp/bundle/1"]
    head: _Head | None
    keys: tuple[KeyPeriod, ...]
    owner: Owner

    @property
    def end(self) -> ChainHead | None:
        """Where the chain ends, by the bundle's word."""
        return self.head and ChainHead(sequence=self.head.sequence, hash=self.head.hash)


class _Statement(_Part):
    statement: dict[str, JsonValue]


class _Link(_Statement):
    signature: str


class _Version(_Part):
    author: str
    content: str
    content_hash: str
    date: Time
    importance: Importance
    salt: str | None
    session: str | None
    tags: tuple[str, ...]
    title: str | None
    type: EntryType
    updated_at: Time
    version: Count


class _Entry(_Part):
    created_at: Time
    diary: str | None = Field(default=None, exclude_if=not_)
    """Where that is not `main`; nothing covers it."""
    id: EntryId
    key: str | None
    owner: Owner
    state: Literal["signed", "pending", "none"]
    supersedes: EntryId | tuple[EntryId, ...] | None
    """None, one, or all by id."""
    versions: tuple[_Version, ...] = Field(min_length=1)


class _LinkLine(_Part):
    link: _Link


class _EntryLine(_Part):
    entry: _Entry


async def export_bundle(directory: Path, *, owner: AgentName, store: Store) -> int:
    """Writes the owner's diary as of one moment into `diary.bundle`; how many entries it has.

    Raises:
        InvalidArgumentError: the folder cannot be written; what was there still is.
        DatabaseUnavailableError: likewise.
    """
    folder = await anyio.to_thread.run_sync(ExportFolder, directory)
    count = 0
    with folder.replacing(BUNDLE_NAME) as file:
        async with store.snapshot() as rows:
            await _write(file, [await _header(rows, owner)])
            async for links in link_pages(rows, owner):
                await _write(file, (_link_line(row.link) for row in links))
            async for entries in _entry_lines(rows, owner):
                await _write(file, entries)
                count += len(entries)
    return count


def read_bundle(file: BinaryIO) -> "Generator[BundleHeader | SignedLink | CheckedEntry]":
    """The header, then the links, then the entries, each once. Blocks.

    Raises:
        InvalidArgumentError: a line is not what it should be, or not where.
    """
    reading = _Reading()
    for line in file:
        try:
            yield reading.read(line)
        except ValueError as error:
            raise InvalidArgumentError(
                f"line {reading.number} is not what docs/signing.md says a bundle has there"
                f"{_reason(error)}; export it again with `diary-mcp export DIR --format bundle`."
            ) from error
    if reading.number == 0:
        raise InvalidArgumentError("it is empty, so it is not a bundle.")


class _Reading:
    """Reads one line after another, and knows what must not come any more."""

    def __init__(self) -> None:
        self.number = 0
        self._ids: set[EntryId] = set()
        self._keys: set[str] = set()

    def read(self, line: bytes) -> "BundleHeader | SignedLink | CheckedEntry":
        """Raises: ValueError: the line does not belong there."""
        self.number += 1
        if not line.endswith(b"\n"):
            raise _OutOfPlaceError("it is cut off")
        if line != line.strip() + b"\n":
            raise _OutOfPlaceError("more than a line feed is around it")
        if self.number == 1:
            return _read_exactly(BundleHeader, line)
        value = parse_json(line)
        if isinstance(value, JsonObject) and "link" in value:
            if self._ids:
                raise _OutOfPlaceError("a link comes after an entry")
            return _signed_link(_read_exactly(_LinkLine, line).link)
        entry = _read_exactly(_EntryLine, line).entry
        self._check_entry(entry)
        return _checked_entry(entry)

    def _check_entry(self, entry: _Entry) -> None:
        if entry.id in self._ids or entry.key in self._keys:
            raise _OutOfPlaceError("an entry of this id or key was there before")
        self._ids.add(entry.id)
        if entry.key is not None:
            self._keys.add(entry.key)


def _read_exactly(model: type[_LineModel], line: bytes) -> _LineModel:
    """The line, where each value is in the one form that it has: no id in capitals, for one."""
    read = read_strictly(model, line)
    if read.model_dump(mode="json") != parse_json(line):
        raise _OutOfPlaceError("a value is in another form")
    return read


class _OutOfPlaceError(ValueError):
    """A line that is right by itself."""


def _reason(error: ValueError) -> str:
    """Why, where that can be said in a few words of our own."""
    is_plain = isinstance(error, _OutOfPlaceError)
    return f" ({error})" if is_plain else ""


async def _write(file: BinaryIO, parts: Iterable[BaseModel]) -> None:
    lines = [_line(part) for part in parts]
    await anyio.to_thread.run_sync(file.writelines, lines)


def _line(part: BaseModel) -> bytes:
    values = part.model_dump(mode="json")
    return json.dumps(values, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


async def _header(rows: Reading, owner: AgentName) -> BundleHeader:
    keys = ToldKeys()
    links = await rows.chain.list_key_links(owner)
    keys.add(link for _, link in sorted(links.items()))
    return BundleHeader(
        exported_at=datetime.now(UTC),
        format=_FORMAT,
        head=_head(end_of(await rows.chain.find_head(owner))),
        keys=keys.periods,
        owner=owner,
    )


def _head(end: ChainHead | None) -> _Head | None:
    return end and _Head(hash=end.hash, sequence=end.sequence)


def _link_line(link: SignedLink) -> _LinkLine:
    try:
        statement = read_strictly(_Statement, f'{{"statement":{link.statement}}}').statement
    except ValueError as error:
        raise ConflictError(
            "A link in the database is not JSON, so there is no bundle of this chain; "
            "`diary-mcp verify` says which."
        ) from error
    return _LinkLine(link=_Link(signature=link.signature, statement=statement))


async def _entry_lines(rows: Reading, owner: AgentName) -> AsyncGenerator[list[_EntryLine]]:
    async for page in entry_pages(rows, owner):
        records = {entry.id: entry for entry in page}
        checked = await list_checked(rows, owner, page)
        yield [_EntryLine(entry=_entry(entry, records[entry.id])) for entry in checked]


def _entry(entry: CheckedEntry, record: EntryRecord) -> _Entry:
    is_signed = entry.versions[0].version in entry.salts
    unsigned = "pending" if record.wants_signature else "none"
    return _Entry(
        created_at=entry.created_at,
        diary=record.diary_name,
        id=entry.id,
        key=entry.key,
        owner=entry.owner,
        state="signed" if is_signed else unsigned,
        supersedes=_said(entry.supersedes),
        versions=tuple(
            _version(version, entry.salts.get(version.version)) for version in entry.versions
        ),
    )


def _said(superseded: Sequence[EntryId]) -> EntryId | tuple[EntryId, ...] | None:
    return tuple(superseded) if len(superseded) > 1 else next(iter(superseded), None)


def _superseded(entry: _Entry) -> tuple[EntryId, ...]:
    said = entry.supersedes
    if not isinstance(said, tuple):
        return () if said is None else (said,)
    if len(said) <= 1 or list(said) != sorted(set(said)):
        raise _OutOfPlaceError("what an entry supersedes is not several, once each, by their ids")
    return said


def _version(version: Version, salt: str | None) -> _Version:
    members = {
        name: value for name, value in vars(version).items() if name in _Version.model_fields
    }
    return _Version(**members, salt=salt)


def _signed_link(link: _Link) -> SignedLink:
    return SignedLink(rfc8785.dumps(link.statement).decode(), link.signature)


def _checked_entry(entry: _Entry) -> CheckedEntry:
    return CheckedEntry(
        **entry.model_dump(exclude={"diary", "state", "supersedes", "versions"}),
        supersedes=_superseded(entry),
        versions=[
            Version(id=entry.id, owner=entry.owner, **version.model_dump(exclude={"salt"}))
            for version in entry.versions
        ],
        salts={
            version.version: version.salt for version in entry.versions if version.salt is not None
        },
    )
