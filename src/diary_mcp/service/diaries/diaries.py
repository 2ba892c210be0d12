"""Making, listing, renaming, handing over and removing diaries, and the roles on them."""

import re
from collections.abc import Sequence
from datetime import datetime

from diary_mcp.domain.credentials import CredentialDoor
from diary_mcp.domain.diaries import (
    MAIN,
    DiaryName,
    DiaryShare,
    DiarySummary,
    GivenRole,
    HeldDiary,
    parse_diary_name,
)
from diary_mcp.domain.entry import EntryDiary, Share
from diary_mcp.domain.errors import (
    ConflictError,
    ForbiddenError,
    InvalidArgumentError,
    NotFoundError,
)
from diary_mcp.domain.fields import NAME_PATTERN, NAME_RULE, AgentName, Grantee
from diary_mcp.service.entries.access import Access
from diary_mcp.service.entries.cursors import Cursors
from diary_mcp.service.entries.listing import Page, share_page, share_position
from diary_mcp.service.entries.target_diary import Places, make_diary
from diary_mcp.service.ports.entries import Readership
from diary_mcp.service.ports.permissions import PermissionReader
from diary_mcp.service.ports.store import Store, UnitOfWork
from diary_mcp.service.ports.workflows import PermissionChange
from diary_mcp.service.sharing.shares import (
    MAX_GROUPS_PER_ENTRY,
    require_grantee,
    require_time_left,
)


