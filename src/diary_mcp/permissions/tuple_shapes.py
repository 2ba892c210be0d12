"""Which relation tuples this program writes, and which it may delete.

Keto enforces no model on writes, replaces what it cannot encode, and empties a whole namespace
when a delete has lost its object. What is not one of our own shapes therefore never leaves.
"""

from collections.abc import Iterable

from diary_mcp.domain.errors import PermissionRefusedError
from diary_mcp.domain.relations import Membership, RelationTuple, SubjectSet

MAX_NAME_BYTES = 512
MAX_GROUP_DEPTH = 2
ENTRY = "DiaryEntry"
DIARY = "Diary"
ENTRY_PARENT = Membership(ENTRY, "parent")
GROUP_MEMBER = Membership("Group", "member")
_AGENTS_ONLY = frozenset({Membership(ENTRY, "owner"), Membership(DIARY, "owner")})
_AGENTS_AND_GROUPS = frozenset(
    {
        Membership(ENTRY, "viewer"),
        Membership(DIARY, "viewer"),
        Membership(DIARY, "writer"),
        GROUP_MEMBER,
    }
)
_NAMESPACES = frozenset({ENTRY, DIARY, GROUP_MEMBER.namespace})


def is_usable_name(name: str) -> bool:
    """Whether both backends store `name` as it is and find it again."""
    return bool(name) and _is_storable(name) and len(name.encode()) <= MAX_NAME_BYTES


def require_insertable(tuples: Iterable[RelationTuple]) -> None:
    """Refuses every tuple that is not of one of our own shapes.

    Raises:
        PermissionRefusedError: another relation or kind of subject, or an unusable name.
    """
    for each in tuples:
        if not _has_own_shape(each):
            raise PermissionRefusedError(
                f"A {each.namespace}#{each.relation} tuple with such a subject is never written; "
                "permissions/diary.opl.ts shows the relations."
            )
        if not all(map(is_usable_name, _names(each))):
            raise PermissionRefusedError(
                f"A name in a {each.namespace}#{each.relation} tuple is empty, longer than "
                f"{MAX_NAME_BYTES} bytes, or holds a NUL or a lone surrogate. Use another name."
            )


def require_deletable(tuples: Iterable[RelationTuple]) -> None:
    """Refuses a delete outside our namespaces; object, relation and subject may be of any shape.

    Each is deleted by all of its columns, so that also the one with an empty object, which only an
    accident can have written, takes no other with it. A delete by a query would: Keto reads an
    object that is missing there as every object.

    Raises:
        PermissionRefusedError: a foreign namespace, or text that nothing can hold.
    """
    for each in tuples:
        is_storable = all(map(_is_storable, (each.relation, *_names(each))))
        if each.namespace not in _NAMESPACES or not is_storable:
            raise PermissionRefusedError(
                "A relation tuple is deleted only from DiaryEntry, Diary or Group. Remove others "
                "in the permission backend itself."
            )


def _has_own_shape(each: RelationTuple) -> bool:
    holder = Membership(each.namespace, each.relation)
    if isinstance(each.subject, str):
        return holder in _AGENTS_ONLY or holder in _AGENTS_AND_GROUPS
    members = Membership(each.subject.namespace, each.subject.relation)
    if holder == ENTRY_PARENT:
        return members == Membership(DIARY, "")
    return holder in _AGENTS_AND_GROUPS and members == GROUP_MEMBER


def _is_storable(text: str) -> bool:
    try:
        return b"\0" not in text.encode()
    except UnicodeEncodeError:
        return False


def _names(each: RelationTuple) -> tuple[str, str]:
    subject = each.subject
    return each.object, subject.object if isinstance(subject, SubjectSet) else subject
