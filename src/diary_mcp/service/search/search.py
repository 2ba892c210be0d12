"""Search: what an agent asks its diary.

Importing what ranks costs a tenth of a second, so it is left to the first search, in a thread.
"""

from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread

from diary_mcp.domain.entry import EntryFilters, SearchHit, SearchMode
from diary_mcp.domain.errors import PermissionBackendUnavailableError, UnavailableError
from diary_mcp.domain.fields import AgentName
from diary_mcp.lasting_imports import lasting_imports
from diary_mcp.service.entries.access import Access
from diary_mcp.service.entries.cursors import Cursors
from diary_mcp.service.entries.listing import Page
from diary_mcp.service.entries.target_diary import Looked, Places, in_diary
from diary_mcp.service.ports.index import Embedder
from diary_mcp.service.ports.permissions import PermissionReader
from diary_mcp.service.ports.search import SearchPosition
from diary_mcp.service.ports.store import Store
from diary_mcp.service.search.query import SearchRequest

if TYPE_CHECKING:
    from diary_mcp.service.search.engine import FoundPage, SearchEngine
    from diary_mcp.service.search.ranking import Weights

MAX_HITS = 1_000
"""How far a search can be paged."""
MAX_AT_ONCE = 4
"""How many searches of one agent are under way in this process."""
MAX_WAITING = 64
"""And how many more may wait for these."""

_SHARED_NOT_SEARCHED = (
    "Entries that others shared with you were not searched: the permission backend does not "
    "answer. Try again in a moment."
)
_NO_MORE = f"A search ends after {MAX_HITS} hits: ask for something narrower to see others."


class Turns:
    """Lets each agent do so much at a time; what it asks beyond that waits, and nobody else."""

    def __init__(self, at_once: int = MAX_AT_ONCE, waiting: int = MAX_WAITING) -> None:
        self._at_once = at_once
        self._waiting = waiting
        self._lines: dict[AgentName, anyio.Semaphore] = {}
        self._asked = Counter[AgentName]()

    @asynccontextmanager
    async def turn(self, agent: AgentName) -> AsyncGenerator[None]:
        """Waits for the agent's turn.

        Raises:
            UnavailableError: too much of the agent's is waiting already.
        """
        if self._asked[agent] >= self._at_once + self._waiting:
            raise UnavailableError(
                f"{self._asked[agent]} searches of yours are under way or waiting: let them end, "
                "and try again."
            )
        self._asked[agent] += 1
        try:
            if agent not in self._lines:
                self._lines[agent] = anyio.Semaphore(self._at_once, fast_acquire=True)
            async with self._lines[agent]:
                yield
        finally:
            self._asked[agent] -= 1
            if not self._asked[agent]:
                del self._asked[agent], self._lines[agent]


class SearchService:
    """Searches the entries that one caller may read."""

    def __init__(
        self,
        store: Store,
        permissions: PermissionReader,
        access: Access,
        embedder: Embedder | None = None,
        *,
        weights: "Weights | None" = None,
        places: Places | None = None,
        cursors: Cursors | None = None,
        large_from: int | None = None,
    ) -> None:
        self._large_from = large_from
        self._cursors = cursors or Cursors()
        self._places = places or Places(store, permissions, access)
        self._store = store
        self._permissions = permissions
        self._access = access
        self._embedder = embedder
        self._weights = weights
        self._engine: SearchEngine | None = None
        self._turns = Turns()
        self._reached = set[AgentName]()
        """Those to whom something of others' was open when they searched last."""

    async def search(
        self,
        caller: AgentName,
        query: str,
        filters: EntryFilters,
        *,
        mode: SearchMode,
        cursor: str | None,
        limit: int,
        current: str | None = None,
    ) -> Page[SearchHit]:
        """Entries that answer the query, the best first, then by id.

        Each further page is the best of what was there when the first was asked for and was not
        shown yet. Where the permission backend does not answer, the caller's own entries are
        searched and `notice` says so; without an embedding model, the words.

        Raises:
            InvalidArgumentError: the cursor is damaged or belongs to another search.
            NotFoundError: there is no such diary that the caller may read.
            PermissionBackendUnavailableError: only shared entries were asked for, and nobody can
                say which the caller may read.
            UnavailableError: the caller asks for too much at once.
        """
        filters = in_diary(filters, current)
        listing = f"search:{caller}:{mode}:{filters.model_dump_json()}:{query}"
        position = None if cursor is None else self._cursors.decode_search(cursor, listing)
        request = SearchRequest(caller, query, filters, mode, limit, position)
        async with self._turns.turn(caller):
            looked = await self._places.look(caller, filters.diary, current)
            return await self._search(request, listing, looked)

    async def _search(
        self, request: SearchRequest, listing: str, looked: Looked
    ) -> Page[SearchHit]:
        filters, position = request.filters, request.position
        asked_at = datetime.now(UTC) if position is None else position.created_by
        engine = await self._get_engine()
        try:
            found = await self._find(engine, request, looked)
            notices = found.notices
        except PermissionBackendUnavailableError:
            if filters.scope != "all":
                raise
            reader = await self._places.reader_in(looked, "mine")
            found = await engine.find(_own_only(request), reader)
            notices = (_SHARED_NOT_SEARCHED, *found.notices)
        if looked.notice is not None:
            notices = (looked.notice, *notices)
        next_cursor = None
        if found.has_more:
            seen = request.seen | {SearchPosition.mark(hit.id) for hit in found.hits}
            if len(seen) >= MAX_HITS:
                notices = (*notices, _NO_MORE)
            elif found.hits:
                next_position = SearchPosition(asked_at, seen, found.hits[-1].score)
                next_cursor = self._cursors.encode_search(next_position, listing)
        return Page(found.hits, next_cursor, " ".join(notices) or None)

    async def _find(
        self, engine: "SearchEngine", request: SearchRequest, looked: Looked
    ) -> "FoundPage":
        """Asks whether there are groups to be asked for where something was open the last time.

        Otherwise the search itself finds out, and is made again where that has changed.
        """
        caller, scope = request.caller, request.filters.scope
        asks = self._places.asks_for_groups(looked, scope)
        if not asks or caller not in self._reached:
            found = await engine.find(request, self._places.reader_at_first(looked, scope))
            if not asks or not found.is_reached:
                return found
            self._reached.add(caller)
        found = await engine.find(request, await self._places.reader_in(looked, scope))
        if not found.is_reached:
            self._reached.discard(caller)
        return found

    async def _get_engine(self) -> "SearchEngine":
        if self._engine is None:
            module = await anyio.to_thread.run_sync(_import_engine)
            self._engine = module.SearchEngine(
                self._store,
                self._permissions,
                self._access,
                self._embedder,
                weights=self._weights,
                large_from=self._large_from,
            )
        return self._engine


def _own_only(request: SearchRequest) -> SearchRequest:
    return replace(request, filters=request.filters.model_copy(update={"scope": "mine"}))


def _import_engine():  # noqa: ANN202  # inferred: a module
    with lasting_imports():
        from diary_mcp.service.search import engine  # noqa: PLC0415  # late, see above

    return engine
