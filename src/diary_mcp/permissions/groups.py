"""Groups in relation tuples: who belongs to one, and how deep they may nest."""

from collections.abc import Iterable
from typing import Protocol

from diary_mcp.domain.errors import InvalidArgumentError
from diary_mcp.domain.fields import Grantee, GroupName
from diary_mcp.domain.relations import RelationTuple, SubjectSet, group_grantee, group_of
from diary_mcp.permissions.tuple_shapes import GROUP_MEMBER, MAX_GROUP_DEPTH


class Nesting(Protocol):
    """What a backend knows of one group's neighbours."""

    async def list_members(self, group: GroupName) -> list[Grantee]: ...

    async def list_containing(self, group: GroupName) -> set[GroupName]: ...


def members_in(tuples: Iterable[RelationTuple]) -> list[Grantee]:
    """The members that a group's tuples name, sorted; tuples of other shapes name none."""
    return sorted({member for each in tuples if (member := _member_in(each)) is not None})


def as_subject_set(group: GroupName) -> SubjectSet:
    """The members of `group` as a subject."""
    return SubjectSet(GROUP_MEMBER.namespace, group, GROUP_MEMBER.relation)


async def require_shallow(group: GroupName, member: Grantee, nesting: Nesting) -> None:
    """Keeps groups at most two levels deep, where Keto's silent limits are never touched.

    Two commands at the same moment can get past it; levels below the second then do not count.

    Raises:
        InvalidArgumentError: with `member` in it, `group` would nest deeper.
    """
    nested = group_of(member)
    if nested is None:
        return
    holds_groups = any(group_of(each) is not None for each in await nesting.list_members(nested))
    if nested == group or holds_groups or await nesting.list_containing(group):
        raise InvalidArgumentError(
            f"Group {nested} cannot be a member of group {group}: groups nest at most "
            f"{MAX_GROUP_DEPTH} levels deep, and never in themselves. Add its agents instead."
        )


def _member_in(each: RelationTuple) -> Grantee | None:
    if each.relation != GROUP_MEMBER.relation:
        return None
    if isinstance(each.subject, str):
        return Grantee(each.subject)
    group = GroupName(each.subject.object)
    return group_grantee(group) if each.subject == as_subject_set(group) else None
