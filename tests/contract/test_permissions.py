"""Who views what and who belongs where, put to both permission backends alike."""

from typing import Literal
from uuid import UUID

import pytest

from diary_mcp.domain.fields import AgentName, DiaryId, GroupName
from diary_mcp.domain.relations import (
    RelationTuple,
    diary_tuple,
    owner_tuple,
    parent_tuple,
    viewer_tuple,
)
from support.backends import Backend
from support.tuples import ANN, BOB, CAT, agent, entry, group, insert, may_view, members_of, scan

pytestmark = pytest.mark.anyio

DIARY = DiaryId(UUID(int=1_000))
OTHER = DiaryId(UUID(int=1_001))


async def test_a_backend_without_faults_is_ready(backend: Backend) -> None:
    await backend.permissions.check_ready()


async def test_an_owner_views_and_a_stranger_does_not(backend: Backend) -> None:
    await insert(backend.permissions, owner_tuple(entry(1), ANN))

    assert await may_view(backend.permissions, ANN)
    assert not await may_view(backend.permissions, BOB)


async def test_a_viewer_views_only_what_was_shared(backend: Backend) -> None:
    await insert(
        backend.permissions,
        owner_tuple(entry(1), ANN),
        owner_tuple(entry(2), ANN),
        viewer_tuple(entry(1), agent("bob")),
    )

    assert await backend.permissions.check_view(BOB, [entry(1), entry(2), entry(3)]) == {entry(1)}


async def test_members_of_a_viewing_group_view(backend: Backend) -> None:
    await backend.permissions.add(GroupName("team"), agent("bob"))
    await insert(backend.permissions, viewer_tuple(entry(1), group("team")))

    assert await may_view(backend.permissions, BOB)
    assert not await may_view(backend.permissions, CAT)


async def test_members_of_a_group_in_a_viewing_group_view(backend: Backend) -> None:
    await backend.permissions.add(GroupName("crew"), agent("bob"))
    await backend.permissions.add(GroupName("team"), group("crew"))
    await insert(backend.permissions, viewer_tuple(entry(1), group("team")))

    assert await may_view(backend.permissions, BOB)
    assert await backend.permissions.list_groups(BOB) == {"crew", "team"}


async def test_members_of_the_outer_group_do_not_view_what_the_inner_may(
    backend: Backend,
) -> None:
    await backend.permissions.add(GroupName("team"), agent("bob"))
    await backend.permissions.add(GroupName("team"), group("crew"))
    await insert(backend.permissions, viewer_tuple(entry(1), group("crew")))

    assert not await may_view(backend.permissions, BOB)
    assert await backend.permissions.list_groups(BOB) == {"team"}


async def test_groups_in_a_circle_end(backend: Backend) -> None:
    await backend.administrator.place(
        [
            RelationTuple("Group", "team", "member", members_of("crew")),
            RelationTuple("Group", "crew", "member", members_of("team")),
            RelationTuple("Group", "crew", "member", members_of("crew")),
            RelationTuple("Group", "crew", "member", "bob"),
            RelationTuple("DiaryEntry", str(entry(1)), "viewer", members_of("team")),
        ]
    )

    assert await may_view(backend.permissions, BOB)
    assert not await may_view(backend.permissions, CAT)
    assert await backend.permissions.list_groups(BOB) == {"crew", "team"}


async def test_an_agent_that_is_reached_over_two_ways_views(backend: Backend) -> None:
    await backend.permissions.add(GroupName("crew"), agent("bob"))
    await backend.permissions.add(GroupName("left"), group("crew"))
    await backend.permissions.add(GroupName("right"), group("crew"))
    await insert(
        backend.permissions,
        viewer_tuple(entry(1), group("left")),
        viewer_tuple(entry(1), group("right")),
    )

    assert await may_view(backend.permissions, BOB)
    assert await backend.permissions.list_groups(BOB) == {"crew", "left", "right"}


async def test_a_revoked_viewer_views_no_longer(backend: Backend) -> None:
    await insert(backend.permissions, viewer_tuple(entry(1), agent("bob")))

    await backend.permissions.patch(insert=(), delete=[viewer_tuple(entry(1), agent("bob"))])

    assert not await may_view(backend.permissions, BOB)


async def test_who_leaves_a_group_views_no_longer(backend: Backend) -> None:
    await backend.permissions.add(GroupName("team"), agent("bob"))
    await insert(backend.permissions, viewer_tuple(entry(1), group("team")))

    assert await backend.permissions.remove(GroupName("team"), agent("bob"))

    assert not await may_view(backend.permissions, BOB)
    assert await backend.permissions.list_groups(BOB) == set()


async def test_an_agent_with_the_name_of_a_group_has_none_of_its_rights(backend: Backend) -> None:
    await insert(backend.permissions, viewer_tuple(entry(1), group("team")))

    assert not await may_view(backend.permissions, AgentName("team"))
    assert not await may_view(backend.permissions, AgentName("group:team"))


