"""Relation tuples: who stands in which relation to what, in Keto's terms.

Only the shapes built here are ever written. Agents are plain subject ids; a group stands for
its members as the subject set `Group:NAME#member`. The rules over them are in
`permissions/diary.opl.ts`; what of a rule an evaluation of tuples needs stands here.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple

from diary_mcp.domain.fields import AgentName, DiaryId, EntryId, Grantee, GroupName

GROUP_PREFIX = "group:"


@dataclass(frozen=True, slots=True, order=True)
class SubjectSet:
    """Everybody who stands in `relation` to `namespace:object`."""

    namespace: str
    object: str
    relation: str


class RelationTuple(NamedTuple):
    """`namespace:object#relation@subject`."""

    namespace: str
    object: str
    relation: str
    subject: str | SubjectSet


@dataclass(frozen=True, slots=True, order=True)
class Membership:
    """Everybody in `relation` of some object in `namespace`: a subject set without its object."""

    namespace: str
    relation: str


class Rule(NamedTuple):
    """`subjects` may stand in `relation` to an object of `namespace`; `None` means agents."""

    namespace: str
    relation: str
    subjects: Membership | None


class Grant(NamedTuple):
    """What grants something on an object: one tuple on it that fits one of the `granting` rules.

    Where such a rule admits members of something, the `membership` rules say who belongs to it,
    level by level. Rules are only ever united: one fitting chain of tuples is enough. What grants
    on an object that `parent` leads to grants here, too.
    """

    granting: tuple[Rule, ...]
    membership: tuple[Rule, ...]
    parent: "Parent | None" = None


class Parent(NamedTuple):
    """The relation of an object to one that lends it what is granted there."""

    holder: Membership
    namespace: str
    granting: tuple[Rule, ...]


def owner_tuple(entry_id: EntryId, owner: AgentName) -> RelationTuple:
    """The tuple that makes `owner` the owner of an entry."""
    return RelationTuple("DiaryEntry", str(entry_id), "owner", owner)


def viewer_tuple(entry_id: EntryId, grantee: Grantee) -> RelationTuple:
    """The tuple that makes an agent, or the members of a group, viewers of an entry."""
    return RelationTuple("DiaryEntry", str(entry_id), "viewer", subject_of(grantee))


def parent_tuple(entry_id: EntryId, diary_id: DiaryId) -> RelationTuple:
    """The tuple that says in which diary an entry is."""
    return RelationTuple(
        "DiaryEntry", str(entry_id), "parent", SubjectSet("Diary", str(diary_id), "")
    )


def diary_tuple(
    diary_id: DiaryId, role: Literal["owner", "writer", "viewer"], grantee: Grantee | AgentName
) -> RelationTuple:
    """The tuple that gives an agent, or the members of a group, a role on a diary."""
    return RelationTuple("Diary", str(diary_id), role, subject_of(Grantee(grantee)))


def member_tuple(group: GroupName, member: Grantee) -> RelationTuple:
    """The tuple that makes an agent, or the members of another group, members of `group`."""
    return RelationTuple("Group", group, "member", subject_of(member))


def subject_of(grantee: Grantee) -> str | SubjectSet:
    """The subject that stands for `grantee` in a tuple."""
    group = group_of(grantee)
    return grantee if group is None else SubjectSet("Group", group, "member")


def group_of(grantee: Grantee) -> GroupName | None:
    """The group that `grantee` names, or `None` for an agent."""
    if not grantee.startswith(GROUP_PREFIX):
        return None
    return GroupName(grantee.removeprefix(GROUP_PREFIX))


def group_grantee(group: GroupName) -> Grantee:
    """The grantee that stands for a group."""
    return Grantee(GROUP_PREFIX + group)
