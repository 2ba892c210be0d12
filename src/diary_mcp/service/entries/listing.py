"""Lists of entries, tags and shares, who the caller is, and suggestions while somebody types.

Every page is filled from the rows that the caller may read: candidates come from the rows in
order, the permission backend is asked about exactly those, and more are fetched until the page
is full.
"""

from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple, Protocol, TypeVar

from diary_mcp.domain.diaries import DiaryShare
from diary_mcp.domain.entry import EntryFilters, EntrySummary, Share
from diary_mcp.domain.errors import PermissionBackendUnavailableError
from diary_mcp.domain.fields import AgentName, GroupName
from diary_mcp.service.entries.access import Access, Listed
from diary_mcp.service.entries.cursors import Cursors
from diary_mcp.service.entries.target_diary import Looked, Places, in_diary
from diary_mcp.service.ports.entries import (
    EntryCounts,
    EntryPosition,
    Place,
    Readership,
    TagCount,
)
from diary_mcp.service.ports.permissions import PermissionReader
from diary_mcp.service.ports.shares import SharePosition
from diary_mcp.service.ports.store import Store

Row = TypeVar("Row")
Given = TypeVar("Given", bound=Share | DiaryShare)


@dataclass(frozen=True)
class Page(Generic[Row]):
    """Some rows in order, and where the next page begins (`None`: there is none)."""

    rows: Sequence[Row]
    next_cursor: str | None
    notice: str | None = None


class Whoami(NamedTuple):
    """Who the caller is; `groups` is `None` where the permission backend does not answer."""

    agent: AgentName
    groups: list[GroupName] | None
    counts: EntryCounts


class _Fetch(Protocol[Listed]):
    def __call__(self, after: Listed | None, limit: int, /) -> Awaitable[list[Listed]]: ...


class ListingService:
    """Read-only views of the diary, for one caller at a time."""

    def __init__(
        self,
        store: Store,
        permissions: PermissionReader,
        access: Access,
        places: Places,
        cursors: Cursors,
    ) -> None:
        self._cursors = cursors
        self._store = store
        self._permissions = permissions
        self._access = access
        self._places = places

    async def list_entries(
        self,
        caller: AgentName,
        filters: EntryFilters,
        cursor: str | None,
        limit: int,
        *,
        current: str | None = None,
    ) -> Page[EntrySummary]:
        """Entries newest `date` first, then by id.

        Of the diary that `filters` names, or else the current one; of all, where that is neither.

        Raises:
            InvalidArgumentError: the cursor is damaged or belongs to another list.
            NotFoundError: there is no such diary that the caller may read.
            PermissionBackendUnavailableError: shared entries were asked for, and nobody can say
                which the caller may read.
        """
        filters = in_diary(filters, current)
        listing = f"list:{caller}:{filters.model_dump_json()}"
        start = None if cursor is None else self._cursors.decode_entries(cursor, listing)
        looked = await self._places.look(caller, filters.diary, current)
        reader = await self._places.reader_in(looked, filters.scope)

        async def fetch(after: EntrySummary | None, count: int) -> list[EntrySummary]:
            position = start if after is None else EntryPosition(after.date, after.id)
            async with self._store.reading() as rows:
                return await rows.entries.list_page(reader, filters, position, count)

        entries, has_more = await self._fill(caller, fetch, limit)
        return Page(
            entries,
            self._cursors.encode_entries(EntryPosition(entries[-1].date, entries[-1].id), listing)
            if has_more
            else None,
            looked.notice,
        )

    async def list_tags(
        self,
        caller: AgentName,
        prefix: str,
        limit: int,
        *,
        diary: str | None = None,
        current: str | None = None,
    ) -> tuple[list[TagCount], str | None]:
        """The caller's own tags, or those of a diary or of everything; and a notice.

        The most used come first.

        Raises:
            NotFoundError: there is no such diary that the caller may read.
            PermissionBackendUnavailableError: something is another agent's, and nobody can say
                whether the caller may read it.
        """

        async def fetch(looked: Looked) -> tuple[list[TagCount], str | None]:
            async with self._store.reading() as rows:
                tags = await rows.entries.list_tags(caller, looked.within, prefix, limit)
            return tags, looked.notice

        return await self._places.read(caller, diary, current, fetch)

    async def list_shares(
        self, caller: AgentName, reference: str, cursor: str | None, limit: int
    ) -> Page[Share]:
        """Active shares of one entry of the caller's, oldest first.

        Raises:
            ForbiddenError: the entry is somebody else's, and shared with the caller.
            NotFoundError: there is no such entry that the caller may read.
        """
        listing = f"shares:{caller}:{reference}"
        after = None if cursor is None else self._cursors.decode_shares(cursor, listing)
        async with self._store.reading() as rows:
            entry = await rows.entries.find(Readership(caller), reference)
            if entry is not None and entry.role == "owner":
                shares = await rows.shares.list_page(caller, entry.id, after, limit + 1)
                return share_page(shares, limit, self._cursors, listing)
        raise await self._access.refusal(caller, reference)

    async def whoami(self, caller: AgentName, place: Place | None = None) -> Whoami:
        """Who the caller is, which groups it is in, and how many entries it has in `place`."""
        async with self._store.reading() as rows:
            counts = await rows.entries.count(caller, place)
        try:
            groups = sorted(await self._permissions.list_groups(caller))
        except PermissionBackendUnavailableError:
            groups = None
        return Whoami(caller, groups, counts)

    async def _fill(
        self, caller: AgentName, fetch: _Fetch[Listed], limit: int
    ) -> tuple[list[Listed], bool]:
        """At most `limit` readable rows, and whether there are more."""
        readable: list[Listed] = []
        last: Listed | None = None
        while True:
            candidates = await fetch(last, limit + 1)
            readable += await self._access.keep_readable(caller, candidates)
            if len(candidates) <= limit or len(readable) > limit:
                return readable[:limit], len(readable) > limit
            last = candidates[-1]


