"""Sharing entries with agents and groups, and taking that back."""

import re
from datetime import UTC, datetime

from diary_mcp.domain.credentials import CredentialDoor
from diary_mcp.domain.entry import Entry, EntryFields, Share
from diary_mcp.domain.errors import InvalidArgumentError, NotFoundError
from diary_mcp.domain.fields import NAME_PATTERN, AgentName, EntryId, Grantee
from diary_mcp.domain.relations import group_of
from diary_mcp.service.entries.access import Access, not_found
from diary_mcp.service.entries.entries import find_own, raise_generation
from diary_mcp.service.ports.agents import AgentDirectory
from diary_mcp.service.ports.store import Store
from diary_mcp.service.ports.workflows import PermissionChange

# More groups on one entry, and Keto would silently stop looking (its width limit is 100).
MAX_GROUPS_PER_ENTRY = 50
_SUGGESTIONS = 3


class SharingService:
    """Shares of one diary. Each change is one unit of work."""

    def __init__(self, store: Store, access: Access, door: CredentialDoor) -> None:
        self._store = store
        self._access = access
        self._door = door

    async def share(
        self,
        caller: AgentName,
        reference: str,
        grantee: Grantee,
        *,
        expires_at: datetime | None = None,
        note: str | None = None,
    ) -> Share:
        """Lets an agent, or a group, read an entry of the caller's.

        The share and its `grant_viewer` workflow commit together. The grantee can read once the
        grant has reached the permission backend.

        Raises:
            InvalidArgumentError: no such agent or group, the caller itself, an expiry that is
                past, too many groups on the entry, or a note that holds what looks like a
                credential.
            ForbiddenError: the caller may only read the entry.
            NotFoundError: there is none that the caller may read.
        """
        require_time_left(expires_at)
        self._door.check("note", note)
        async with self._store.unit_of_work() as unit:
            entry = await find_own(unit, caller, reference)
            if entry is not None:
                if grantee == caller:
                    raise _to_its_owner(grantee)
                if not _is_name(grantee):
                    raise await _unknown(unit.agents, grantee)
                given = await unit.shares.give(entry.id, caller, grantee, expires_at, note)
                if not given.is_known:
                    raise await _unknown(unit.agents, grantee)
                if given.share is None or given.generation is None:
                    raise not_found(reference)
                if given.groups > MAX_GROUPS_PER_ENTRY:
                    raise _too_wide()
                await unit.workflows.enqueue(
                    PermissionChange("grant_viewer", (entry.id,), given.generation, grantee)
                )
                return given.share
        raise await self._access.refusal(caller, reference)

    async def unshare(self, caller: AgentName, reference: str, grantee: Grantee) -> EntryId:
        """Takes a share back; from its commit on the grantee reads nothing by it.

        The removal and its `revoke_viewer` workflow commit together.

        Raises:
            ForbiddenError: the caller may only read the entry.
            NotFoundError: no such entry, or it is not shared with `grantee`.
        """
        async with self._store.unit_of_work() as unit:
            entry = await find_own(unit, caller, reference)
            if entry is not None:
                generation = await raise_generation(unit, caller, entry)
                if not await unit.shares.remove(entry.id, grantee):
                    raise NotFoundError(
                        f"Entry {reference} is not shared with {grantee!r}; diary_shares shows "
                        "with whom it is."
                    )
                await unit.workflows.enqueue(
                    PermissionChange("revoke_viewer", (entry.id,), generation, grantee)
                )
                return entry.id
        raise await self._access.refusal(caller, reference)

    async def find_received(self, caller: AgentName, entry: EntryFields) -> Share | None:
        """The share that lets the caller read somebody else's entry."""
        reader = await self._access.readership(caller)
        async with self._store.reading() as rows:
            return await rows.shares.find_received(entry.id, reader)

    async def list_received(
        self, caller: AgentName, since: datetime | None, limit: int
    ) -> list[tuple[Entry, Share]]:
        """Entries that were shared with the caller after `since`, the latest first.

        Raises:
            PermissionBackendUnavailableError: nobody can say which of them the caller may read.
        """
        reader = await self._access.readership(caller)
        async with self._store.reading() as rows:
            shares = await rows.shares.list_received(reader, since, limit)
            found = [await rows.entries.find(reader, str(share.entry_id)) for share in shares]
        entries = await self._access.keep_readable(caller, [each for each in found if each])
        by_id = {share.entry_id: share for share in shares}
        return [(entry, by_id[entry.id]) for entry in entries]


def require_time_left(expires_at: datetime | None) -> None:
    """Makes sure that what ends then has not ended already.

    Raises:
        InvalidArgumentError: it has.
    """
    if expires_at is not None and expires_at <= datetime.now(UTC):
        raise InvalidArgumentError(
            f"expires_at {expires_at.isoformat()} is in the past; give a later time, "
            "or leave it out."
        )


async def require_grantee(agents: AgentDirectory, grantee: Grantee) -> None:
    """Makes sure that there is an agent, or a group, of this name.

    Raises:
        InvalidArgumentError: there is none; names what exists and is close.
    """
    if not _is_name(grantee) or not await agents.exists(grantee):
        raise await _unknown(agents, grantee)


def _is_name(grantee: Grantee) -> bool:
    return re.fullmatch(NAME_PATTERN, group_of(grantee) or grantee) is not None


async def _unknown(agents: AgentDirectory, grantee: Grantee) -> InvalidArgumentError:
    similar = await agents.list_similar(grantee, _SUGGESTIONS)
    known = ", ".join(similar) if similar else "none yet"
    return InvalidArgumentError(
        f"There is no agent or group {grantee!r}. Close to it: {known}. An agent exists once it "
        "has called a tool or was added with `diary-mcp agent add`; a group is named group:NAME."
    )


def _to_its_owner(grantee: Grantee) -> InvalidArgumentError:
    return InvalidArgumentError(
        f"{grantee!r} is you, the owner, and may read the entry anyway; name another agent."
    )


def _too_wide() -> InvalidArgumentError:
    return InvalidArgumentError(
        f"An entry can be shared with at most {MAX_GROUPS_PER_ENTRY} groups; unshare one, or "
        "put one group into another."
    )
