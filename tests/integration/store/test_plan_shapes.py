"""What PostgreSQL plans for a statement, however few rows there are."""

from collections.abc import Mapping
from typing import cast
from uuid import UUID

import pytest

from diary_mcp.app import Foundation
from diary_mcp.store.database import Connection
from diary_mcp.store.sql import load_queries
from support.plans import Plan, nodes

pytestmark = pytest.mark.anyio

READER: Mapping[str, object] = {
    "caller": "alice", "grantees": ["alice"], "id": UUID(int=1), "keys": [], "ids": [UUID(int=1)],
}  # fmt: skip
TO_PLACE = b"""
select s.entry_id from diary.active_share as s
where s.grantee = 'alice' and s.granted_by <> s.grantee
"""


@pytest.mark.parametrize("statement", ["entry.find_entry", "search.list_entries"])
async def test_by_what_an_entry_is_open_is_planned_where_it_is_asked_alone(
    foundation: Foundation, statement: str
) -> None:
    """Planning it took several times as long as reading one's own entry takes."""
    file, name = statement.split(".")
    async with foundation.database.connection() as connection:
        plan = await explain(connection, load_queries(file)[name].encode(), READER)

    assert not {each.get("Relation Name") for each in nodes(plan)} & {"share", "diary_role"}


async def test_what_is_to_be_placed_is_found_without_looking_at_each_entry(
    foundation: Foundation,
) -> None:
    async with foundation.database.connection() as connection:
        await connection.execute("set enable_seqscan = off")
        plan = await explain(connection, TO_PLACE)
        await connection.execute("reset enable_seqscan")

    filters = [str(each["Filter"]) for each in nodes(plan) if "Filter" in each]
    assert not [each for each in filters if "diary_id IS NULL" in each]


async def explain(
    connection: Connection, statement: bytes, parameters: Mapping[str, object] | None = None
) -> Plan:
    cursor = await connection.execute(b"explain (format json) " + statement, parameters)
    ((explained,),) = cast("list[tuple[list[dict[str, Plan]]]]", await cursor.fetchall())
    return explained[0]["Plan"]
