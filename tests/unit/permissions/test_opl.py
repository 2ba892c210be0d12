"""Reading the permission rules, and refusing what the embedded backend would not evaluate."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diary_mcp.domain.errors import InvalidArgumentError
from diary_mcp.domain.rules import Grant, Membership, Rule
from diary_mcp.permissions.model import Namespace, PermissionModel
from diary_mcp.permissions.opl import load_permission_model, parse_opl
from diary_mcp.shipped import resource_path

MEMBER = Membership("Group", "member")
AGENTS_IN_GROUPS = Rule("Group", "member", None)
GROUPS_IN_GROUPS = Rule("Group", "member", MEMBER)


def test_our_rules_say_who_owns_and_who_views() -> None:
    agents_and_groups = (None, MEMBER)

    model = load_permission_model()

    assert model == PermissionModel(
        {
            "Agent": Namespace({}, {}),
            "Group": Namespace({"manager": (None,), "member": agents_and_groups}, {}),
            "DiaryEntry": Namespace(
                {"owner": (None,), "viewer": agents_and_groups},
                {
                    "view": ("owner", "viewer"),
                    "edit": ("owner",),
                    "delete": ("owner",),
                    "share": ("owner",),
                },
            ),
        }
    )


def test_viewing_is_granted_by_owner_and_viewer_and_by_group_members() -> None:
    grant = load_permission_model().grant("DiaryEntry", "view")

    assert grant == Grant(
        granting=(
            Rule("DiaryEntry", "owner", None),
            Rule("DiaryEntry", "viewer", None),
            Rule("DiaryEntry", "viewer", MEMBER),
        ),
        membership=(AGENTS_IN_GROUPS, GROUPS_IN_GROUPS),
    )


def test_editing_is_granted_by_owner_alone() -> None:
    grant = load_permission_model().grant("DiaryEntry", "edit")

    assert grant == Grant(granting=(Rule("DiaryEntry", "owner", None),), membership=())


def test_agents_and_groups_belong_to_a_group() -> None:
    rules = load_permission_model().membership_rules(MEMBER)

    assert rules == (AGENTS_IN_GROUPS, GROUPS_IN_GROUPS)


def test_layout_comments_and_punctuation_do_not_matter() -> None:
    text = """
    /* Rules,
       on lines */ import {Namespace,Context} from '@ory/keto-namespace-types';
    class Box implements Namespace { // a box
      related: { lid: (A|SubjectSet<Box,'lid'>|A)[]; key: SubjectSet<Box, "lid">[], },
      permits = {
        open: (ctx: Context): boolean =>
          (this.related.lid.includes(ctx.subject) || this.related.key.includes(ctx.subject)) ||
          this.related.lid.includes(ctx.subject)
      };
    };
    class A implements Namespace {}"""

    model = parse_opl(text)

    lid = Membership("Box", "lid")
    assert model.namespaces["Box"] == Namespace(
        {"lid": (None, lid), "key": (lid,)}, {"open": ("lid", "key")}
    )


def test_a_file_without_classes_declares_nothing() -> None:
    assert parse_opl("// nothing yet\n") == PermissionModel({})


def in_class(related: str = "r: A[]", permits: str = "") -> str:
    return (
        "class A implements Namespace {}\n"
        f"class B implements Namespace {{ related: {{ {related} }}\n"
        f"permits = {{ {permits} }} }}"
    )


def permit(expression: str) -> str:
    return in_class(permits=f"p: (ctx: Context): boolean => {expression}")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (permit("!this.related.r.includes(ctx.subject)"), r"found `!` \(line 3"),
        (
            permit("this.related.r.includes(ctx.subject) && this.related.r.includes(ctx.subject)"),
            "found `&&`",
        ),
        (permit("this.permits.q(ctx)"), "expected `related`, found `permits`"),
        (permit("this.related.r.traverse((x) => x.permits.p(ctx))"), "found `traverse`"),
        (permit("this.related.q.includes(ctx.subject)"), "this.related.q is not declared"),
        (permit("this.equals(ctx.subject)"), "found `equals`"),
        (permit("true"), "found `true`"),
        (permit("(this.related.r.includes(ctx.subject)"), r"expected `\)`"),
        (in_class("r: A"), r"expected `\[`"),
        (in_class("r: Z[]"), r"no class is called Z \(line 2"),
        (in_class("r: B[]"), "only its SubjectSet"),
        (in_class('r: SubjectSet<B, "z">[]'), "B has no relation z"),
        (in_class("r: SubjectSet<B, r>[]"), "expected a text in quotes, found `r`"),
        (in_class("r: A[] r: A[]"), "relation r is declared twice"),
        (in_class('r: (A & SubjectSet<B, "r">)[]'), "found `&`"),
        (permit("this.related.r.includes(ctx.subject), p: 1"), "p is declared twice"),
        (
            in_class(permits="r: (ctx: Context): boolean => this.related.r.includes(ctx.subject)"),
            "r is declared twice",
        ),
        ("class A implements Namespace {} class A implements Namespace {}", "class A is declared"),
        ("class A extends B {}", "expected `implements`"),
        ("class A implements Namespace {", "found `end of file`"),
        ("class 'A' implements Namespace {}", "expected the name of a class"),
        ("export class A implements Namespace {}", "found `export`"),
        ("end", "found `end`"),
        ("/* never closed", "found `/`"),
        ("import { A from 'x'", "found `'x'`"),
    ],
)
def test_what_is_not_understood_is_refused_with_its_line(text: str, problem: str) -> None:
    with pytest.raises(InvalidArgumentError, match=problem):
        parse_opl(text)


RULES = (resource_path("opl") / "diary.opl.ts").read_text("utf-8")
WORDS = ["{", "}", "(", ")", "[", "]", "||", "!", "class", "related", "permits", "Agent", '"x"', ""]


@given(
    start=st.integers(0, len(RULES)),
    length=st.integers(0, 40),
    words=st.lists(st.sampled_from(WORDS), max_size=4),
)
def test_damaged_rules_are_read_or_refused_and_nothing_else(
    start: int, length: int, words: list[str]
) -> None:
    damaged = RULES[:start] + " ".join(words) + RULES[start + length :]

    with contextlib.suppress(InvalidArgumentError):
        parse_opl(damaged)
