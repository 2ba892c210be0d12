"""Every kind of drift is found and repaired, in either backend."""

from dataclasses import dataclass
from uuid import UUID

import psycopg
import pytest

from diary_mcp.app import Foundation
from diary_mcp.domain.entry import Entry, EntryDraft
from diary_mcp.domain.errors import PermissionRefusedError
from diary_mcp.domain.fields import AgentName, EntryId, Grantee, GroupName
from diary_mcp.domain.relations import RelationTuple, SubjectSet, owner_tuple, viewer_tuple
from diary_mcp.service.ports.settlement import DriftCounts
from diary_mcp.service.ports.workflows import RelatedId
from diary_mcp.service.sharing.reconciliation import Repairs, count_drift, reconcile
from diary_mcp.service.sharing.settlement import settle
from diary_mcp.store.agents import PostgresAgents
from diary_mcp.store.drift import PostgresDriftFinder
from support.backends import Backend

pytestmark = pytest.mark.anyio

ALICE = AgentName("alice")
BOB = AgentName("bob")
EVE = AgentName("eve")
GONE = EntryId(UUID("01a209f7-3236-76fc-9537-63feee86b6c8"))
THE_ENTRY = "the entry"
NO_DRIFT = DriftCounts(missing=0, stray=0)


@dataclass(frozen=True)
class Diary:
    """One entry of alice's, shared with bob, settled; rows here, tuples in the backend."""

    foundation: Foundation
    backend: Backend
    entry: Entry

    @property
    def finder(self) -> PostgresDriftFinder:
        return PostgresDriftFinder(self.foundation.database_url)

    async def count(self) -> DriftCounts:
        return await count_drift(self.finder, self.backend.permissions)

    async def reconcile(self) -> Repairs:
        return await reconcile(self.finder, self.foundation.settlements, self.backend.permissions)

    async def repair(self) -> DriftCounts:
        """The drift that was found."""
        return (await self.reconcile()).drift

    async def all_tuples(self) -> set[RelationTuple]:
        pages = [page async for page in self.backend.permissions.scan_tuples()]
        return {each for page in pages for each in page}

    async def unsettled(self) -> list[RelatedId]:
        return await self.foundation.settlements.list_unsettled(None, 10)

    @property
    def wanted(self) -> set[RelationTuple]:
        return {owner_tuple(self.entry.id, ALICE), viewer_tuple(self.entry.id, Grantee(BOB))}


@pytest.fixture
async def diary(foundation: Foundation, backend: Backend) -> Diary:
    services = foundation.diary
    for agent in (ALICE, BOB, EVE):
        await services.agents.register(agent)
    entry = await services.entries.create(ALICE, EntryDraft(content="shared with bob"))
    await services.sharing.share(ALICE, str(entry.id), Grantee(BOB))
    await settle([entry.id], foundation.settlements, backend.permissions)
    return Diary(foundation, backend, entry)


async def test_what_is_settled_is_no_drift(diary: Diary) -> None:
    assert await diary.count() == NO_DRIFT
    assert await diary.all_tuples() == diary.wanted


async def test_missing_tuples_are_put_back(diary: Diary) -> None:
    await diary.backend.administrator.empty()

    found = await diary.repair()

    assert found == DriftCounts(missing=2, stray=0)
    assert await diary.all_tuples() == diary.wanted
    assert await diary.count() == NO_DRIFT


STRAYS = {
    "viewer": RelationTuple("DiaryEntry", THE_ENTRY, "viewer", "eve"),
    "group": RelationTuple("DiaryEntry", THE_ENTRY, "viewer", SubjectSet("Group", "x", "member")),
    "second owner": RelationTuple("DiaryEntry", THE_ENTRY, "owner", "eve"),
    "odd shape": RelationTuple("DiaryEntry", THE_ENTRY, "viewer", SubjectSet("Agent", "eve", "")),
    "entry that is gone": owner_tuple(GONE, ALICE),
    "no id": RelationTuple("DiaryEntry", "no id at all", "viewer", "eve"),
    "no object": RelationTuple("DiaryEntry", "", "viewer", "eve"),
    "nothing": RelationTuple("DiaryEntry", "", "viewer", ""),
    "id in capitals": RelationTuple("DiaryEntry", str(GONE).upper(), "viewer", "eve"),
    "relation": RelationTuple("DiaryEntry", THE_ENTRY, "nonsense", "eve"),
    "nobody": RelationTuple("DiaryEntry", THE_ENTRY, "viewer", ""),
    "entry as diary": RelationTuple("Diary", THE_ENTRY, "viewer", "eve"),
    "diary that is gone": RelationTuple("Diary", str(GONE), "viewer", "eve"),
    "no diary's id": RelationTuple("Diary", "no id at all", "viewer", "eve"),
}


async def test_a_stray_tuple_is_removed(diary: Diary, subtests: pytest.Subtests) -> None:
    for name, anywhere in STRAYS.items():
        here = str(diary.entry.id) if anywhere.object == THE_ENTRY else anywhere.object
        stray = anywhere._replace(object=here)
        await diary.backend.administrator.place([stray])

        before = await diary.count()
        found = await diary.repair()

        with subtests.test(name):
            assert (before, found) == (DriftCounts(0, 1), DriftCounts(0, 1))
            assert await diary.all_tuples() == diary.wanted


