"""What the embedded backend evaluates of the rules in `permissions/diary.opl.ts`.

An Ory Keto runs that file; a test holds these constants to it.
"""

from diary_mcp.domain.relations import Grant, Parent, Rule
from diary_mcp.permissions.tuple_shapes import DIARY, ENTRY, ENTRY_PARENT, GROUP_MEMBER

GROUP_MEMBERSHIP = (
    Rule("Group", "member", None),
    Rule("Group", "member", GROUP_MEMBER),
)
WRITE_DIARY = Grant(
    granting=(
        Rule(DIARY, "owner", None),
        Rule(DIARY, "writer", None),
        Rule(DIARY, "writer", GROUP_MEMBER),
    ),
    membership=GROUP_MEMBERSHIP,
)
VIEW_DIARY = Grant(
    granting=(
        *WRITE_DIARY.granting,
        Rule(DIARY, "viewer", None),
        Rule(DIARY, "viewer", GROUP_MEMBER),
    ),
    membership=GROUP_MEMBERSHIP,
)
VIEW_ENTRY = Grant(
    granting=(
        Rule(ENTRY, "owner", None),
        Rule(ENTRY, "viewer", None),
        Rule(ENTRY, "viewer", GROUP_MEMBER),
    ),
    membership=GROUP_MEMBERSHIP,
    parent=Parent(ENTRY_PARENT, DIARY, VIEW_DIARY.granting),
)
