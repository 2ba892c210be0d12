"""Who may read what.

The owner is decided by the row, of an entry and of the diary that it is in. A viewer needs an
active share of the entry, or a role on its diary, in the rows, and a positive check of the
permission backend. Rows are loaded first and checked after, and the loaded rows are the
answer: the other order would show a removed viewer what was written after the removal.
"""

from collections.abc import Collection, Sequence
from typing import TypeVar

import structlog

from diary_mcp.domain.entry import Entry, EntryFields
from diary_mcp.domain.errors import (
    DiaryError,
    ForbiddenError,
    NotFoundError,
    PermissionBackendUnavailableError,
)
from diary_mcp.domain.fields import AgentName, DiaryId, EntryId, as_entry_id
from diary_mcp.domain.relations import group_grantee
from diary_mcp.service.ports.entries import Readership
from diary_mcp.service.ports.permissions import PermissionReader
from diary_mcp.service.ports.store import Store

_log: structlog.stdlib.BoundLogger = structlog.get_logger()

Listed = TypeVar("Listed", bound=EntryFields)


class Access:
    """Answers for one caller at a time what it may read."""

    def __init__(self, store: Store, permissions: PermissionReader) -> None:
        self._store = store
        self._permissions = permissions

    async def get(self, caller: AgentName, reference: str) -> Entry:
        """The entry with this id, or the caller's own with this key.

        Raises:
            NotFoundError: there is none, or the caller may not read it.
            PermissionBackendUnavailableError: the caller does not own it, and nobody can say
                whether there is one that it may read.
        """
        try:
            entry = await self._find(caller, reference)
            readable = [] if entry is None else await self.keep_readable(caller, [entry])
        except PermissionBackendUnavailableError as error:
            _log.warning("access.undecided", reason=str(error))
            raise _undecided(reference) from error
        if not readable:
            raise not_found(reference)
        return readable[0]

    async def refusal(self, caller: AgentName, reference: str) -> DiaryError:
        """Why somebody who is not the owner may not change an entry.

        Raises:
            NotFoundError: the caller may not even read it.
        """
        await self.get(caller, reference)
        return ForbiddenError(
            f"You may read entry {reference}, but only its owner may do this. "
            "Write an entry of your own with diary_create instead."
        )

    async def readership(self, caller: AgentName) -> Readership:
        """Every name under which something may be shared with the caller.

        Raises:
            PermissionBackendUnavailableError: nobody can say which groups the caller is in.
        """
        async with self._store.reading() as rows:
            may_be_reached = await rows.shares.may_reach(caller)
        if not may_be_reached:
            return Readership(caller)
        return await self._with_groups(caller)

    async def keep_readable(self, caller: AgentName, rows: Sequence[Listed]) -> list[Listed]:
        """Those of the rows that the caller may read now, in their order.

        Of what another's entry supersedes and is superseded by, they name what it may read too.

        Raises:
            PermissionBackendUnavailableError: some are shared, and nobody can say.
        """
        shared = [row for row in rows if row.role == "viewer" and not _is_in_own(row, caller)]
        if not shared:
            return list(rows)
        # One question about a diary stands for all that is in it.
        diaries = {row.diary.id for row in shared if row.diary is not None}
        opened = (
            await self._permissions.check_diaries(caller, diaries) if diaries else set[DiaryId]()
        )
        left = [row.id for row in shared if row.diary is None or row.diary.id not in opened]
        viewable = await self._permissions.check_view(caller, left) if left else set[EntryId]()
        denied = set(left) - viewable
        kept = [row for row in rows if row.id not in denied]
        known = {row.id for row in kept}
        unknown = {linked for row in shared for linked in _links(row)} - known
        if unknown:
            known |= await self._permissions.check_view(caller, unknown)
        return [row if row.role == "owner" else _with_links(row, known) for row in kept]

    async def _find(self, caller: AgentName, reference: str) -> Entry | None:
        """What the rows show the caller.

        For an id that is not the caller's own, what the permission backend is asked depends on the
        caller alone, never on the entry: its silence, and how long an answer takes, must not tell
        whether there is one.
        """
        async with self._store.reading() as rows:
            entry = await rows.entries.find(Readership(caller), reference)
            entry_id = as_entry_id(reference)
            # An id comes before a key that looks like one: the key must not hide the entry.
            if entry_id is None or (entry is not None and entry.id == entry_id):
                return entry
            if not await rows.shares.may_reach(caller):
                return entry
            if await rows.entries.was_owned_by(caller, entry_id):
                return entry
        reader = await self._with_groups(caller)
        async with self._store.reading() as rows:
            return await rows.entries.find(reader, reference)

    async def _with_groups(self, caller: AgentName) -> Readership:
        groups = sorted(await self._permissions.list_groups(caller))
        return Readership(caller, tuple(map(group_grantee, groups)))


def _links(row: EntryFields) -> list[EntryId]:
    return [*row.supersedes, *([] if row.superseded_by is None else [row.superseded_by])]


def _with_links(row: Listed, known: Collection[EntryId]) -> Listed:
    """The row, naming no entry but those that are known."""
    return row.model_copy(
        update={
            "supersedes": tuple(older for older in row.supersedes if older in known),
            "superseded_by": row.superseded_by if row.superseded_by in known else None,
        }
    )


def _is_in_own(row: EntryFields, caller: AgentName) -> bool:
    return row.diary is not None and row.diary.owner == caller


def not_found(reference: str) -> NotFoundError:
    """The one answer for an entry that is not there and one that the caller may not read."""
    return NotFoundError(
        f"No entry {reference!r} that you may read; diary_list shows yours, and with scope=shared "
        "those shared with you."
    )


def _undecided(reference: str) -> PermissionBackendUnavailableError:
    """The one answer while nobody can say; what failed and how would tell what was asked."""
    return PermissionBackendUnavailableError(
        "The permission backend does not answer, so nobody can say whether there is an entry "
        f"{reference!r} that you may read. Try again in a moment; your own entries can be read "
        "meanwhile."
    )
