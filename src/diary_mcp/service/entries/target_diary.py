"""Which diary a call is about, and whether its caller may write there.

The owner of a diary is decided by its row. Everybody else needs a role in the rows and a positive
check of the permission backend. Before it is written into, a diary is held in the very unit of work
that writes, and the role with it: a role that was taken away opens nothing any more.
"""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from difflib import get_close_matches
from typing import NamedTuple, TypeVar
from uuid import UUID

from diary_mcp.domain.diaries import (
    EVERYTHING,
    MAIN,
    DiaryName,
    DiarySummary,
    HeldDiary,
    parse_diary_name,
)
from diary_mcp.domain.entry import EntryDiary, EntryFilters, Scope
from diary_mcp.domain.errors import (
    DiaryNotFoundError,
    ForbiddenError,
    NotFoundError,
    PermissionBackendUnavailableError,
)
from diary_mcp.domain.fields import AgentName, DiaryId
from diary_mcp.service.entries.access import Access
from diary_mcp.service.ports.entries import Place, Reach, Readership
from diary_mcp.service.ports.permissions import PermissionReader
from diary_mcp.service.ports.store import Store, UnitOfWork
from diary_mcp.service.ports.workflows import PermissionChange

# No diary has it: nothing lies there.
_NOWHERE = DiaryId(UUID(int=0))
_SUGGESTIONS = 3

Read = TypeVar("Read")


class Looked(NamedTuple):
    """What a reading call is about: one diary, or everything where `place` is `None`."""

    place: Place | None
    reader: Readership
    """Under which names the caller may read there."""

    notice: str | None = None
    reach: Reach | None = None
    """What of everything is another agent's, where that was looked at."""

    @property
    def within(self) -> Place | Reach | None:
        """What a digest is of; of the caller's own, where it is `None`."""
        return self.place or self.reach

    @property
    def is_own(self) -> bool:
        """Whether nobody else has ever had to do with it."""
        return self.reach is None and (self.place is None or self.place.id is None)

    def covers(self, before: "Looked") -> bool:
        """Whether all that could be read before can be read still."""
        if before.reach is not None:
            return self.reach is not None and before.reach <= self.reach
        return before.place is None or before.place == self.place


class Target(NamedTuple):
    """Where something is to be written, as far as could be said before the unit of work."""

    name: DiaryName
    reader: Readership
    may_be_made: bool
    id: DiaryId | None = None
    """Of another agent's."""

    @property
    def is_own_main(self) -> bool:
        return self.name == DiaryName(self.reader.caller, MAIN)


