"""What PostgreSQL plans for a statement, however few rows there are."""

from collections.abc import Mapping
from typing import cast
from uuid import UUID

import pytest

from diary_mcp.app import Foundation
from diary_mcp.domain.entry import EntryFilters
from diary_mcp.domain.fields import AgentName
from diary_mcp.service.ports.entries import Readership
from diary_mcp.service.ports.search import QueryWords
from diary_mcp.store.database import Connection
from diary_mcp.store.entries import PostgresEntries
from diary_mcp.store.search import PostgresSearch
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
OWNED = b"""
insert into diary.relation_tuple (namespace, object, relation, subject_id)
select 'DiaryEntry', number::text, 'owner', 'alice' from generate_series(1, 20000) as number
"""
KEPT = b"select coalesce(max(generic_plans), 0) from pg_prepared_statements where statement like %s"
MANY_ENTRIES = b"""
insert into diary.agent (name)
select 'agent-' || number from generate_series(1, 300) as number union select 'alice';
insert into diary.entry (
    id, owner, author, type, content, tags, importance, date, created_at, updated_at, content_hash
)
select
    gen_random_uuid(), case when number <= 3000 then 'alice' else 'agent-' || number % 300 + 1 end,
    'model', 'note', '', '{}', 0.5, now() - number * interval '1 minute', now(), now(), ''
from generate_series(1, 6000) as number;
insert into diary.entry_permission (entry_id, owner, applied_generation)
select id, owner, 1 from diary.entry;
"""
READ_OF_ENTRIES = b"""
select (seq_tup_read + idx_tup_fetch)::integer
from pg_stat_xact_user_tables
where schemaname = 'diary' and relname = 'entry'
"""
GROUPS = b"""
prepare groups (text) as select object from diary.memberships(
    $1, 2, '{Group,Group}', '{member,member}', '{null,Group}', '{null,member}'
)
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


async def test_a_search_of_nothing_but_ones_own_is_not_planned_each_time(
    foundation: Foundation,
) -> None:
    """Planning it took four times as long as all that a search reads."""
    alice = Readership(AgentName("alice"))
    filters = EntryFilters(scope="all", include_superseded=False)
    words = QueryWords(["backup"], ["backup", "restor"])
    async with foundation.database.connection() as connection:
        for _ in range(20):
            await PostgresSearch(connection).read_snapshot(alice, filters, words, 100)
        kept = await count_kept(connection, "%counted.revision%")

    assert kept > 0


async def test_a_list_of_everything_is_not_planned_each_time(foundation: Foundation) -> None:
    """Planning it took twice as long as the list."""
    alice = Readership(AgentName("alice"))
    async with foundation.database.connection() as connection:
        for _ in range(20):
            await PostgresEntries(connection).list_page(alice, EntryFilters(scope="all"), None, 20)
        kept = await count_kept(connection, "with whole as materialized%")

    assert kept > 0


async def test_a_list_of_everything_reads_its_page_of_a_large_diary(
    foundation: Foundation,
) -> None:
    """By the plan that PostgreSQL keeps for whoever lists, most of whom own little."""
    alice = Readership(AgentName("alice"))
    async with foundation.database.connection() as connection:
        await connection.execute(MANY_ENTRIES)
        await connection.execute(b"vacuum analyze diary.entry, diary.entry_permission")
        await connection.execute("set enable_seqscan = off")
        for _ in range(20):
            await PostgresEntries(connection).list_page(alice, EntryFilters(scope="all"), None, 20)
        kept = await count_kept(connection, "with whole as materialized%")
        async with connection.transaction():
            before = await count_read(connection)
            page = await PostgresEntries(connection).list_page(
                alice, EntryFilters(scope="all"), None, 20
            )
            read = await count_read(connection) - before
        await connection.execute("reset enable_seqscan")

    assert kept > 0
    assert len(page) == 20
    assert read < 200


async def test_what_is_to_be_placed_is_found_without_looking_at_each_entry(
    foundation: Foundation,
) -> None:
    async with foundation.database.connection() as connection:
        await connection.execute("set enable_seqscan = off")
        plan = await explain(connection, TO_PLACE)
        await connection.execute("reset enable_seqscan")

    filters = [str(each["Filter"]) for each in nodes(plan) if "Filter" in each]
    assert not [each for each in filters if "diary_id IS NULL" in each]


async def test_an_agent_that_owns_nearly_everything_makes_no_group_hard_to_find(
    foundation: Foundation,
) -> None:
    """PostgreSQL plans a statement once for all agents, where it took each for this one."""
    async with foundation.database.connection() as connection:
        for statement in (OWNED, b"analyze diary.relation_tuple", GROUPS):
            await connection.execute(statement)
        async with connection.transaction():
            await connection.execute("set local plan_cache_mode = force_generic_plan")
            plan = await explain(connection, b"execute groups ('bob')")
        await connection.execute("deallocate groups")

    indexes = {each.get("Index Name") for each in nodes(plan)}
    assert "relation_tuple_by_subject_id" in indexes


async def count_kept(connection: Connection, statement: str) -> int:
    """How often a statement like this one went by a plan that PostgreSQL had kept."""
    cursor = await connection.execute(KEPT, [statement])
    ((kept,),) = cast("list[tuple[int]]", await cursor.fetchall())
    return kept


async def count_read(connection: Connection) -> int:
    """How many entries were read so far."""
    cursor = await connection.execute(READ_OF_ENTRIES)
    ((read,),) = cast("list[tuple[int]]", await cursor.fetchall())
    return read


async def explain(
    connection: Connection, statement: bytes, parameters: Mapping[str, object] | None = None
) -> Plan:
    cursor = await connection.execute(b"explain (format json) " + statement, parameters)
    ((explained,),) = cast("list[tuple[list[dict[str, Plan]]]]", await cursor.fetchall())
    return explained[0]["Plan"]
