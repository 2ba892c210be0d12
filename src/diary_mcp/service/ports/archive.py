"""Entries as import and export see them: whole, with what an imported file said."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, Protocol

from diary_mcp.domain.fields import AgentName, EntryId
from diary_mcp.domain.version import EntryRecord, EntryVersion
from diary_mcp.service.ports.entries import EntryPosition, EntryReference


class Claim(NamedTuple):
    """An entry that says it supersedes what is called `name`."""

    id: EntryId
    name: str


class Supersession(NamedTuple):
    """`newer` supersedes `older`."""

    newer: EntryId
    older: EntryId


@dataclass(frozen=True)
class TitledReference(EntryReference):
    """An entry as people tell it from others."""

    date: datetime
    title: str


class ArchiveReader(Protocol):
    """An owner's entries, for import and export."""

    async def find_stored(
        self,
        owner: AgentName,
        *,
        keys: Collection[str] = (),
        ids: Collection[EntryId] = (),
        keyless_hashes: Collection[str] = (),
    ) -> list[EntryRecord]:
        """Entries with one of the keys or ids, and keyless ones with one of the source hashes."""
        ...

    async def find_taken_ids(self, ids: Collection[EntryId]) -> set[EntryId]:
        """Those of `ids` that an entry of anybody has, or had until a moment ago."""
        ...

    async def list_stored(
        self, owner: AgentName, after: EntryPosition | None, limit: int
    ) -> list[EntryRecord]:
        """At most `limit` entries after `after`, newest `date` first, then by id."""
        ...

    async def list_references(self, owner: AgentName) -> list[TitledReference]: ...

    async def list_earlier_versions(self, entry_id: EntryId) -> list[EntryVersion]:
        """The versions that the entry had before its present one."""
        ...

    async def find_exports(
        self, owner: AgentName, paths: Collection[str]
    ) -> Mapping[str, datetime]:
        """Those of the folders that the owner has exported to, and when last."""
        ...


class ArchiveWriter(ArchiveReader, Protocol):
    """What an import changes, inside a unit of work."""

    async def insert_many(self, records: Sequence[EntryRecord]) -> None:
        """Adds entries with `generation` 1, not yet applied.

        Raises:
            ConflictError: a key or an id was taken meanwhile.
        """
        ...

    async def lock(self, entry_ids: Collection[EntryId]) -> None:
        """Waits out whoever changes these entries, and keeps others from it to the end."""
        ...

    async def replace(self, previous: EntryRecord, revised: EntryRecord) -> None:
        """Puts `revised` in the place of `previous`, which goes into the history.

        Raises:
            ConflictError: another change was first.
        """
        ...

    async def remember_export(self, owner: AgentName, path: str, exported_at: datetime) -> None:
        """From now on files of the folder stand for the owner's entries."""
        ...

    async def list_claims(self, owner: AgentName) -> list[Claim]:
        """Claims of entries with some that are not linked, by `date`, then key."""
        ...

    async def find_superseded_by_nothing(
        self, owner: AgentName, names: Collection[str]
    ) -> list[EntryReference]:
        """Entries that nothing supersedes and whose key or id is one of `names`."""
        ...

    async def list_supersessions(self, owner: AgentName) -> list[Supersession]: ...

    async def link(self, supersessions: Sequence[Supersession]) -> list[EntryId]:
        """Links those that are still possible; what supersedes something more now, each once."""
        ...
