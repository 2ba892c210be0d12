"""Where Keto is laxer than the embedded backend; only an administrator's own tuples get there."""

from itertools import pairwise
from uuid import UUID

import pytest

from diary_mcp.domain.errors import PermissionBackendUnavailableError
from diary_mcp.domain.fields import AgentName, EntryId
from diary_mcp.domain.relations import RelationTuple, SubjectSet
from support.backends import Backend

pytestmark = [pytest.mark.anyio, pytest.mark.xdist_group("keto")]

BOB = AgentName("bob")
ENTRY = EntryId(UUID(int=1))


def viewers(group: str, relation: str = "member") -> RelationTuple:
    return RelationTuple("DiaryEntry", str(ENTRY), "viewer", SubjectSet("Group", group, relation))


def inside(group: str, inner: str) -> RelationTuple:
    return RelationTuple("Group", group, "member", SubjectSet("Group", inner, "member"))


def bob_in(group: str, relation: str = "member") -> RelationTuple:
    return RelationTuple("Group", group, relation, "bob")


LAXER = {
    "a set that the relation does not admit": [viewers("one", "manager"), bob_in("one", "manager")],
    "a third level of groups": [
        viewers("one"),
        inside("one", "two"),
        inside("two", "three"),
        bob_in("three"),
    ],
}


@pytest.mark.parametrize("tuples", LAXER.values(), ids=LAXER)
async def test_keto_grants_what_the_embedded_backend_does_not(
    embedded_backend: Backend, keto_backend: Backend, tuples: list[RelationTuple]
) -> None:
    answers: dict[str, set[EntryId]] = {}
    for backend in (embedded_backend, keto_backend):
        await backend.administrator.place(tuples)
        answers[backend.permissions.name] = await backend.permissions.check_view(BOB, [ENTRY])

    assert answers == {"embedded": set(), "keto": {ENTRY}}


async def test_neither_counts_groups_without_end(backend: Backend) -> None:
    names = [f"level-{number}" for number in range(8)]
    chain = [inside(outer, inner) for outer, inner in pairwise(names)]

    await backend.administrator.place([viewers(names[0]), *chain, bob_in(names[-1])])

    assert await viewable(backend) == set()


async def viewable(backend: Backend) -> set[EntryId]:
    try:
        return await backend.permissions.check_view(BOB, [ENTRY])
    except PermissionBackendUnavailableError:
        # Keto v26 says that it reached its limit, v0.13 says no.
        return set()
