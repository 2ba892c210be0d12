"""What an entry said before: for its owner alone."""

from collections.abc import Sequence
from typing import NamedTuple

from diary_mcp.domain.entry import Entry
from diary_mcp.domain.errors import NotFoundError
from diary_mcp.domain.fields import AgentName
from diary_mcp.domain.version import EntryVersion, VersionSummary
from diary_mcp.service.entries.access import Access
from diary_mcp.service.ports.entries import Readership
from diary_mcp.service.ports.store import Store

_MAX_VERSIONS = 200


class History(NamedTuple):
    """An entry, and its earlier versions with the newest first; at most 200."""

    entry: Entry
    earlier: Sequence[VersionSummary]


class HistoryService:
    """Earlier versions of one diary's entries."""

    def __init__(self, store: Store, access: Access) -> None:
        self._store = store
        self._access = access

    async def list_versions(self, caller: AgentName, reference: str) -> History:
        """Every version of an entry of the caller's.

        Raises:
            ForbiddenError: the caller may only read the entry as it is now.
            NotFoundError: there is none that the caller may read.
        """
        entry = await self._get_own(caller, reference)
        async with self._store.reading() as rows:
            return History(entry, await rows.history.list_versions(entry.id, _MAX_VERSIONS))

    async def get_version(self, caller: AgentName, reference: str, version: int) -> EntryVersion:
        """One version of an entry of the caller's, the present one included.

        Raises:
            ForbiddenError: the caller may only read the entry as it is now.
            NotFoundError: there is no such entry that the caller may read, or no such version.
        """
        entry = await self._get_own(caller, reference)
        if version == entry.version:
            return as_version(entry)
        async with self._store.reading() as rows:
            found = await rows.history.find_version(entry.id, version)
        if found is None:
            raise NotFoundError(
                f"Entry {reference} is at version {entry.version} and has no version {version}; "
                f"diary://entries/{entry.id}/versions lists those before."
            )
        return found

    async def _get_own(self, caller: AgentName, reference: str) -> Entry:
        async with self._store.reading() as rows:
            entry = await rows.entries.find(Readership(caller), reference)
        if entry is None or entry.role != "owner":
            raise await self._access.refusal(caller, reference)
        return entry


def as_version(entry: Entry) -> EntryVersion:
    """The present version of an entry."""
    return EntryVersion.model_validate(entry)