async def test_many_entries_are_checked_at_once(backend: Backend) -> None:
    asked = [entry(number) for number in range(120)]
    await backend.permissions.add(GroupName("team"), agent("bob"))
    await insert(
        backend.permissions,
        *(viewer_tuple(each, agent("bob")) for each in asked[0:40]),
        *(viewer_tuple(each, group("team")) for each in asked[40:80]),
        *(viewer_tuple(each, agent("cat")) for each in asked[80:]),
    )

    assert await backend.permissions.check_view(BOB, asked) == set(asked[:80])


async def test_nothing_asked_is_nothing_answered(backend: Backend) -> None:
    assert await backend.permissions.check_view(ANN, []) == set()
    assert await backend.permissions.list_entry_tuples([]) == set()


@pytest.mark.parametrize("name", ["a", "0", "a.b-c_d", "x" * 64, "1e5", "null", "true"])
async def test_every_permitted_name_can_be_granted_to(backend: Backend, name: str) -> None:
    await backend.permissions.add(GroupName(name), agent(name))
    await insert(
        backend.permissions,
        viewer_tuple(entry(1), agent(name)),
        viewer_tuple(entry(2), group(name)),
    )

    viewable = await backend.permissions.check_view(AgentName(name), [entry(1), entry(2)])
    assert viewable == {entry(1), entry(2)}
    assert await backend.permissions.list_groups(AgentName(name)) == {name}
    assert await backend.permissions.list_members(GroupName(name)) == [name]


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("caf\u00e9", "cafe\u0301"),
        ("Ann", "ann"),
        ("ann ", "ann"),
        ("ann", "ann\n"),
        ("%", "ann"),
        ("_nn", "ann"),
        ("\U0001f98a", "\U0001f43a"),
        ("a&subject_id=b#c?d/e", "a"),
        ("x" * 512, "x" * 511),
    ],
    ids=["accent", "case", "space", "line end", "percent", "wildcard", "emoji", "query", "length"],
)
async def test_names_are_compared_to_the_byte(backend: Backend, name: str, other: str) -> None:
    await insert(backend.permissions, viewer_tuple(entry(1), agent(name)))

    assert await may_view(backend.permissions, AgentName(name))
    assert not await may_view(backend.permissions, AgentName(other))
    assert await backend.permissions.list_entry_tuples([entry(1)]) == {
        viewer_tuple(entry(1), agent(name))
    }


@pytest.mark.parametrize("name", ["", "b\0b", "b\ud800b", "x" * 513])
async def test_a_name_that_no_tuple_can_hold_has_no_right(backend: Backend, name: str) -> None:
    await backend.administrator.place([RelationTuple("DiaryEntry", str(entry(1)), "viewer", "")])

    assert not await may_view(backend.permissions, AgentName(name))
    assert await backend.permissions.list_groups(AgentName(name)) == set()


@pytest.mark.parametrize("role", ["owner", "writer", "viewer"])
async def test_whoever_has_a_role_on_a_diary_views_what_is_in_it(
    backend: Backend, role: Literal["owner", "writer", "viewer"]
) -> None:
    await insert(
        backend.permissions,
        owner_tuple(entry(1), ANN),
        owner_tuple(entry(2), ANN),
        parent_tuple(entry(1), DIARY),
        diary_tuple(DIARY, role, BOB),
    )

    assert await backend.permissions.check_view(BOB, [entry(1), entry(2)]) == {entry(1)}
    assert await backend.permissions.check_diaries(BOB, [DIARY, OTHER]) == {DIARY}
    may_write = await backend.permissions.check_diaries(BOB, [DIARY, OTHER], to_write=True)
    assert may_write == (set() if role == "viewer" else {DIARY})
    assert not await may_view(backend.permissions, CAT)
    assert await backend.permissions.check_diaries(CAT, [DIARY]) == set()


async def test_writers_through_a_group_in_a_group_view_what_is_in_the_diary(
    backend: Backend,
) -> None:
    await backend.permissions.add(GroupName("crew"), agent("bob"))
    await backend.permissions.add(GroupName("team"), group("crew"))
    await insert(
        backend.permissions,
        parent_tuple(entry(1), DIARY),
        diary_tuple(DIARY, "writer", group("team")),
    )

    assert await may_view(backend.permissions, BOB)
    assert await backend.permissions.check_diaries(BOB, [DIARY], to_write=True) == {DIARY}
    assert not await may_view(backend.permissions, CAT)


async def test_tuples_of_diaries_are_listed_scanned_and_deleted_like_those_of_entries(
    backend: Backend,
) -> None:
    held = [
        diary_tuple(DIARY, "owner", ANN),
        diary_tuple(DIARY, "writer", group("team")),
        parent_tuple(entry(1), DIARY),
    ]
    await insert(backend.permissions, *held)

    assert await backend.permissions.list_diary_tuples([DIARY, OTHER]) == set(held[:2])
    assert await backend.permissions.list_entry_tuples([entry(1)]) == {held[2]}
    assert set(await scan(backend.permissions)) == set(held)
    await backend.permissions.patch(insert=(), delete=held)
    assert await scan(backend.permissions) == []
