"""What search reads of a large diary."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID

from psycopg.rows import scalar_row

from diary_mcp.domain.entry import EntryFilters
from diary_mcp.domain.fields import AgentName
from diary_mcp.service.ports.entries import Readership
from diary_mcp.service.ports.index import WORDS_VERSION
from diary_mcp.service.ports.outline import (
    Changes,
    ChosenDocuments,
    PagePosition,
    Standing,
    Within,
)
from diary_mcp.service.ports.search import (
    MAX_VOCABULARY,
    DiarySnapshot,
    PackedDocuments,
    QueryWords,
    Snapshot,
    Whose,
)
from diary_mcp.store.database import Connection
from diary_mcp.store.entries import filter_parameters, reader_parameters
from diary_mcp.store.packed_arrays import PackedIds
from diary_mcp.store.search import fetch_packed, find_packed, name_parameters, prefix_bounds
from diary_mcp.store.sql import load_queries

_SQL = load_queries("outline")
# Beyond every transaction and every id.
_FIRST = {"change": str(2**64 - 1), "id": UUID(int=2**128 - 1)}


class _Ids(NamedTuple):
    ids: bytes


@dataclass(frozen=True)
class _Page(PackedDocuments):
    last_change: str | None
    last_id: UUID | None

    @property
    def end(self) -> PagePosition | None:
        if self.last_change is None or self.last_id is None:
            return None
        return PagePosition(self.last_change, self.last_id)


class PostgresOutlines:
    """`OutlineReader` on one connection. Columns travel in binary form: they are long."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def read_page(
        self, whose: Whose, after: PagePosition | None, limit: int, model: str | None
    ) -> tuple[PackedDocuments, PagePosition | None]:
        start = _FIRST if after is None else {"change": after.last_change, "id": after.last_id}
        asked = {"limit": limit, "model": model, "words_by": WORDS_VERSION}
        page = await fetch_packed(
            self._connection, _Page, _SQL["read_page"], {**whose._asdict(), **start, **asked}
        )
        return page, page.end

    async def list_changes(self, whose: Whose, horizon: str, most: int) -> Changes:
        return await fetch_packed(
            self._connection,
            Changes,
            _SQL["list_changes"],
            {**whose._asdict(), "horizon": horizon, "most": most},
        )

    async def list_vocabulary(
        self, owners: Sequence[AgentName], prefixes: Collection[str]
    ) -> list[str]:
        cursor = self._connection.cursor(row_factory=scalar_row)
        asked = {"owners": list(owners), **prefix_bounds(prefixes)}
        await cursor.execute(_SQL["list_vocabulary"], {**asked, "most": MAX_VOCABULARY})
        return [str(term) for term in await cursor.fetchall()]

    async def read_beside_own(
        self, reader: Readership, filters: EntryFilters, words: QueryWords
    ) -> Snapshot:
        asked = {**reader_parameters(reader), **filter_parameters(filters)}
        return await fetch_packed(
            self._connection, Snapshot, _SQL["read_beside_own"], {**asked, **name_parameters(words)}
        )

    async def read_beside_diary(
        self, reader: Readership, words: QueryWords
    ) -> DiarySnapshot | None:
        asked = {**reader_parameters(reader), **name_parameters(words)}
        return await find_packed(self._connection, DiarySnapshot, _SQL["read_beside_diary"], asked)

    async def read_standing(self, within: Within, ids: bytes) -> Standing:
        asked = {**_searched(within), "asked": PackedIds(ids)}
        return await fetch_packed(self._connection, Standing, _SQL["read_standing"], asked)

    async def read_chosen(self, within: Within, ids: bytes, model: str | None) -> ChosenDocuments:
        asked = {"asked": PackedIds(ids), "model": model, "words_by": WORDS_VERSION}
        return await fetch_packed(
            self._connection, ChosenDocuments, _SQL["read_chosen"], {**_searched(within), **asked}
        )

    async def list_matching(self, within: Within) -> bytes:
        return (
            await fetch_packed(self._connection, _Ids, _SQL["list_matching"], _searched(within))
        ).ids


def _searched(within: Within) -> Mapping[str, object]:
    return {
        **reader_parameters(within.reader),
        **filter_parameters(within.filters),
        "whole": within.diary,
    }
