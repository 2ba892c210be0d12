"""What an owner's entries come to, in PostgreSQL."""

from collections.abc import Sequence
from itertools import groupby
from typing import LiteralString

from psycopg.rows import class_row

from diary_mcp.service.ports.entries import TagCount
from diary_mcp.service.ports.reflection import (
    CorrectionStep,
    DayCount,
    EntrySelection,
    OpenedCount,
    Preview,
    TypeCount,
)
from diary_mcp.store.database import Connection
from diary_mcp.store.entries import within, within_parameters
from diary_mcp.store.sql import load_queries

_SQL = load_queries("reflection")
_OPENING_CHARACTERS = 1_000
_MAX_STEPS = 5


class PostgresReflection:
    """`ReflectionReader` on one connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def count_by_type(self, selection: EntrySelection) -> list[TypeCount]:
        cursor = self._connection.cursor(row_factory=class_row(TypeCount))
        await cursor.execute(_statement(selection, "count_by_type"), _parameters(selection))
        return await cursor.fetchall()

    async def count_by_tag(self, selection: EntrySelection, limit: int) -> list[TagCount]:
        cursor = self._connection.cursor(row_factory=class_row(TagCount))
        await cursor.execute(
            _statement(selection, "count_by_tag"), {**_parameters(selection), "limit": limit}
        )
        return await cursor.fetchall()

    async def list_newest(self, selection: EntrySelection, limit: int) -> list[Preview]:
        cursor = self._connection.cursor(row_factory=class_row(Preview))
        await cursor.execute(
            _statement(selection, "list_newest"),
            {**_parameters(selection), "limit": limit, "opening": _OPENING_CHARACTERS},
        )
        return await cursor.fetchall()

    async def list_most_important(self, selection: EntrySelection, limit: int) -> list[Preview]:
        cursor = self._connection.cursor(row_factory=class_row(Preview))
        await cursor.execute(
            _statement(selection, "list_most_important"),
            {**_parameters(selection), "limit": limit, "opening": _OPENING_CHARACTERS},
        )
        return await cursor.fetchall()

    async def list_corrections(
        self, selection: EntrySelection, limit: int
    ) -> list[Sequence[Preview]]:
        cursor = self._connection.cursor(row_factory=class_row(CorrectionStep))
        await cursor.execute(
            _statement(selection, "list_corrections"),
            {
                **_parameters(selection),
                "limit": limit,
                "depth": _MAX_STEPS,
                "opening": _OPENING_CHARACTERS,
            },
        )
        steps = await cursor.fetchall()
        return [list(chain) for _, chain in groupby(steps, key=lambda step: step.head_id)]

    async def count_by_day(self, selection: EntrySelection) -> list[DayCount]:
        cursor = self._connection.cursor(row_factory=class_row(DayCount))
        await cursor.execute(_statement(selection, "count_by_day"), _parameters(selection))
        return await cursor.fetchall()

    async def list_open_problems_by_day(self, selection: EntrySelection) -> list[OpenedCount]:
        cursor = self._connection.cursor(row_factory=class_row(OpenedCount))
        await cursor.execute(
            _statement(selection, "list_open_problems_by_day"), _parameters(selection)
        )
        return await cursor.fetchall()


def _statement(selection: EntrySelection, name: str) -> LiteralString:
    return within(_SQL[name], selection.within)


def _parameters(selection: EntrySelection) -> dict[str, object]:
    types = selection.types
    return {
        **vars(selection),
        "types": None if types is None else list(types),
        "grantees": [selection.owner, *selection.groups],
        **within_parameters(selection.within),
    }
