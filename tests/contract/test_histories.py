"""Random histories: both backends, and a few lines of set theory, must always agree."""

from collections.abc import Collection
from dataclasses import dataclass, field
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diary_mcp.domain.errors import InvalidArgumentError
from diary_mcp.domain.fields import AgentName, EntryId, Grantee, GroupName
from diary_mcp.domain.relations import (
    RelationTuple,
    SubjectSet,
    group_of,
    member_tuple,
    owner_tuple,
    subject_of,
    viewer_tuple,
)
from support.backends import Backend

pytestmark = [pytest.mark.anyio, pytest.mark.xdist_group("keto")]

ENTRIES = [EntryId(UUID(int=number)) for number in range(1, 4)]
AGENTS = [AgentName(name) for name in ("ann", "bob", "caf\u00e9")]
GROUPS = [GroupName(name) for name in ("ann", "crew", "team")]
GRANTEES = [Grantee(name) for name in (*AGENTS, *(f"group:{group}" for group in GROUPS))]
AGAINST_THE_MODEL = [
    RelationTuple("DiaryEntry", str(ENTRIES[0]), "view", "bob"),
    RelationTuple("DiaryEntry", str(ENTRIES[0]), "owner", SubjectSet("Group", "team", "member")),
    RelationTuple("DiaryEntry", str(ENTRIES[1]), "viewer", SubjectSet("Group", "team", "")),
    RelationTuple("DiaryEntry", str(ENTRIES[1]), "viewer", SubjectSet("Agent", "bob", "")),
    RelationTuple("DiaryEntry", str(ENTRIES[2]), "viewer", SubjectSet("Group", "team", "other")),
]

entries = st.sampled_from(ENTRIES)
grantees = st.sampled_from(GRANTEES)
own_tuples = st.one_of(
    st.builds(owner_tuple, entries, st.sampled_from(AGENTS)),
    st.builds(viewer_tuple, entries, grantees),
)


@dataclass(frozen=True)
class Patch:
    insert: Collection[RelationTuple]
    delete: Collection[RelationTuple]


@dataclass(frozen=True)
class Add:
    group: GroupName
    member: Grantee


@dataclass(frozen=True)
class Remove:
    group: GroupName
    member: Grantee


@dataclass(frozen=True)
class Place:
    odd: RelationTuple


Step = Patch | Add | Remove | Place
steps = st.one_of(
    st.builds(Patch, st.sets(own_tuples, max_size=3), st.sets(own_tuples, max_size=3)),
    st.builds(Add, st.sampled_from(GROUPS), grantees),
    st.builds(Remove, st.sampled_from(GROUPS), grantees),
    st.builds(Place, st.sampled_from(AGAINST_THE_MODEL)),
)


@dataclass
class Expected:
    """What is granted, by reading the tuples alone."""

    tuples: set[RelationTuple] = field(default_factory=set[RelationTuple])

    def apply(self, step: Step) -> object:
        match step:
            case Patch(insert, delete):
                self.tuples = (self.tuples | set(insert)) - set(delete)
            case Place(odd):
                self.tuples.add(odd)
            case Remove(group, member):
                was_member = member_tuple(group, member) in self.tuples
                self.tuples.discard(member_tuple(group, member))
                return was_member
            case Add(group, member):
                if not self._stays_shallow(group, member):
                    return "too deep"
                self.tuples.add(member_tuple(group, member))
        return None

    def groups(self, agent: AgentName) -> set[GroupName]:
        direct = {group for group in GROUPS if self._has(group, Grantee(agent))}
        around = {
            group
            for group in GROUPS
            for inner in direct
            if self._has(group, Grantee(f"group:{inner}"))
        }
        return direct | around

    def viewable(self, agent: AgentName) -> set[EntryId]:
        names = [Grantee(agent), *(Grantee(f"group:{group}") for group in self.groups(agent))]
        return {
            entry
            for entry in ENTRIES
            if owner_tuple(entry, agent) in self.tuples
            or any(viewer_tuple(entry, name) in self.tuples for name in names)
        }

    def _stays_shallow(self, group: GroupName, member: Grantee) -> bool:
        inner = group_of(member)
        if inner is None:
            return True
        nested = [f"group:{each}" for each in GROUPS]
        holds_groups = any(self._has(inner, Grantee(each)) for each in nested)
        is_held = any(self._has(each, Grantee(f"group:{group}")) for each in GROUPS)
        return inner != group and not holds_groups and not is_held

    def _has(self, group: GroupName, member: Grantee) -> bool:
        return RelationTuple("Group", group, "member", subject_of(member)) in self.tuples


async def take(backend: Backend, step: Step) -> object:
    permissions = backend.permissions
    match step:
        case Patch(insert, delete):
            return await permissions.patch(insert=insert, delete=delete)
        case Place(odd):
            return await backend.administrator.place([odd])
        case Remove(group, member):
            return await permissions.remove(group, member)
        case Add(group, member):
            try:
                return await permissions.add(group, member)
            except InvalidArgumentError:
                return "too deep"


async def seen_in(backend: Backend) -> dict[str, object]:
    permissions = backend.permissions
    return {
        "viewable": {agent: await permissions.check_view(agent, ENTRIES) for agent in AGENTS},
        "groups": {agent: await permissions.list_groups(agent) for agent in AGENTS},
        "members": {group: await permissions.list_members(group) for group in GROUPS},
        "listed": await permissions.list_entry_tuples(ENTRIES),
        "scanned": {each async for page in permissions.scan_tuples() for each in page},
    }


def foreseen(expected: Expected) -> dict[str, object]:
    on_entries = {each for each in expected.tuples if each.namespace == "DiaryEntry"}
    return {
        "viewable": {agent: expected.viewable(agent) for agent in AGENTS},
        "groups": {agent: expected.groups(agent) for agent in AGENTS},
        "members": {
            group: sorted(each for each in GRANTEES if member_tuple(group, each) in expected.tuples)
            for group in GROUPS
        },
        "listed": on_entries,
        "scanned": on_entries,
    }


@settings(max_examples=8)
@given(history=st.lists(steps, min_size=10, max_size=25))
async def test_both_backends_answer_alike_after_every_history(
    embedded_backend: Backend, keto_backend: Backend, history: list[Step]
) -> None:
    backends = (embedded_backend, keto_backend)
    for backend in backends:
        await backend.administrator.empty()
    expected = Expected()

    for step in history:
        wanted = expected.apply(step)
        assert [await take(backend, step) for backend in backends] == [wanted, wanted]

    assert [await seen_in(backend) for backend in backends] == [foreseen(expected)] * 2
