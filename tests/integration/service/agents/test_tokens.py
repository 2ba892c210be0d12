"""Tokens as rows: issued, found, expired, revoked; and what the audit trail keeps of it."""

from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from diary_mcp.app import Foundation
from diary_mcp.domain.entry import EntryDraft
from diary_mcp.domain.errors import InvalidArgumentError, NotFoundError
from diary_mcp.domain.fields import AgentName, Grantee
from diary_mcp.domain.scopes import TOKEN_SCOPES
from diary_mcp.domain.tokens import TokenId

pytestmark = pytest.mark.anyio

ALICE = AgentName("alice")
BOB = AgentName("bob")


async def test_a_token_is_found_by_itself_alone(foundation: Foundation) -> None:
    issued = await foundation.tokens.issue(ALICE)

    assert await foundation.tokens.find(issued.secret) == issued.token
    assert await foundation.tokens.find(issued.secret[:-1]) is None
    assert await foundation.tokens.find(issued.secret.upper()) is None
    assert await foundation.tokens.find("") is None


async def test_a_token_says_what_it_was_issued_for(foundation: Foundation) -> None:
    before = datetime.now(UTC)

    issued = await foundation.tokens.issue(
        ALICE, scopes=["diary:share", "diary:read"], lifetime=timedelta(days=30)
    )

    token = issued.token
    assert (token.agent, token.scopes) == (ALICE, ["diary:read", "diary:share"])
    assert token.expires_at is not None
    assert timedelta(days=30) <= token.expires_at - before < timedelta(days=30, minutes=1)


async def test_no_two_tokens_are_alike(foundation: Foundation) -> None:
    secrets = {(await foundation.tokens.issue(ALICE)).secret for _ in range(20)}

    assert len(secrets) == 20
    assert all(len(secret) == len("dmcp_") + 43 for secret in secrets)


async def test_the_database_does_not_know_the_token(
    foundation: Foundation, database_url: str
) -> None:
    issued = await foundation.tokens.issue(ALICE)

    async with await psycopg.AsyncConnection.connect(database_url) as connection:
        cursor = await connection.execute("select t::text from diary.agent_token as t")
        rows = str(await cursor.fetchall())

    assert issued.secret not in rows
    assert issued.secret.removeprefix("dmcp_") not in rows


async def test_an_expired_token_is_not_found(foundation: Foundation) -> None:
    issued = await foundation.tokens.issue(ALICE, lifetime=timedelta(microseconds=1))

    assert await foundation.tokens.find(issued.secret) is None
    assert await foundation.tokens.list_active() == []


async def test_a_lifetime_beyond_the_calendar_is_refused(foundation: Foundation) -> None:
    with pytest.raises(InvalidArgumentError):
        await foundation.tokens.issue(ALICE, lifetime=timedelta(weeks=999_999))


async def test_a_revoked_token_is_not_found_and_the_others_are(foundation: Foundation) -> None:
    revoked, kept = await foundation.tokens.issue(ALICE), await foundation.tokens.issue(ALICE)

    await foundation.tokens.revoke(revoked.token.id)

    assert await foundation.tokens.find(revoked.secret) is None
    assert await foundation.tokens.find(kept.secret) == kept.token
    assert await foundation.tokens.list_active(ALICE) == [kept.token]


@pytest.mark.parametrize("token_id", [-1, 0, 7, 2**63, 2**70])
async def test_revoking_a_token_that_is_not_there_is_told(
    foundation: Foundation, token_id: int
) -> None:
    with pytest.raises(NotFoundError):
        await foundation.tokens.revoke(TokenId(token_id))


async def test_a_token_is_revoked_once(foundation: Foundation) -> None:
    issued = await foundation.tokens.issue(ALICE)
    await foundation.tokens.revoke(issued.token.id)

    with pytest.raises(NotFoundError):
        await foundation.tokens.revoke(issued.token.id)


async def test_revoking_an_agent_ends_its_tokens_and_no_other(foundation: Foundation) -> None:
    await foundation.tokens.issue(ALICE)
    await foundation.tokens.issue(ALICE)
    other = await foundation.tokens.issue(BOB)

    count = await foundation.tokens.revoke_all(ALICE)

    assert count == 2
    assert await foundation.tokens.list_active() == [other.token]


async def test_a_token_makes_its_agent_known(foundation: Foundation) -> None:
    await foundation.tokens.issue(BOB, scopes=TOKEN_SCOPES)

    await foundation.diary.agents.register(ALICE)
    entry = await foundation.diary.entries.create(ALICE, EntryDraft(content="x"))
    share = await foundation.diary.sharing.share(ALICE, str(entry.id), Grantee(BOB))

    assert share.grantee == BOB
