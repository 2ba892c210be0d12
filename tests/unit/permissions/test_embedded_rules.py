"""The embedded backend's constants say what the file says that an Ory Keto runs."""

import pytest

from diary_mcp.domain.relations import Membership
from diary_mcp.package_data import resource_path
from diary_mcp.permissions.embedded_rules import (
    GROUP_MEMBERSHIP,
    VIEW_DIARY,
    VIEW_ENTRY,
    WRITE_DIARY,
)
from diary_mcp.permissions.tuple_shapes import GROUP_MEMBER
from support.opl import Namespace, Rules, read_opl

TEXT = (resource_path("opl") / "diary.opl.ts").read_text("utf-8")
AGENTS, AGENTS_AND_GROUPS = (None,), (None, Membership("Group", "member"))


def test_the_constants_are_what_the_file_says() -> None:
    rules = read_opl(TEXT)

    assert rules.grant("DiaryEntry", "view") == VIEW_ENTRY
    assert rules.grant("Diary", "view") == VIEW_DIARY
    assert rules.grant("Diary", "write") == WRITE_DIARY
    assert rules.membership(GROUP_MEMBER) == GROUP_MEMBERSHIP


def test_the_file_says_nothing_else() -> None:
    assert read_opl(TEXT) == Rules(
        {
            "Agent": Namespace({}, {}),
            "Group": Namespace({"manager": AGENTS, "member": AGENTS_AND_GROUPS}, {}),
            "Diary": Namespace(
                {"owner": AGENTS, "writer": AGENTS_AND_GROUPS, "viewer": AGENTS_AND_GROUPS},
                {"view": ("owner", "writer", "viewer"), "write": ("owner", "writer")},
            ),
            "DiaryEntry": Namespace(
                {
                    "owner": AGENTS,
                    "viewer": AGENTS_AND_GROUPS,
                    "parent": (Membership("Diary", ""),),
                },
                {
                    "view": ("owner", "viewer"),
                    "edit": ("owner",),
                    "delete": ("owner",),
                    "share": ("owner",),
                },
                {"view": ("parent", "view")},
            ),
        }
    )


@pytest.mark.parametrize(
    ("said", "instead"),
    [
        (
            "this.related.owner.includes(ctx.subject) ||",
            "!this.related.owner.includes(ctx.subject) ||",
        ),
        ("includes(ctx.subject) ||", "includes(ctx.subject) &&"),
        ("viewer.includes(ctx.subject)", "viewer.traverse((v) => v.permits.view(ctx))"),
        ("class Agent", "export class Agent"),
        ("manager: Agent[]", "manager: Agent[] & Group[]"),
    ],
)
def test_what_the_constants_cannot_say_is_seen(said: str, instead: str) -> None:
    assert said in TEXT

    with pytest.raises(AssertionError, match=r"support/opl\.py"):
        read_opl(TEXT.replace(said, instead, 1))


@pytest.mark.parametrize(
    ("said", "instead"),
    [
        ("    viewer: (Agent", '    viewer: (SubjectSet<Group, "manager">'),
        ("this.related.owner.includes(ctx.subject) ||\n", ""),
        ("member: (Agent | ", "member: ("),
    ],
)
def test_a_file_that_says_something_else_differs(said: str, instead: str) -> None:
    assert said in TEXT

    changed = read_opl(TEXT.replace(said, instead))

    assert changed != read_opl(TEXT)
