"""A role on a diary that ends by itself: at its time, once and for all, and seen by operators."""

from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta

import pytest
from mcp.client.client import Client

from diary_mcp.app import Foundation
from diary_mcp.domain.fields import AgentName
from diary_mcp.store.audit import list_audit_events
from diary_mcp.store.sweep import PostgresSweep
from support.clients import ERAS
from support.in_memory import InMemory, good, refusal

pytestmark = pytest.mark.anyio

ANN, BOB, CAT = AgentName("ann"), AgentName("bob"), AgentName("cat")
BOBS_ROLES = "select created_at, role, expired from diary.diary_role where grantee = 'bob'"
BOBS_TUPLES = "select relation from diary.relation_tuple where subject_id = 'bob'"
Role = tuple[object, ...]


class Team:
    """Ann's diary `team`, in which bob has the role `writer` for an hour; settled."""

    def __init__(self, foundation: Foundation, ann: Client, bob: Client) -> None:
        self.foundation = foundation
        self.ann, self.bob = ann, bob
        self.memory = InMemory(foundation, ERAS[-1])

    async def begin(self) -> None:
        await good(self.bob, "diary_whoami")
        await good(self.ann, "diary_diaries", open="team")
        await good(self.ann, "diary_create", content="We meet at nine.", diary="team")
        await self.give("writer", hours=1)

    async def give(self, role: str, *, hours: float | None = None) -> None:
        until = {} if hours is None else {"expires_at": _in(hours)}
        await good(self.ann, "diary_share", diary="team", with_="bob", role=role, **until)
        await self.memory.settle_all()

    async def pass_time(self) -> None:
        """An hour and more, at once."""
        await self.query("update diary.diary_role set expires_at = expires_at - interval '2 hours'")

    async def sweep(self) -> int:
        return await PostgresSweep(self.foundation.settling_database).sweep()

    async def pending(self) -> int:
        """As `status` counts it."""
        return (await self.foundation.settlements.count_backlog()).pending

    async def found_by_bob(self) -> str:
        return str(await good(self.bob, "diary_search", query="meet"))

    async def query(self, statement: str) -> list[Role]:
        async with self.foundation.database.connection() as connection:
            cursor = await connection.execute(statement.encode())
            return await cursor.fetchall() if cursor.description else []

    async def trail_of(self, agent: AgentName) -> list[tuple[str, str | None]]:
        events = await list_audit_events(
            self.foundation.database, agent=agent, entry_id=None, limit=100
        )
        return [(event.event, event.role) for event in events]


def _in(hours: float) -> str:
    return (datetime.now(UTC) + timedelta(hours=hours)).isoformat()


@pytest.fixture
async def team(foundation: Foundation) -> AsyncGenerator[Team]:
    memory = InMemory(foundation, ERAS[-1])
    async with memory.client("ann") as ann, memory.client("bob") as bob:
        opened = Team(foundation, ann, bob)
        await opened.begin()
        yield opened


async def test_a_role_ends_at_its_time_and_its_tuple_goes_with_the_next_sweep(team: Team) -> None:
    before = await team.found_by_bob()
    await team.pass_time()

    refused = await refusal(team.bob, "diary_create", content="Too late.", diary="ann/team")
    after = await team.found_by_bob()

    assert ("at nine" in before, "at nine" in after) == (True, False)
    assert refused.startswith("not_found")
    assert await team.query(BOBS_TUPLES) == [("writer",)]
    assert (await team.sweep(), await team.pending()) == (1, 1)
    await team.memory.settle_all()
    assert (await team.sweep(), await team.pending()) == (0, 0)
    assert await team.query(BOBS_TUPLES) == []
    assert (await team.trail_of(ANN))[-1] == ("share_expired", "writer")


@pytest.mark.parametrize("is_swept", [True, False], ids=["swept", "not swept yet"])
async def test_a_role_that_is_given_again_after_its_end_begins_anew(
    team: Team, *, is_swept: bool
) -> None:
    ((first_at, *_),) = await team.query(BOBS_ROLES)
    await team.pass_time()
    if is_swept:
        await team.sweep()

    await team.give("viewer")

    ((again_at, role, expired),) = await team.query(BOBS_ROLES)
    assert (str(again_at) > str(first_at), role, expired) == (True, "viewer", False)
    assert await team.query(BOBS_TUPLES) == [("viewer",)]
    assert "at nine" in await team.found_by_bob()
    assert await team.sweep() == 0
    told = await refusal(team.bob, "diary_create", content="Only to read.", diary="ann/team")
    assert told.startswith("forbidden")
    assert (await team.trail_of(ANN))[-1] == ("shared", "viewer")


async def test_a_role_that_has_ended_is_not_told_of_again_when_its_diary_is_transferred(
    team: Team,
) -> None:
    await team.foundation.diary.agents.register(CAT)
    await team.pass_time()
    await team.sweep()

    await team.foundation.diary.diaries.transfer(ANN, "team", CAT)
    await team.memory.settle_all()

    assert (await team.trail_of(BOB)).count(("share_expired", "writer")) == 1
    assert await team.query(BOBS_TUPLES) == []
