"""Groups and their members, put to both permission backends alike."""

import pytest

from diary_mcp.domain.errors import InvalidArgumentError, PermissionRefusedError
from diary_mcp.domain.fields import GroupName
from diary_mcp.domain.relations import (
    RelationTuple,
    member_tuple,
)
from support.backends import Backend
from support.tuples import BOB, agent, group, members_of

pytestmark = pytest.mark.anyio


async def test_members_are_listed_sorted_each_once(backend: Backend) -> None:
    for member in (agent("cat"), group("crew"), agent("bob"), agent("cat")):
        await backend.permissions.add(GroupName("team"), member)

    members = await backend.permissions.list_members(GroupName("team"))

    assert members == ["bob", "cat", "group:crew"]
    assert await backend.permissions.list_members(GroupName("nobody")) == []


async def test_removing_who_is_no_member_says_so(backend: Backend) -> None:
    await backend.permissions.add(GroupName("team"), agent("bob"))

    assert not await backend.permissions.remove(GroupName("team"), agent("cat"))
    assert not await backend.permissions.remove(GroupName("crew"), agent("bob"))
    assert await backend.permissions.list_members(GroupName("team")) == ["bob"]


@pytest.mark.parametrize("name", ["b\0b", "b\ud800b"])
async def test_a_member_with_an_impossible_name_is_refused(backend: Backend, name: str) -> None:
    with pytest.raises(PermissionRefusedError):
        await backend.permissions.add(GroupName("team"), agent(name))
    with pytest.raises(PermissionRefusedError):
        await backend.permissions.remove(GroupName("team"), agent(name))

    assert await backend.permissions.list_members(GroupName("team")) == []


@pytest.mark.parametrize(
    ("holder", "member"),
    [("inner", "outer"), ("inner", "other"), ("other", "outer"), ("other", "other")],
    ids=["circle", "third level below", "third level above", "in itself"],
)
async def test_groups_nest_at_most_two_levels_deep(
    backend: Backend, holder: str, member: str
) -> None:
    await backend.permissions.add(GroupName("outer"), group("inner"))

    with pytest.raises(InvalidArgumentError, match="at most 2 levels"):
        await backend.permissions.add(GroupName(holder), group(member))

    assert await backend.permissions.list_members(GroupName(holder)) == []


async def test_a_third_level_that_was_placed_makes_nobody_a_member(backend: Backend) -> None:
    await backend.administrator.place(
        [
            member_tuple(GroupName("third"), agent("bob")),
            member_tuple(GroupName("second"), group("third")),
            member_tuple(GroupName("first"), group("second")),
        ]
    )

    assert await backend.permissions.list_groups(BOB) == {"third", "second"}


async def test_an_odd_member_is_not_listed_and_does_not_belong(backend: Backend) -> None:
    await backend.administrator.place(
        [
            RelationTuple("Group", "team", "member", members_of("crew", "manager")),
            RelationTuple("Group", "team", "manager", "bob"),
            RelationTuple("Group", "crew", "member", "bob"),
        ]
    )

    assert await backend.permissions.list_members(GroupName("team")) == []
    assert await backend.permissions.list_groups(BOB) == {"crew"}


async def test_every_tuple_that_tells_of_a_name_in_groups_is_listed(backend: Backend) -> None:
    about_team = {
        member_tuple(GroupName("team"), agent("cat")),
        member_tuple(GroupName("outer"), group("team")),
        RelationTuple("Group", "team", "manager", "bob"),
    }
    about_bob = {
        member_tuple(GroupName("crew"), agent("bob")),
        RelationTuple("Group", "team", "manager", "bob"),
    }
    await backend.administrator.place(
        [*about_team, *about_bob, member_tuple(GroupName("teams"), agent("bobby"))]
    )

    assert await backend.permissions.list_group_tuples(agent("bob")) == about_bob
    assert await backend.permissions.list_group_tuples(group("team")) == about_team