class DiaryService:
    """Diaries and who may do what with them. Each change is one unit of work."""

    def __init__(
        self,
        store: Store,
        permissions: PermissionReader,
        access: Access,
        places: Places,
        *,
        door: CredentialDoor,
        cursors: Cursors,
    ) -> None:
        self._cursors = cursors
        self._store = store
        self._permissions = permissions
        self._access = access
        self._places = places
        self._door = door

    async def list(
        self, caller: AgentName, current: str | None = None, *, counted: bool = True
    ) -> Sequence[DiarySummary]:
        """Diaries that the caller may read: the current one, its own, then others', by name.

        Unless they are `counted`, which reads every entry, they have no entries.

        Raises:
            PermissionBackendUnavailableError: a role is given, and nobody can say whether it holds.
        """
        reader = await self._access.readership(caller)
        shown = await self._places.list_readable(reader, counted=counted)
        if current is None:
            return shown
        name = parse_diary_name(current, caller)
        return sorted(shown, key=lambda each: each.full_name != name)

    async def list_received(
        self, caller: AgentName, since: datetime | None, limit: int
    ) -> Sequence[DiaryShare]:
        """Roles on diaries that were given to the caller after `since`, the latest first.

        Raises:
            PermissionBackendUnavailableError: nobody can say which of them hold.
        """
        reader = await self._access.readership(caller)
        async with self._store.reading() as rows:
            given = await rows.diaries.list_received(reader, since, limit)
        opened = await self._permissions.check_diaries(caller, {each.diary_id for each in given})
        return [each for each in given if each.diary_id in opened]

    async def open(self, caller: AgentName, text: str) -> DiaryName:
        """Makes a diary of the caller's, unless it has one of this name.

        The row and its `grant_diary_ownership` workflow commit together.

        Raises:
            InvalidArgumentError: it cannot be a name, or is that of another agent's diary.
        """
        name = parse_diary_name(text, caller)
        if name.owner != caller:
            raise InvalidArgumentError(
                f"{text!r} is {name.owner}'s to make; give the name of one of your own."
            )
        if name.name != MAIN:
            async with self._store.unit_of_work() as unit:
                await make_diary(unit, name)
        return name

    async def find_for_token(self, agent: AgentName, text: str) -> EntryDiary:
        """The diary that a token of the agent's is to be for; one of its own is made if need be.

        Raises:
            InvalidArgumentError: it cannot be the name of a diary.
            NotFoundError: it is another agent's, and `agent` may not read it.
        """
        name = parse_diary_name(text, agent)
        if name.owner == agent:
            async with self._store.unit_of_work() as unit:
                await make_diary(unit, name)
        held = await self._places.find(agent, name)
        return EntryDiary(id=held.id, owner=held.owner, name=held.name)

    async def rename(self, caller: AgentName, text: str, new_name: str) -> DiaryName:
        """Gives a diary of the caller's another name; roles and entries stay.

        Raises:
            ConflictError: the caller has one of that name.
            ForbiddenError: it is another agent's.
            InvalidArgumentError: it is `main`, or the new name cannot be one.
            NotFoundError: there is none that the caller may read.
        """
        if not re.fullmatch(NAME_PATTERN, new_name):
            raise InvalidArgumentError(f"{new_name!r} is not a valid diary name: {NAME_RULE}.")
        name = await self._require_own(caller, text)
        _refuse_main(name, "renamed")
        _refuse_main(DiaryName(caller, new_name), "the name of another")
        async with self._store.unit_of_work() as unit:
            diary = await _hold_own(unit, name)
            await unit.diaries.rename(diary.id, new_name)
        return DiaryName(caller, new_name)

    async def transfer(self, caller: AgentName, text: str, owner: AgentName) -> DiaryName:
        """Gives a diary of the caller's to another agent; every role stays as it was.

        The row and its `transfer_diary` workflow commit together.

        Raises:
            ConflictError: the other agent has one of this name.
            ForbiddenError: it is another agent's.
            InvalidArgumentError: it is `main`, or there is no such agent.
            NotFoundError: there is none that the caller may read.
        """
        name = await self._require_own(caller, text)
        _refuse_main(name, "transferred")
        if owner == caller:
            raise InvalidArgumentError(f"{owner!r} owns it already; name another agent.")
        async with self._store.unit_of_work() as unit:
            await require_grantee(unit.agents, Grantee(owner))
            diary = await _hold_own(unit, name)
            generation = await _raise_generation(unit, diary)
            await unit.diaries.transfer(diary.id, owner)
            await unit.workflows.enqueue(
                PermissionChange("transfer_diary", (diary.id,), generation, Grantee(owner))
            )
        return DiaryName(owner, name.name)

    async def remove(self, caller: AgentName, text: str) -> DiaryName:
        """Removes an empty diary of the caller's, with the roles on it.

        The row and its `remove_diary_relations` workflow commit together.

        Raises:
            ConflictError: entries are in it.
            ForbiddenError: it is another agent's.
            InvalidArgumentError: it is `main`.
            NotFoundError: there is none that the caller may read.
        """
        name = await self._require_own(caller, text)
        _refuse_main(name, "removed")
        async with self._store.unit_of_work() as unit:
            diary = await _hold_own(unit, name)
            generation = await _raise_generation(unit, diary)
            await unit.diaries.remove(diary.id)
            await unit.workflows.enqueue(
                PermissionChange("remove_diary_relations", (diary.id,), generation)
            )
        return name

    async def share(
        self,
        caller: AgentName,
        text: str,
        grantee: Grantee,
        *,
        role: GivenRole = "viewer",
        expires_at: datetime | None = None,
        note: str | None = None,
    ) -> DiaryShare:
        """Gives an agent, or a group, a role on a diary of the caller's.

        The role and its `grant_diary_role` workflow commit together. It holds once the grant has
        reached the permission backend, and takes the place of the one that the grantee has.

        Raises:
            ForbiddenError: it is another agent's.
            InvalidArgumentError: no such agent or group, the caller itself, an expiry that is
                past, too many groups, or a note that holds what looks like a credential.
            NotFoundError: there is none that the caller may read.
        """
        require_time_left(expires_at)
        self._door.check("note", note)
        name = await self._require_own(caller, text)
        if grantee == caller:
            raise InvalidArgumentError(f"{grantee!r} is you, the owner; name another agent.")
        async with self._store.unit_of_work() as unit:
            await require_grantee(unit.agents, grantee)
            # What was only ever its owner's may have no row yet.
            await make_diary(unit, name) if name.name == MAIN else None
            diary = await _hold_own(unit, name)
            generation = await _raise_generation(unit, diary)
            share = await unit.diaries.put_role(diary, grantee, role, expires_at, note)
            if await unit.diaries.count_groups(diary.id) > MAX_GROUPS_PER_ENTRY:
                raise InvalidArgumentError(
                    f"A diary can be shared with at most {MAX_GROUPS_PER_ENTRY} groups; unshare "
                    "one, or put one group into another."
                )
            await unit.workflows.enqueue(
                PermissionChange("grant_diary_role", (diary.id,), generation, grantee)
            )
            return share

    async def unshare(self, caller: AgentName, text: str, grantee: Grantee) -> DiaryName:
        """Takes a role back; from its commit on the grantee does nothing by it.

        The removal and its `revoke_diary_role` workflow commit together.

        Raises:
            ForbiddenError: it is another agent's.
            NotFoundError: no such diary, or it is not shared with `grantee`.
        """
        name = await self._require_own(caller, text)
        async with self._store.unit_of_work() as unit:
            diary = await unit.diaries.hold(Readership(caller), name)
            generation = diary and await _raise_generation(unit, diary)
            if (
                diary is None
                or generation is None
                or not await unit.diaries.remove_role(diary.id, grantee)
            ):
                raise NotFoundError(
                    f"The diary {text} is not shared with {grantee!r}; diary_shares shows with "
                    "whom it is."
                )
            await unit.workflows.enqueue(
                PermissionChange("revoke_diary_role", (diary.id,), generation, grantee)
            )
        return name

    async def list_shares(
        self, caller: AgentName, text: str | None, cursor: str | None, limit: int
    ) -> Page[DiaryShare | Share]:
        """Active roles on a diary of the caller's, or all shares that it gave; oldest first.

        Raises:
            ForbiddenError: it is another agent's.
            NotFoundError: there is none that the caller may read.
        """
        listing = f"roles:{caller}:{text}"
        after = None if cursor is None else self._cursors.decode_shares(cursor, listing)
        name = None if text is None else await self._require_own(caller, text)
        shares: list[Share] = []
        async with self._store.reading() as rows:
            diary = name and await rows.diaries.find(Readership(caller), name)
            if name is not None and diary is None:
                return Page((), None)
            roles = await rows.diaries.list_shares(
                caller, diary.id if diary else None, after, limit + 1
            )
            if name is None:
                shares = await rows.shares.list_page(caller, None, after, limit + 1)
        given = sorted([*roles, *shares], key=share_position)
        return share_page(given, limit, self._cursors, listing)

    async def _require_own(self, caller: AgentName, text: str) -> DiaryName:
        name = parse_diary_name(text, caller)
        if name == DiaryName(caller, MAIN):
            return name
        if (await self._places.find(caller, name)).role != "owner":
            raise ForbiddenError(
                f"The diary {text} is {name.owner}'s; only its owner may do this. Ask "
                f"{name.owner}, or use one of your own."
            )
        return name


async def _hold_own(unit: UnitOfWork, name: DiaryName) -> HeldDiary:
    diary = await unit.diaries.hold(Readership(name.owner), name)
    if diary is None:
        raise NotFoundError(f"No diary {name.name!r} of yours any more; diary_diaries lists them.")
    return diary


async def _raise_generation(unit: UnitOfWork, diary: HeldDiary) -> int:
    generation = await unit.diaries.raise_generation(diary.id)
    if generation is None:
        raise ConflictError("The diary is being removed; try again.")
    return generation


def _refuse_main(name: DiaryName, change: str) -> None:
    if name.name == MAIN:
        raise InvalidArgumentError(
            f"main, which every agent has, cannot be {change}; choose another diary or name."
        )
