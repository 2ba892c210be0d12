"""Removing agents and groups: whoever has the name later inherits nothing."""

from uuid import UUID

import anyio
import pytest

from diary_mcp.app import Foundation
from diary_mcp.domain.entry import EntryDraft
from diary_mcp.domain.errors import (
    ConflictError,
    InvalidArgumentError,
    NotFoundError,
    UnavailableError,
)
from diary_mcp.domain.fields import AgentName, Grantee, GroupName
from diary_mcp.store.audit import list_audit_events
from support.ground_truth import ask
from support.in_memory import settle_all
from support.workflows import eventually

pytestmark = pytest.mark.anyio

ALICE, BOB = AgentName("alice"), AgentName("bob")
TEAM = GroupName("team")


async def give_everything(foundation: Foundation) -> str:
    """An entry of alice's; bob has all that an agent can be given, and a past."""
    diary, url = foundation.diary, foundation.database_url
    await diary.agents.register(BOB)
    ask(url, "insert into diary.agent_group (name) values (%s)", TEAM)
    await foundation.permissions.add(TEAM, Grantee(BOB))
    ask(url, "insert into diary.agent_group (name) values ('outer')")
    await foundation.permissions.add(GroupName("outer"), Grantee("group:team"))
    entry = await diary.entries.create(ALICE, EntryDraft(content="Alice's.", key="hers"))
    for grantee in (BOB, "group:team", "group:outer"):
        await diary.sharing.share(ALICE, str(entry.id), Grantee(grantee))
    await diary.diaries.open(ALICE, "work")
    for grantee in (BOB, "group:team"):
        await diary.diaries.share(ALICE, "work", Grantee(grantee), role="writer")
    own = await diary.entries.create(BOB, EntryDraft(content="Bob's."), idempotency_key="once")
    await diary.entries.delete(BOB, str(own.id))
    ask(
        url,
        "insert into diary.link (owner, sequence, hash, statement, signature, act)"
        " values ('bob', 1, '', '{}', '', 'admit')",
    )
    ask(url, "insert into diary.chain_head (owner, sequence) values ('bob', 1)")
    await foundation.tokens.issue(BOB)
    await settle_all(foundation)
    return str(entry.id)


def mentions(url: str, name: str) -> list[str]:
    """Tables with a row in which a whole value, or one in a list, is the name."""
    tables = ask(
        url,
        "select table_schema || '.' || table_name from information_schema.tables"
        " where table_schema = 'diary' and table_type = 'BASE TABLE' order by 1",
    )
    return [
        str(table)
        for (table,) in tables
        if ask(
            url,
            f"select from {table} as t, jsonb_each(to_jsonb(t)) as each"
            " where each.value = to_jsonb(%s::text) or each.value @> to_jsonb(%s::text) limit 1",
            name,
            name,
        )
    ]


async def test_a_later_agent_of_the_name_inherits_nothing(foundation: Foundation) -> None:
    entry_id = await give_everything(foundation)
    assert await foundation.diary.entries.get(BOB, entry_id)
    token = await foundation.tokens.issue(BOB)

    await foundation.removals.remove_agent(BOB)
    await settle_all(foundation)

    assert mentions(foundation.database_url, BOB) == ["diary.audit_event"]
    await foundation.tokens.issue(BOB)
    assert await foundation.tokens.find(token.secret) is None
    with pytest.raises(NotFoundError):
        await foundation.diary.entries.get(BOB, entry_id)
    assert await foundation.permissions.list_groups(BOB) == set()
    again = await foundation.diary.entries.create(
        BOB, EntryDraft(content="Other."), idempotency_key="once"
    )
    assert again.content == "Other."


async def test_a_later_group_of_the_name_inherits_nothing(foundation: Foundation) -> None:
    entry_id = await give_everything(foundation)
    for grantee in (BOB, "group:outer"):
        await foundation.diary.sharing.unshare(ALICE, entry_id, Grantee(grantee))
    assert await foundation.diary.entries.get(BOB, entry_id)

    await foundation.removals.remove_group(TEAM)

    with pytest.raises(NotFoundError):
        await foundation.diary.entries.get(BOB, entry_id)
    await settle_all(foundation)
    assert mentions(foundation.database_url, "group:team") == ["diary.audit_event"]
    assert mentions(foundation.database_url, "team") == []
    assert await foundation.permissions.list_members(GroupName("outer")) == []


