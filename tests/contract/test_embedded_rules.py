"""The embedded backend's statement under rules that ours do not have."""

from collections.abc import AsyncGenerator

import pytest

from diary_mcp.domain.relations import Grant, Membership, RelationTuple, Rule, SubjectSet
from diary_mcp.store.database import open_database
from diary_mcp.store.relation_tuples import PostgresTuples
from support.backends import SqlAdministrator

pytestmark = pytest.mark.anyio

LEAD, MEMBER = Membership("Team", "lead"), Membership("Team", "member")
LEADING = (Rule("Team", "lead", None),)
BELONGING = (Rule("Team", "member", None), Rule("Team", "member", LEAD), *LEADING)
GRANTS = {
    "open": Grant((Rule("Door", "key", LEAD),), LEADING),
    "ring": Grant(
        (Rule("Door", "key", LEAD), Rule("Door", "bell", None), Rule("Door", "bell", MEMBER)),
        BELONGING,
    ),
}
DOOR, OTHER_DOOR = "front", "back"
LEADS, MEMBERS = SubjectSet("Team", "red", "lead"), SubjectSet("Team", "red", "member")


@pytest.fixture
async def tuples(tuples_url: str) -> AsyncGenerator[PostgresTuples]:
    await SqlAdministrator(tuples_url).empty()
    async with open_database(tuples_url, max_size=2) as database:
        yield PostgresTuples(database)


@pytest.mark.parametrize(
    ("permit", "subject", "granted"),
    [
        ("open", "lead", [DOOR]),
        ("open", "member", []),
        ("open", "holder", []),
        ("open", "ringer", []),
        ("ring", "lead", [DOOR]),
        ("ring", "member", []),
        ("ring", "ringer", [DOOR, OTHER_DOOR]),
    ],
)
async def test_only_subjects_that_the_rules_admit_are_granted(
    tuples: PostgresTuples, permit: str, subject: str, granted: list[str]
) -> None:
    await tuples.patch(
        insert=[
            RelationTuple("Team", "red", "lead", "lead"),
            RelationTuple("Team", "red", "member", "member"),
            RelationTuple("Door", DOOR, "key", LEADS),
            RelationTuple("Door", DOOR, "key", MEMBERS),
            RelationTuple("Door", DOOR, "key", "holder"),
            RelationTuple("Door", DOOR, "bell", "ringer"),
            RelationTuple("Door", OTHER_DOOR, "bell", "ringer"),
            RelationTuple("Door", OTHER_DOOR, "bell", LEADS),
        ],
        delete=(),
    )

    found = await tuples.list_granted(GRANTS[permit], subject, [DOOR, OTHER_DOOR], max_depth=2)

    assert sorted(found) == sorted(granted)


async def test_belonging_is_told_apart_by_relation(tuples: PostgresTuples) -> None:
    await tuples.patch(
        insert=[
            RelationTuple("Team", "red", "lead", "lead"),
            RelationTuple("Team", "blue", "member", LEADS),
        ],
        delete=(),
    )
    found = await tuples.list_memberships(MEMBER, BELONGING, "lead", max_depth=2)

    assert found == ["blue"]
