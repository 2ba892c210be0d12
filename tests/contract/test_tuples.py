"""What becomes of tuples, put to both permission backends alike."""

import pytest

from diary_mcp.domain.errors import PermissionRefusedError
from diary_mcp.domain.fields import GroupName
from diary_mcp.domain.relations import (
    RelationTuple,
    SubjectSet,
    owner_tuple,
    viewer_tuple,
)
from support.backends import Backend
from support.tuples import ANN, BOB, CAT, agent, entry, group, insert, may_view, members_of, scan

pytestmark = pytest.mark.anyio


async def test_what_is_inserted_twice_is_there_once_and_gone_after_one_delete(
    backend: Backend,
) -> None:
    for _ in range(2):
        await insert(backend.permissions, viewer_tuple(entry(1), agent("bob")))

    assert await backend.permissions.list_entry_tuples([entry(1)]) == {
        viewer_tuple(entry(1), agent("bob"))
    }
    for _ in range(2):
        await backend.permissions.patch(insert=(), delete=[viewer_tuple(entry(1), agent("bob"))])
    assert await backend.permissions.list_entry_tuples([entry(1)]) == set()


async def test_a_patch_that_inserts_and_deletes_a_tuple_leaves_it_deleted(
    backend: Backend,
) -> None:
    both = [viewer_tuple(entry(1), agent("bob"))]

    await backend.permissions.patch(insert=both, delete=both)

    assert await backend.permissions.list_entry_tuples([entry(1)]) == set()


async def test_an_empty_patch_changes_nothing(backend: Backend) -> None:
    await backend.permissions.patch(insert=(), delete=())

    assert await scan(backend.permissions) == []


async def test_an_entry_s_tuples_are_all_listed_beyond_a_page(backend: Backend) -> None:
    viewers = {viewer_tuple(entry(1), agent(f"agent-{number}")) for number in range(620)}
    await insert(backend.permissions, *viewers)
    await insert(backend.permissions, owner_tuple(entry(2), ANN))

    listed = await backend.permissions.list_entry_tuples([entry(1), entry(2)])

    assert listed == {*viewers, owner_tuple(entry(2), ANN)}


async def test_a_scan_gives_every_entry_s_tuples_once_and_no_group_s(backend: Backend) -> None:
    owners = {owner_tuple(entry(number), ANN) for number in range(1, 1101)}
    viewers = {viewer_tuple(entry(7), agent(f"agent-{number}")) for number in range(30)}
    await insert(backend.permissions, *owners, *viewers)
    await backend.permissions.add(GroupName("team"), agent("bob"))

    scanned = await scan(backend.permissions)

    assert len(scanned) == 1130
    assert set(scanned) == owners | viewers


@pytest.mark.parametrize(
    "unwritable",
    [
        RelationTuple("DiaryEntry", str(entry(1)), "view", "bob"),
        RelationTuple("DiaryEntry", str(entry(1)), "parent", "bob"),
        RelationTuple("DiaryEntry", str(entry(1)), "owner", members_of("team")),
        RelationTuple("DiaryEntry", str(entry(1)), "viewer", members_of("team", "manager")),
        RelationTuple("DiaryEntry", str(entry(1)), "viewer", SubjectSet("Agent", "bob", "")),
        RelationTuple("Group", "team", "manager", "bob"),
        RelationTuple("Agent", "ann", "viewer", "bob"),
        RelationTuple("DiaryEntry", "", "viewer", "bob"),
        RelationTuple("DiaryEntry", str(entry(1)), "viewer", ""),
        RelationTuple("DiaryEntry", str(entry(1)), "viewer", members_of("")),
        RelationTuple("DiaryEntry", str(entry(1)), "viewer", "b\0b"),
        RelationTuple("DiaryEntry", str(entry(1)), "viewer", "b\ud800b"),
        RelationTuple("DiaryEntry", str(entry(1)), "viewer", "\u00e9" * 257),
    ],
    ids=repr,
)
async def test_no_tuple_of_another_shape_is_written(
    backend: Backend, unwritable: RelationTuple
) -> None:
    with pytest.raises(PermissionRefusedError):
        await insert(backend.permissions, owner_tuple(entry(1), ANN), unwritable)

    assert await scan(backend.permissions) == []