async def test_nobody_has_the_name_before_the_permission_backend_has_forgotten_it(
    foundation: Foundation,
) -> None:
    await give_everything(foundation)
    await foundation.removals.remove_agent(BOB)

    with pytest.raises(UnavailableError, match="removed a moment ago"):
        await foundation.tokens.issue(BOB)
    with pytest.raises(UnavailableError, match="removed a moment ago"):
        await foundation.diary.entries.create(BOB, EntryDraft(content="Too early."))

    assert await foundation.permissions.list_groups(BOB) == {"team", "outer"}
    assert (await foundation.settlements.count_backlog()).pending > 0
    await settle_all(foundation)
    assert (await foundation.settlements.count_backlog()).pending == 0
    await foundation.diary.entries.create(BOB, EntryDraft(content="Now."))


async def test_what_the_queue_has_lost_of_a_removal_is_swept(foundation: Foundation) -> None:
    from diary_mcp.store.sweep import PostgresSweep  # noqa: PLC0415

    await give_everything(foundation)
    await foundation.removals.remove_agent(BOB)
    url = foundation.database_url
    ask(url, "delete from dbos.workflow_status where name = 'remove_grantee_relations'")
    ask(url, "update diary.removal set changed_at = now() - interval '1 minute'")

    await PostgresSweep(foundation.settling_database).sweep()

    assert ask(
        url, "select status from dbos.workflow_status where name = 'remove_grantee_relations'"
    ) == [("ENQUEUED",)]


async def test_an_agent_that_owns_something_stays_unless_that_is_to_be_deleted(
    foundation: Foundation,
) -> None:
    diary = foundation.diary
    await diary.agents.register(ALICE)
    entry = await diary.entries.create(BOB, EntryDraft(content="Bob's."))
    await diary.sharing.share(BOB, str(entry.id), Grantee(ALICE))
    await diary.diaries.open(BOB, "work")

    with pytest.raises(ConflictError, match="1 entry and the diaries work"):
        await foundation.removals.remove_agent(BOB)
    assert await diary.entries.get(BOB, str(entry.id))

    assert await foundation.removals.remove_agent(BOB, with_entries=True) == 1
    await settle_all(foundation)
    assert mentions(foundation.database_url, BOB) == ["diary.audit_event"]


async def test_entries_of_others_in_the_agents_diaries_are_never_deleted(
    foundation: Foundation,
) -> None:
    diary = foundation.diary
    await diary.agents.register(ALICE)
    await diary.diaries.open(BOB, "work")
    await diary.diaries.share(BOB, "work", Grantee(ALICE), role="writer")
    await settle_all(foundation)
    hers = await diary.entries.create(ALICE, EntryDraft(content="Hers.", diary="bob/work"))

    with pytest.raises(ConflictError, match="the diaries work"):
        await foundation.removals.remove_agent(BOB, with_entries=True)

    assert await diary.entries.get(ALICE, str(hers.id))


@pytest.mark.parametrize("remove", ["agent", "group"])
async def test_who_is_not_there_cannot_be_removed(foundation: Foundation, remove: str) -> None:
    removals = foundation.removals
    with pytest.raises(NotFoundError, match=f"no {remove} 'nobody'"):
        await (
            removals.remove_agent(AgentName("nobody"))
            if remove == "agent"
            else removals.remove_group(GroupName("nobody"))
        )


async def test_a_share_that_meets_the_removal_is_refused(foundation: Foundation) -> None:
    diary = foundation.diary
    await diary.agents.register(BOB)
    entry = await diary.entries.create(ALICE, EntryDraft(content="Alice's."))

    async def share() -> None:
        with pytest.raises(InvalidArgumentError, match="no agent or group 'bob'"):
            await diary.sharing.share(ALICE, str(entry.id), Grantee(BOB))

    async def is_waiting() -> bool:
        return ask(foundation.database_url, "select from pg_locks where not granted") != []

    async with anyio.create_task_group() as tasks, foundation.store.unit_of_work() as unit:
        assert await unit.removals.hold(Grantee(BOB))
        tasks.start_soon(share)
        await eventually(is_waiting)
        await unit.removals.remove(Grantee(BOB))

    assert ask(foundation.database_url, "select from diary.share") == []


async def test_the_trail_tells_who_bore_the_name_until_when(foundation: Foundation) -> None:
    await give_everything(foundation)

    await foundation.removals.remove_agent(BOB)

    events = await list_audit_events(foundation.database, agent=BOB, entry_id=None, limit=4)
    assert sorted(event.event for event in events) == [
        "agent_removed",
        "token_revoked",
        "unshared",
        "unshared",
    ]
    assert all(isinstance(event.entry_id, UUID | None) for event in events)