class Places:
    """Finds diaries for one caller at a time."""

    def __init__(self, store: Store, permissions: PermissionReader, access: Access) -> None:
        self._store = store
        self._permissions = permissions
        self._access = access

    async def look(self, caller: AgentName, asked: str | None, current: str | None) -> Looked:
        """The diary that `asked` names, else the current one, else everything.

        Raises:
            NotFoundError: there is none that the caller may read.
            PermissionBackendUnavailableError: it is another agent's, and nobody can say.
        """
        text = asked or current
        if text is None or text == EVERYTHING:
            return Looked(None, Readership(caller))
        name = parse_diary_name(text, caller)
        if name.owner == caller:
            async with self._store.reading() as rows:
                own = await rows.diaries.find(Readership(caller), name)
            if own is not None or name.name == MAIN:
                return Looked(Place(name.owner, name.name, own and own.id), Readership(caller))
            if current is not None and name == parse_diary_name(current, caller):
                nowhere = Place(name.owner, name.name, _NOWHERE)
                return Looked(nowhere, Readership(caller), _nothing_yet(name.name))
        held, reader = await self._find(caller, name)
        return Looked(Place(held.owner, held.name, held.id), reader)

    async def read(
        self,
        caller: AgentName,
        asked: str | None,
        current: str | None,
        fetch: Callable[[Looked], Awaitable[Read]],
    ) -> Read:
        """What `fetch` makes of a diary, or of everything where that is asked for.

        What it reads is counted up and names no entry that could be checked after. So the caller is
        asked about before and after: what it could not read any more is not told.

        Raises:
            NotFoundError: there is no such diary that the caller may read.
            PermissionBackendUnavailableError: something is another agent's, and nobody can say.
        """
        looked = await self._look_through(caller, asked, current)
        while True:
            made = await fetch(looked)
            if looked.is_own:
                return made
            now = await self._look_through(caller, asked, current)
            if now.covers(looked):
                return made
            looked = now

    async def reader_in(self, looked: Looked, scope: Scope) -> Readership:
        """Who reads what is looked at; without groups where no more than its own is asked for.

        Raises:
            PermissionBackendUnavailableError: nobody can say which groups the caller is in.
        """
        if not self.asks_for_groups(looked, scope):
            return self.reader_at_first(looked, scope)
        return (await self._access.readership(looked.reader.caller))._replace(place=looked.place)

    @staticmethod
    def asks_for_groups(looked: Looked, scope: Scope) -> bool:
        """Whether more may be read under the names of the caller's groups, not asked for yet."""
        return scope != "mine" and (
            looked.place is None or looked.place.owner == looked.reader.caller
        )

    @staticmethod
    def reader_at_first(looked: Looked, scope: Scope) -> Readership:
        """Who reads what is looked at, as far as it is known without asking anybody."""
        reader = Readership(looked.reader.caller) if scope == "mine" else looked.reader
        return reader._replace(place=looked.place)

    async def names_of(self, looked: Looked) -> Readership:
        """Under which names the caller may read; without groups while nobody can say which."""
        if looked.within is None:
            with suppress(PermissionBackendUnavailableError):
                return await self._access.readership(looked.reader.caller)
        return looked.reader

    async def _look_through(
        self, caller: AgentName, asked: str | None, current: str | None
    ) -> Looked:
        """As `look`; of everything also what of it is another agent's."""
        if (asked or current) != EVERYTHING:
            return await self.look(caller, asked, current)
        reader = await self._access.readership(caller)
        async with self._store.reading() as rows:
            received = await rows.shares.list_received_ids(reader)
        diaries = await self.list_readable(reader, counted=False)
        entries = await self._permissions.check_view(caller, received) if received else ()
        reach = Reach(
            diaries=frozenset(each.id for each in diaries if each.id is not None),
            mains=frozenset(each.owner for each in diaries if each.name == MAIN),
            entries=frozenset(entries),
        )
        return Looked(None, reader, reach=reach)

    async def list_readable(self, reader: Readership, *, counted: bool) -> Sequence[DiarySummary]:
        """Diaries that the caller owns, and those on which its role holds.

        Raises:
            PermissionBackendUnavailableError: a role is given, and nobody can say whether it holds.
        """
        async with self._store.reading() as rows:
            readable = await rows.diaries.list_readable(reader, counted=counted)
        others = {each.id for each in readable if each.role != "owner" and each.id is not None}
        opened = (
            await self._permissions.check_diaries(reader.caller, others)
            if others
            else set[DiaryId]()
        )
        return [each for each in readable if each.role == "owner" or each.id in opened]

    async def find(self, caller: AgentName, name: DiaryName) -> HeldDiary:
        """The diary, with the role that the caller really has.

        Raises:
            NotFoundError: there is none that the caller may read.
            PermissionBackendUnavailableError: it is another agent's, and nobody can say.
        """
        held, _ = await self._find(caller, name)
        return held

    async def _find(self, caller: AgentName, name: DiaryName) -> tuple[HeldDiary, Readership]:
        """The same, and under which names the caller may read there."""
        reader = Readership(caller)
        if name.owner != caller:
            reader = await self._access.readership(caller)
        async with self._store.reading() as rows:
            held = await rows.diaries.find(reader, name)
        if held is None:
            raise await self._not_found(reader, name)
        if held.role == "owner":
            return held, reader
        if held.role == "writer" and await self._permissions.check_diaries(
            caller, [held.id], to_write=True
        ):
            return held, reader
        if not await self._permissions.check_diaries(caller, [held.id]):
            raise await self._not_found(reader, name)
        return held.model_copy(update={"role": "viewer"}), reader

    async def target(self, caller: AgentName, asked: str | None, current: str | None) -> Target:
        """Where the caller writes: what it names, else the current diary, else its `main`.

        Raises:
            ForbiddenError: the caller may only read there.
            NotFoundError: there is no such diary that the caller may read.
        """
        text = asked or current
        if text is None:
            return Target(DiaryName(caller, MAIN), Readership(caller), may_be_made=False)
        name = parse_diary_name(text, caller)
        may_be_made = current is not None and name == parse_diary_name(current, caller)
        if name.owner == caller:
            if name.name != MAIN and not may_be_made:
                await self.find(caller, name)
            return Target(name, Readership(caller), may_be_made=may_be_made)
        held, reader = await self._find(caller, name)
        if held.role == "viewer":
            raise _read_only(name, caller)
        return Target(name, reader, may_be_made=False, id=held.id)

    async def hold(self, unit: UnitOfWork, target: Target) -> EntryDiary | None:
        """The diary to write into, which does not go before the unit of work ends.

        The current one, where it is the caller's own and not there yet, is made.

        Returns:
            It, or `None` where it is the caller's `main` without a row.

        Raises:
            ForbiddenError: the caller may not write there any more.
            NotFoundError: there is no such diary (any more).
        """
        name, caller = target.name, target.reader.caller
        held = await unit.diaries.hold(target.reader, name)
        if held is None and target.is_own_main:
            return None
        if held is None and target.may_be_made:
            await make_diary(unit, name)
            held = await unit.diaries.hold(target.reader, name)
        if held is None:
            raise NotFoundError(
                f"No diary {name.seen_by(caller)!r} that you may read any more; diary_diaries "
                "lists those that you may."
            )
        if held.role == "viewer":
            raise _read_only(name, caller)
        return EntryDiary(id=held.id, owner=held.owner, name=held.name)

    async def _not_found(self, reader: Readership, name: DiaryName) -> DiaryNotFoundError:
        """Names what is close among those that the caller may read, and nothing else."""
        caller = reader.caller
        with suppress(PermissionBackendUnavailableError):
            reader = await self._access.readership(caller)
        async with self._store.reading() as rows:
            readable = await rows.diaries.list_readable(reader, counted=False)
        others = {each.id for each in readable if each.role != "owner" and each.id is not None}
        opened = set[DiaryId]()
        with suppress(PermissionBackendUnavailableError):
            opened = await self._permissions.check_diaries(caller, others)
        known = [
            each.full_name.seen_by(caller)
            for each in readable
            if each.role == "owner" or each.id in opened
        ]
        wanted = name.seen_by(caller)
        close = get_close_matches(wanted, known, _SUGGESTIONS, cutoff=0.4) or known[:_SUGGESTIONS]
        return DiaryNotFoundError(
            f"No diary {wanted!r} that you may read. Close to it: {', '.join(close)}. "
            "diary_diaries lists them, and makes one with open."
        )


async def make_diary(unit: UnitOfWork, name: DiaryName) -> DiaryId | None:
    """Adds a diary: its row and its `grant_diary_ownership` workflow commit together.

    Returns:
        Its id, or `None` where there is one of this name.
    """
    diary_id = await unit.diaries.insert(name)
    if diary_id is not None:
        await unit.workflows.enqueue(PermissionChange("grant_diary_ownership", (diary_id,)))
    return diary_id


def in_diary(filters: EntryFilters, current: str | None) -> EntryFilters:
    """The filters with the diary that they are about; one is read whole, whoever wrote in it."""
    diary = filters.diary or current
    if diary is None:
        return filters
    whole = {} if "scope" in filters.model_fields_set else {"scope": "all"}
    return filters.model_copy(update={"diary": diary, **whole})


def _nothing_yet(name: str) -> str:
    return f"The diary {name!r} is empty: the first entry that you write makes it."


def _read_only(name: DiaryName, caller: AgentName) -> ForbiddenError:
    return ForbiddenError(
        f"You may read the diary {name.seen_by(caller)}, not write into it. Write into one of your "
        "own, or ask its owner for the role writer."
    )