@pytest.mark.parametrize(
    "undeletable",
    [
        RelationTuple("", str(entry(1)), "viewer", "bob"),
        RelationTuple("Other", str(entry(1)), "viewer", "bob"),
        RelationTuple("DiaryEntry", str(entry(1)), "viewer", "b\ud800b"),
        RelationTuple("DiaryEntry", str(entry(1)), "viewer", "b\0b"),
    ],
    ids=repr,
)
async def test_nothing_is_deleted_outside_our_namespaces(
    backend: Backend, undeletable: RelationTuple
) -> None:
    kept = owner_tuple(entry(1), ANN)
    await insert(backend.permissions, kept)

    with pytest.raises(PermissionRefusedError):
        await backend.permissions.patch(insert=(), delete=[undeletable])

    assert await scan(backend.permissions) == [kept]


ODD = [
    RelationTuple("DiaryEntry", str(entry(1)), "view", "bob"),
    RelationTuple("DiaryEntry", str(entry(1)), "unheard-of", "bob"),
    RelationTuple("DiaryEntry", str(entry(1)), "owner", members_of("team")),
    RelationTuple("DiaryEntry", str(entry(1)), "viewer", SubjectSet("Agent", "bob", "")),
    RelationTuple("DiaryEntry", str(entry(1)), "viewer", members_of("team", "")),
    RelationTuple("DiaryEntry", str(entry(1)), "viewer", SubjectSet("Agent", "bob", "member")),
    RelationTuple("DiaryEntry", str(entry(1)), "viewer", members_of("team", "unheard-of")),
    RelationTuple("DiaryEntry", str(entry(1)), "viewer", ""),
]


@pytest.mark.parametrize("odd", ODD, ids=repr)
async def test_a_tuple_against_the_model_grants_nothing_and_takes_nothing_away(
    backend: Backend, odd: RelationTuple
) -> None:
    await backend.permissions.add(GroupName("team"), agent("bob"))
    await insert(backend.permissions, viewer_tuple(entry(1), agent("cat")))

    await backend.administrator.place([odd])

    assert not await may_view(backend.permissions, BOB)
    assert await may_view(backend.permissions, CAT)


@pytest.mark.parametrize("odd", ODD, ids=repr)
async def test_a_tuple_against_the_model_is_listed_and_can_be_deleted(
    backend: Backend, odd: RelationTuple
) -> None:
    await backend.administrator.place([odd])

    assert await backend.permissions.list_entry_tuples([entry(1)]) == {odd}
    assert await scan(backend.permissions) == [odd]
    await backend.permissions.patch(insert=(), delete=[odd])
    assert await scan(backend.permissions) == []


async def test_of_two_tuples_that_are_almost_alike_only_the_named_one_is_deleted(
    backend: Backend,
) -> None:
    alike = [
        RelationTuple("DiaryEntry", str(entry(1)), "viewer", subject)
        for subject in ("team", members_of("team"), members_of("team", ""), members_of("crew"))
    ]
    await backend.administrator.place(alike)

    await backend.permissions.patch(insert=(), delete=[alike[1]])

    assert await backend.permissions.list_entry_tuples([entry(1)]) == {*alike} - {alike[1]}


async def test_of_the_tuples_without_an_object_only_the_named_one_is_deleted(
    backend: Backend,
) -> None:
    kept = {
        RelationTuple("DiaryEntry", "", "viewer", "cat"),
        RelationTuple("DiaryEntry", "", "owner", "bob"),
        viewer_tuple(entry(1), agent("bob")),
    }
    nameless = RelationTuple("DiaryEntry", "", "viewer", "bob")
    await backend.administrator.place([*kept, nameless])

    await backend.permissions.patch(insert=(), delete=[nameless])

    assert set(await scan(backend.permissions)) == kept


async def test_an_entry_s_tuples_are_deleted_without_touching_another_s(backend: Backend) -> None:
    kept = {owner_tuple(entry(2), ANN), viewer_tuple(entry(2), agent("bob"))}
    await insert(
        backend.permissions,
        owner_tuple(entry(1), ANN),
        viewer_tuple(entry(1), agent("bob")),
        viewer_tuple(entry(1), group("team")),
        *kept,
    )

    present = await backend.permissions.list_entry_tuples([entry(1)])
    await backend.permissions.patch(insert=(), delete=present)

    assert set(await scan(backend.permissions)) == kept


async def test_a_large_difference_is_written_whole(backend: Backend) -> None:
    old = [viewer_tuple(entry(1), agent(f"old-{number}")) for number in range(700)]
    new = [viewer_tuple(entry(1), agent(f"new-{number}")) for number in range(700)]
    await insert(backend.permissions, *old)

    await backend.permissions.patch(insert=new, delete=old)

    assert await backend.permissions.list_entry_tuples([entry(1)]) == set(new)
