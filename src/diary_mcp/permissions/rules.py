"""What the embedded backend evaluates of the rules in `permissions/diary.opl.ts`.

An Ory Keto runs that file; a test holds these constants to it.
"""

from diary_mcp.domain.relations import Grant, Rule
from diary_mcp.permissions.shapes import ENTRY, GROUP_MEMBER

GROUP_MEMBERSHIP = (
    Rule("Group", "member", None),
    Rule("Group", "member", GROUP_MEMBER),
)
VIEW_ENTRY = Grant(
    granting=(
        Rule(ENTRY, "owner", None),
        Rule(ENTRY, "viewer", None),
        Rule(ENTRY, "viewer", GROUP_MEMBER),
    ),
    membership=GROUP_MEMBERSHIP,
)
