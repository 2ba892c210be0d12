"""What callers are told while the permission backend is silent: nothing that depends on entries
that they may not read, and everything that their own rows tell.
"""

from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from uuid import uuid4

import pytest

from diary_mcp.app import Foundation, open_foundation
from diary_mcp.domain.entry import EntryDraft, EntryFilters
from diary_mcp.domain.errors import DiaryError, PermissionBackendUnavailableError
from diary_mcp.domain.fields import AgentName, EntryId, Grantee, GroupName
from diary_mcp.service.sharing.settlement import settle
from diary_mcp.settings import Settings
from diary_mcp.store.agents import PostgresAgents

pytestmark = pytest.mark.anyio

ALICE, BOB, EVE = AgentName("alice"), AgentName("bob"), AgentName("eve")
TEAM = GroupName("team")
NOBODY_LISTENS = "http://127.0.0.1:1"


@dataclass(frozen=True)
class Diary:
    """Entries of alice's in every state, seen while the backend answers and while it does not."""

    answering: Foundation
    silent: Foundation
    entries: dict[str, EntryId] = field(default_factory=dict[str, EntryId])

    async def create(self, name: str, *grantees: str) -> None:
        services = self.answering.diary
        entry = await services.entries.create(ALICE, EntryDraft(content=name))
        for grantee in grantees:
            await services.sharing.share(ALICE, str(entry.id), Grantee(grantee))
        await settle([entry.id], self.answering.settlements, self.answering.permissions)
        self.entries[name] = entry.id

    async def answers(self, foundation: Foundation, agent: AgentName) -> dict[str, str]:
        """What the agent is told of each entry, in words that do not name it."""
        told: dict[str, str] = {}
        for name, entry_id in self.entries.items():
            try:
                told[name] = (await foundation.diary.entries.get(agent, str(entry_id))).content
            except DiaryError as error:
                told[name] = f"{error.code}: {error}".replace(str(entry_id), "ID")
        return told


@pytest.fixture
async def diary(foundation: Foundation, database_url: str) -> AsyncGenerator[Diary]:
    async with open_foundation(
        Settings(
            database_url=database_url,
            keto_read_url=NOBODY_LISTENS,
            keto_write_url=NOBODY_LISTENS,
        )
    ) as silent:
        for agent in (ALICE, BOB, EVE):
            await foundation.diary.agents.register(agent)
        opened = Diary(foundation, silent)
        opened.entries["not there"] = EntryId(uuid4())
        await opened.create("private")
        yield opened


async def add_team(foundation: Foundation) -> None:
    async with foundation.database.connection() as connection:
        await PostgresAgents(connection).add_group(TEAM)
    await foundation.permissions.add(TEAM, Grantee(BOB))


async def test_a_key_that_looks_like_an_id_hides_no_entry(diary: Diary) -> None:
    await add_team(diary.answering)
    await diary.create("shared with the team", "group:team")
    looks_like = str(diary.entries["shared with the team"])
    draft = EntryDraft(content="bob's own", key=looks_like)
    await diary.answering.diary.entries.create(BOB, draft)

    found = await diary.answering.diary.entries.get(BOB, looks_like)

    assert found.content == "shared with the team"


async def test_a_stranger_cannot_tell_what_is_shared_with_a_group_from_what_is_not_there(
    diary: Diary,
) -> None:
    await add_team(diary.answering)
    await diary.create("shared with the team", "group:team")

    answering = await diary.answers(diary.answering, EVE)
    silent = await diary.answers(diary.silent, EVE)

    assert len(set(answering.values())) == 1
    assert len(set(silent.values())) == 1
    assert answering["not there"].startswith("not_found")
    assert silent["not there"].startswith("unavailable")


async def test_a_viewer_cannot_tell_a_right_that_it_lost_from_what_is_not_there(
    diary: Diary,
) -> None:
    await diary.create("shared with bob", "bob")
    await diary.create("shared, and taken out of the backend", "bob")
    stale = diary.entries["shared, and taken out of the backend"]
    await diary.answering.permissions.patch(
        insert=(), delete=await diary.answering.permissions.list_entry_tuples([stale])
    )

    answering = await diary.answers(diary.answering, BOB)
    silent = await diary.answers(diary.silent, BOB)

    assert answering.pop("shared with bob") == "shared with bob"
    assert len(set(answering.values())) == 1
    assert len(set(silent.values())) == 1
    assert silent["shared with bob"].startswith("unavailable")


async def test_whom_nothing_can_reach_is_told_as_ever_that_nothing_is_there(diary: Diary) -> None:
    await diary.create("shared with bob", "bob")

    assert await diary.answers(diary.silent, EVE) == await diary.answers(diary.answering, EVE)


async def test_an_owner_is_answered_by_its_rows_alone_also_after_a_deletion(diary: Diary) -> None:
    await add_team(diary.answering)
    await diary.create("shared with the team", "group:team")
    await diary.create("deleted", "group:team")
    await diary.silent.diary.entries.delete(ALICE, str(diary.entries["deleted"]))
    del diary.entries["not there"]

    told = await diary.answers(diary.silent, ALICE)

    assert told.pop("deleted").startswith("not_found")
    assert told == {"private": "private", "shared with the team": "shared with the team"}


@pytest.mark.parametrize("scope", ["shared", "all"])
async def test_a_list_of_what_is_shared_is_never_silently_short(diary: Diary, scope: str) -> None:
    await diary.create("shared with bob", "bob")
    listing, filters = diary.silent.diary.listing, {"scope": scope}

    with pytest.raises(PermissionBackendUnavailableError):
        await listing.list_entries(BOB, EntryFilters.model_validate(filters), None, 10)