class SuggestionService:
    """What begins with what was typed; own entries, tags and sessions, and everybody's names."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def list_entries(
        self, caller: AgentName, prefix: str, limit: int, place: Place | None = None
    ) -> list[str]:
        """Keys, or ids where there is no key or the id was begun; the newest entry first."""
        async with self._store.reading() as rows:
            references = await rows.suggestions.suggest_entries(caller, place, prefix, limit)
        return [
            each.key if each.key is not None and each.key.startswith(prefix) else str(each.id)
            for each in references
        ]

    async def list_tags(
        self, caller: AgentName, prefix: str, limit: int, place: Place | None = None
    ) -> list[str]:
        """The most used first."""
        async with self._store.reading() as rows:
            return await rows.suggestions.suggest_tags(caller, place, prefix, limit)

    async def list_sessions(
        self, caller: AgentName, prefix: str, limit: int, place: Place | None = None
    ) -> list[str]:
        """The one written to last first."""
        async with self._store.reading() as rows:
            return await rows.suggestions.suggest_sessions(caller, place, prefix, limit)

    async def list_names(self, prefix: str, limit: int) -> list[str]:
        """Agents, and groups as group:NAME, in the order of the alphabet."""
        async with self._store.reading() as rows:
            return await rows.suggestions.suggest_names(prefix, limit)


def share_page(shares: Sequence[Given], limit: int, cursors: Cursors, listing: str) -> Page[Given]:
    """A page of shares, of which there may be one more than are shown."""
    if len(shares) <= limit:
        return Page(shares, None)
    position = share_position(shares[limit - 1])
    return Page(shares[:limit], cursors.encode_shares(position, listing))


def share_position(share: Share | DiaryShare) -> SharePosition:
    """By which shares are sorted, of entries and diaries alike."""
    shared_id = share.entry_id if isinstance(share, Share) else share.diary_id
    return SharePosition(share.created_at, shared_id, share.grantee)
