"""Changing JSON with comments where it is to say otherwise, and nowhere else."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from diary_mcp.plugins.jsonc import JsoncError, parse, update

NEW: JsonValue = {"command": "x"}
COMMENTED = """// mine
{
\t/* servers */ "servers": {
\t\t// the first
\t\t"other": {"command": "y"}, // keep, {this}
\t},
\t"n": 1e2, "s": "\\u00e9 // no comment",
}
"""
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3)
    ),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("text", "changed"),
    [
        ("{}", '{\n  "d": {\n    "command": "x"\n  }\n}'),
        ('{"a": 1}', '{"a": 1, "d": {"command": "x"}}'),
        ('{"a": 1,}', '{"a": 1, "d": {"command": "x"},}'),
        ('{\r\n "a": []\r\n}\r\n', '{\r\n "a": [],\r\n "d": {\r\n  "command": "x"\r\n }\r\n}\r\n'),
        ('{\n\t"a": 1 // one\n}', '{\n\t"a": 1, // one\n\t"d": {\n\t\t"command": "x"\n\t}\n}'),
        ("{ // none\n}", '{ // none\n  "d": {\n    "command": "x"\n  }\n}'),
        ('{\n  "d": 7 /* old */\n}', '{\n  "d": {\n    "command": "x"\n  } /* old */\n}'),
        ('{"d": 7, "a": 1, "d": 8}', '{"d": 7, "a": 1, "d": {"command": "x"}}'),
    ],
)
def test_what_is_new_takes_the_form_of_what_is_there(text: str, changed: str) -> None:
    value = parse(text)
    assert isinstance(value, dict)

    assert update(text, value | {"d": NEW}) == changed


def test_comments_and_all_else_stay_while_something_comes_and_goes() -> None:
    before = parse(COMMENTED)
    assert isinstance(before, dict)
    assert before == {
        "servers": {"other": {"command": "y"}},
        "n": 100.0,
        "s": "\u00e9 // no comment",
    }

    both: JsonValue = {"other": {"command": "y"}, "d": NEW}
    changed = update(COMMENTED, {**before, "servers": both})

    assert changed == COMMENTED.replace(
        "{this}\n", '{this}\n\t\t"d": {\n\t\t\t"command": "x"\n\t\t},\n'
    )
    assert update(changed, before) == COMMENTED


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ('{"d": 1, "a": 2}', '{"a": 2}'),
        ('{"a": 2,"d": 1}', '{"a": 2}'),
        ('{\n  "d": 1, // of d\n  "a": 2\n}', '{\n  // of d\n  "a": 2\n}'),
        ('{\n  "a": 2, // of a\n  "d": 1\n}', '{\n  "a": 2 // of a\n}'),
        ('{ "d": 1, "a": 2, "d": 3 }', '{ "a": 2 }'),
    ],
)
def test_what_goes_takes_its_comma_along_and_no_comment(text: str, left: str) -> None:
    assert update(text, {"a": 2}) == left


@given(st.dictionaries(st.text(max_size=2), VALUES, max_size=4), VALUES, st.sampled_from([None, 1]))
def test_what_was_put_in_and_taken_out_leaves_the_text_as_it_was(
    value: dict[str, JsonValue], new: JsonValue, indent: int | None
) -> None:
    text = json.dumps(value, indent=indent)

    changed = update(text, value | {"diary": new})

    assert json.loads(changed) == value | {"diary": new}
    assert update(changed, value) == text


@given(VALUES, VALUES, st.sampled_from([None, 4]))
def test_any_text_can_be_changed_to_say_anything(
    before: JsonValue, after: JsonValue, indent: int | None
) -> None:
    assert parse(update(json.dumps(before, indent=indent), after)) == after


@pytest.mark.parametrize(
    "text",
    [
        "",
        "// only",
        "{",
        '{"a" 1}',
        '{"a": 1 "b": 2}',
        "{a: 1}",
        "[1,,2]",
        "{} {}",
        "NaN",
        "[" * 9_999,
    ],
)
def test_what_is_no_json_is_named_with_its_place(text: str) -> None:
    with pytest.raises(JsoncError, match=r"in line 1, column|too deeply"):
        parse(text)
