"""The search index in PostgreSQL, read."""

from collections.abc import Collection, Mapping
from functools import cache
from typing import LiteralString, TypeVar

from psycopg.rows import class_row, dict_row, scalar_row

from diary_mcp.domain.entry import Entry, EntryFilters, Signature
from diary_mcp.domain.fields import EntryId, as_entry_id
from diary_mcp.domain.version import SearchText
from diary_mcp.service.ports.entries import Readership
from diary_mcp.service.ports.index import WORDS_VERSION
from diary_mcp.service.ports.search import (
    MAX_VOCABULARY,
    DiarySnapshot,
    Indexed,
    PackedDocuments,
    PackedRevisions,
    Postings,
    QueryWords,
    Snapshot,
    Whose,
)
from diary_mcp.store.database import Connection
from diary_mcp.store.entries import filter_parameters, reader_parameters
from diary_mcp.store.packed_arrays import PackedIds, Texts
from diary_mcp.store.sql import load_queries

_SQL = load_queries("search")
_LAST_CHARACTER = "\U0010ffff"
# What the filters say besides what `diary.matches` looks at.
_NOT_MATCHED = {"mine", "shared", "include_superseded"}

Row = TypeVar("Row")


class PostgresSearch:
    """`SearchReader` on one connection. Columns travel in binary form: they are long."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def read_snapshot(
        self, reader: Readership, filters: EntryFilters, words: QueryWords, most: int
    ) -> Snapshot:
        asked = _asked(reader, filters, words, most)
        # Groups are asked for where something was open the last time: the first would find nothing.
        may_be_lone = filters.scope == "all" and reader.place is None and not reader.groups
        if may_be_lone and not asked["filtered"]:
            lone = await find_packed(self._connection, Snapshot, _SQL["read_lone_snapshot"], asked)
            if lone is not None:
                return lone
        return await fetch_packed(self._connection, Snapshot, _SQL["read_snapshot"], asked)

    async def read_diary_snapshot(
        self, reader: Readership, filters: EntryFilters, words: QueryWords, most: int
    ) -> DiarySnapshot | None:
        asked = _asked(reader, filters, words, most)
        return await find_packed(
            self._connection, DiarySnapshot, _SQL["read_diary_snapshot"], asked
        )

    async def list_revisions(self, whose: Whose) -> PackedRevisions:
        statement = "list_revisions" if whose.diary is None else "list_revisions_in_diary"
        return await fetch_packed(
            self._connection, PackedRevisions, _SQL[statement], whose._asdict()
        )

    async def read_documents(self, ids: bytes, model: str | None) -> PackedDocuments:
        asked = {"ids": PackedIds(ids), "model": model, "words_by": WORDS_VERSION}
        return await fetch_packed(self._connection, PackedDocuments, _SQL["read_documents"], asked)

    async def read_all_documents(self, whose: Whose, model: str | None) -> PackedDocuments:
        asked = {**whose._asdict(), "model": model, "words_by": WORDS_VERSION}
        return await fetch_packed(
            self._connection, PackedDocuments, _SQL["read_all_documents"], asked
        )

    async def read_postings(self, indexed: Indexed, terms: Collection[str]) -> list[Postings]:
        if not terms or not (indexed.owners or indexed.others):
            return []
        cursor = self._connection.cursor(row_factory=class_row(Postings))
        asked = {**_looked_up(indexed), "terms": Texts(set(terms))}
        await cursor.execute(_SQL["read_postings"], asked, binary=True)
        return await cursor.fetchall()

    async def list_terms(self, indexed: Indexed, prefixes: Collection[str]) -> list[str]:
        cursor = self._connection.cursor(row_factory=scalar_row)
        await cursor.execute(
            _SQL["list_terms"],
            {
                **_looked_up(indexed),
                **prefix_bounds(prefixes),
                "most": MAX_VOCABULARY,
            },
        )
        return [str(term) for term in await cursor.fetchall()]

    async def read_texts(self, ids: Collection[EntryId]) -> list[SearchText]:
        if not ids:
            return []
        cursor = self._connection.cursor(row_factory=class_row(SearchText))
        await cursor.execute(_SQL["read_texts"], {"ids": list(ids)})
        return await cursor.fetchall()

    async def list_entries(self, reader: Readership, ids: Collection[EntryId]) -> list[Entry]:
        if not ids:
            return []
        cursor = self._connection.cursor(row_factory=dict_row)
        packed = PackedIds(b"".join(each.bytes for each in ids))
        asked = {**reader_parameters(reader), "ids": packed}
        await cursor.execute(_SQL["list_entries"], asked, binary=True)
        rows: list[dict[str, object]] = await cursor.fetchall()
        return list(map(_as_entry, rows))


async def fetch_packed(
    connection: Connection, row: type[Row], statement: LiteralString, asked: Mapping[str, object]
) -> Row:
    """The one row of a statement that always gives one, in binary."""
    only = await find_packed(connection, row, statement, asked)
    assert only is not None, statement  # noqa: S101  # an invariant
    return only


async def find_packed(
    connection: Connection, row: type[Row], statement: LiteralString, asked: Mapping[str, object]
) -> Row | None:
    """The row of a statement that gives one at most, in binary."""
    cursor = connection.cursor(row_factory=class_row(row))
    await cursor.execute(statement, asked, binary=True)
    return await cursor.fetchone()


def _as_entry(row: dict[str, object]) -> Entry:
    """An entry of its row, which names the state of its signature alone."""
    row["signature"] = _signature(str(row["signature"]))
    return Entry.model_validate(row)


@cache
def _signature(state: str) -> Signature:
    return Signature.model_validate({"state": state})


def _asked(
    reader: Readership, filters: EntryFilters, words: QueryWords, most: int
) -> Mapping[str, object]:
    """What a snapshot is asked for."""
    parameters = filter_parameters(filters)
    return {
        **reader_parameters(reader),
        **parameters,
        "filtered": any(parameters[name] is not None for name in parameters.keys() - _NOT_MATCHED),
        "most": most,
        **name_parameters(words),
        "terms": Texts(words.terms),
    }


def name_parameters(words: QueryWords) -> Mapping[str, object]:
    """What in a query may be an entry's key or id."""
    ids = [entry_id for entry_id in map(as_entry_id, words.names) if entry_id is not None]
    return {"names": Texts(words.names), "ids": ids}


def prefix_bounds(prefixes: Collection[str]) -> Mapping[str, object]:
    """From where to where terms begin with one of these, as pairs."""
    return {
        "firsts": list(prefixes),
        "ends": [prefix + _LAST_CHARACTER for prefix in prefixes],
    }


def _looked_up(indexed: Indexed) -> Mapping[str, object]:
    return {
        "owners": Texts(indexed.owners),
        "diary": indexed.diary,
        "shared": list(indexed.others),
    }
