"""The audit trail: what is kept of shares and tokens, for how long, and what never is."""

from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from diary_mcp.app import Foundation
from diary_mcp.domain.entry import Entry, EntryDraft
from diary_mcp.domain.errors import InvalidArgumentError
from diary_mcp.domain.fields import AgentName, EntryId, Grantee
from diary_mcp.store.audit import AuditEvent, list_audit_events
from diary_mcp.store.sweep import PostgresSweep

pytestmark = pytest.mark.anyio

ALICE = AgentName("alice")
BOB = AgentName("bob")
TOMORROW = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)


async def trail(
    foundation: Foundation, *, agent: AgentName | None = None, entry_id: EntryId | None = None
) -> list[AuditEvent]:
    return await list_audit_events(foundation.database, agent=agent, entry_id=entry_id, limit=1_000)


async def an_entry(foundation: Foundation) -> Entry:
    """An entry of Alice's, which she can share with Bob."""
    for agent in (ALICE, BOB):
        await foundation.diary.agents.register(agent)
    return await foundation.diary.entries.create(ALICE, EntryDraft(content="A secret."))


def told(events: list[AuditEvent]) -> list[tuple[object, ...]]:
    return [
        (event.event, event.agent, event.entry_id, event.grantee, event.expires_at)
        for event in events
    ]


async def test_a_share_and_its_end_are_kept(foundation: Foundation) -> None:
    entry = await an_entry(foundation)
    sharing, bob = foundation.diary.sharing, Grantee(BOB)

    await sharing.share(ALICE, str(entry.id), bob, note="A secret note.")
    await sharing.share(ALICE, str(entry.id), bob, expires_at=TOMORROW)
    await sharing.unshare(ALICE, str(entry.id), bob)

    assert told(await trail(foundation)) == [
        ("shared", ALICE, entry.id, BOB, None),
        ("shared", ALICE, entry.id, BOB, TOMORROW),
        ("unshared", ALICE, entry.id, BOB, TOMORROW),
    ]


async def test_a_share_that_expires_is_told_from_one_that_was_taken_back(
    foundation: Foundation, database_url: str
) -> None:
    entry = await an_entry(foundation)
    await foundation.diary.sharing.share(ALICE, str(entry.id), Grantee(BOB), expires_at=TOMORROW)
    async with await psycopg.AsyncConnection.connect(database_url) as connection:
        await connection.execute("update diary.share set expires_at = now() - interval '1 hour'")

    await PostgresSweep(foundation.database).sweep()

    assert [event.event for event in await trail(foundation)][-1] == "share_expired"


async def test_the_trail_outlives_the_entry_and_knows_nothing_of_its_content(
    foundation: Foundation, database_url: str
) -> None:
    entry = await an_entry(foundation)
    await foundation.diary.sharing.share(ALICE, str(entry.id), Grantee(BOB), note="A secret note.")

    await foundation.diary.entries.delete(ALICE, str(entry.id))

    assert told(await trail(foundation, entry_id=entry.id)) == [
        ("shared", ALICE, entry.id, BOB, None),
        ("share_deleted_with_entry", ALICE, entry.id, BOB, None),
    ]
    async with await psycopg.AsyncConnection.connect(database_url) as connection:
        cursor = await connection.execute("select a::text from diary.audit_event as a")
        assert "secret" not in str(await cursor.fetchall())


async def test_what_was_refused_leaves_no_trace(foundation: Foundation) -> None:
    entry = await an_entry(foundation)

    with pytest.raises(InvalidArgumentError):
        await foundation.diary.sharing.share(ALICE, str(entry.id), Grantee("nobody"))

    assert await trail(foundation) == []


async def test_tokens_that_are_issued_and_revoked_are_kept(foundation: Foundation) -> None:
    first = await foundation.tokens.issue(ALICE, scopes=["diary:read"])
    second = await foundation.tokens.issue(ALICE)

    await foundation.tokens.revoke(first.token.id)
    await foundation.tokens.revoke_all(ALICE)

    assert [(event.event, event.token_id) for event in await trail(foundation, agent=ALICE)] == [
        ("token_issued", first.token.id),
        ("token_issued", second.token.id),
        ("token_revoked", first.token.id),
        ("token_revoked", second.token.id),
    ]


async def test_an_agent_s_trail_has_what_it_gave_and_what_it_was_given(
    foundation: Foundation,
) -> None:
    entry = await an_entry(foundation)
    carol = AgentName("carol")
    await foundation.diary.agents.register(carol)
    await foundation.diary.sharing.share(ALICE, str(entry.id), Grantee(BOB))
    await foundation.diary.sharing.share(ALICE, str(entry.id), Grantee(carol))

    bobs, alices = await trail(foundation, agent=BOB), await trail(foundation, agent=ALICE)

    assert [event.grantee for event in bobs] == [BOB]
    assert [event.grantee for event in alices] == [BOB, carol]