async def test_an_agent_called_like_a_group_does_not_stand_for_it(diary: Diary) -> None:
    await add_group(diary, "team")
    share = viewer_tuple(diary.entry.id, Grantee("group:team"))
    await diary.foundation.diary.sharing.share(ALICE, str(diary.entry.id), Grantee("group:team"))
    await diary.reconcile()
    await diary.backend.permissions.patch(insert=(), delete=[share])
    await diary.backend.administrator.place([share._replace(subject="group:team")])

    assert await diary.count() == DriftCounts(missing=1, stray=1)
    await diary.repair()

    assert await diary.all_tuples() == {*diary.wanted, share}


async def test_what_waits_is_settled_also_where_no_server_runs(diary: Diary) -> None:
    services = diary.foundation.diary
    written = await services.entries.create(ALICE, EntryDraft(content="just written"))
    deleted = await services.entries.create(ALICE, EntryDraft(content="and this is gone"))
    await services.entries.delete(ALICE, str(deleted.id))
    await services.sharing.unshare(ALICE, str(diary.entry.id), Grantee(BOB))

    done = await diary.reconcile()

    assert done == Repairs(settled=3, drift=NO_DRIFT)
    assert await diary.unsettled() == []
    assert await diary.all_tuples() == {
        owner_tuple(diary.entry.id, ALICE),
        owner_tuple(written.id, ALICE),
    }


async def test_what_was_refused_is_tried_again(diary: Diary) -> None:
    async with diary.foundation.settlements.lock_relations([diary.entry.id]) as relations:
        await relations.mark_refused("not then")
    await diary.backend.administrator.empty()
    assert await diary.unsettled() == [diary.entry.id]

    await diary.reconcile()

    assert await diary.unsettled() == []
    assert await diary.all_tuples() == diary.wanted


async def test_one_refusal_does_not_keep_the_rest_from_being_repaired(diary: Diary) -> None:
    async with await psycopg.AsyncConnection.connect(diary.foundation.database_url) as connection:
        # No agent can be called so, and no tuple is written for it.
        await connection.execute("alter table diary.agent drop constraint agent_name_is_valid")
        await connection.execute("insert into diary.agent (name) values (%s)", ("x" * 600,))
    refused = await diary.foundation.diary.entries.create(
        AgentName("x" * 600), EntryDraft(content="refused")
    )
    strays = [owner_tuple(GONE, ALICE), RelationTuple("DiaryEntry", "", "viewer", "eve")]
    await diary.backend.administrator.place(strays)

    with pytest.raises(PermissionRefusedError):
        await diary.reconcile()

    assert await diary.all_tuples() == diary.wanted
    assert await diary.unsettled() == [refused.id]


async def add_group(diary: Diary, name: str) -> None:
    async with diary.foundation.database.connection() as connection:
        await PostgresAgents(connection).add_group(GroupName(name))


async def test_counting_changes_nothing(diary: Diary) -> None:
    await diary.backend.administrator.place([owner_tuple(GONE, ALICE)])
    waiting = await diary.foundation.diary.entries.create(ALICE, EntryDraft(content="new"))

    await diary.count()

    assert await diary.all_tuples() == {*diary.wanted, owner_tuple(GONE, ALICE)}
    assert await diary.unsettled() == [waiting.id]


async def test_the_tuples_of_an_agent_that_was_removed_are_removed(diary: Diary) -> None:
    async with await psycopg.AsyncConnection.connect(diary.foundation.database_url) as connection:
        await connection.execute("delete from diary.agent where name = 'bob'")

    found = await diary.repair()

    assert found == DriftCounts(missing=0, stray=1)
    assert await diary.all_tuples() == {owner_tuple(diary.entry.id, ALICE)}


async def test_a_change_that_is_not_settled_yet_is_no_drift(diary: Diary) -> None:
    services = diary.foundation.diary
    await services.sharing.unshare(ALICE, str(diary.entry.id), Grantee(BOB))
    await services.entries.create(ALICE, EntryDraft(content="just written"))

    assert await diary.count() == NO_DRIFT


async def test_more_than_one_page_is_repaired(diary: Diary) -> None:
    services = diary.foundation.diary
    entries = [
        await services.entries.create(ALICE, EntryDraft(content=f"number {number}"))
        for number in range(120)
    ]
    ids = [entry.id for entry in entries]
    await settle(ids, diary.foundation.settlements, diary.backend.permissions)
    await diary.backend.administrator.empty()

    found = await diary.repair()

    assert found == DriftCounts(missing=122, stray=0)
    assert len(await diary.all_tuples()) == 122


async def test_drift_of_a_diary_is_repaired(diary: Diary) -> None:
    diaries = diary.foundation.diary.diaries
    await diaries.open(ALICE, "team")
    await diaries.share(ALICE, "team", Grantee(BOB), role="writer")
    await diary.foundation.diary.entries.create(ALICE, EntryDraft(content="x", diary="team"))
    await diary.reconcile()
    wanted = await diary.all_tuples()
    (role,) = [each for each in wanted if each.relation == "writer"]
    (parent,) = [each for each in wanted if each.relation == "parent"]
    strays = [
        RelationTuple("Diary", role.object, "writer", "eve"),
        RelationTuple("Diary", role.object, "owner", "eve"),
        RelationTuple("DiaryEntry", role.object, "viewer", "eve"),
        parent._replace(subject=SubjectSet("Diary", str(GONE), "")),
    ]
    await diary.backend.permissions.patch(insert=(), delete=[role, parent])
    await diary.backend.administrator.place(strays)

    before, found = await diary.count(), await diary.repair()

    assert before == found == DriftCounts(missing=2, stray=len(strays))
    assert await diary.all_tuples() == wanted
    assert await diary.count() == NO_DRIFT
