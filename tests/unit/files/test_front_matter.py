"""Front matter: found, read and changed without touching the rest."""

import pytest

from diary_mcp.domain.errors import InvalidArgumentError
from diary_mcp.files.front_matter import (
    MAX_FRONT_MATTER_CHARACTERS,
    Nested,
    Value,
    read_front_matter,
    split_front_matter,
)


@pytest.mark.parametrize(
    ("text", "head", "content"),
    [
        pytest.param("# no front matter\n", "", "# no front matter\n", id="none"),
        pytest.param("---\na: 1\n---\n\nbody", "---\na: 1\n---\n", "\nbody", id="usual"),
        pytest.param("---\r\na: 1\r\n---\r\nb\r\n", "---\r\na: 1\r\n---\r\n", "b\r\n", id="crlf"),
        pytest.param("---\n---\nbody", "---\n---\n", "body", id="empty"),
        pytest.param("--- \na: 1\n---\t\nb", "--- \na: 1\n---\t\n", "b", id="trailing blanks"),
        pytest.param("\ufeff---\na: 1\n---\nb", "\ufeff---\na: 1\n---\n", "b", id="bom"),
        pytest.param("\ufeffbody", "\ufeff", "body", id="bom alone"),
        pytest.param("----\nbody", "", "----\nbody", id="four dashes"),
        pytest.param("\n---\na: 1\n---\n", "", "\n---\na: 1\n---\n", id="not in the first line"),
        pytest.param("---\na: 1\n---", "---\na: 1\n---", "", id="ends with it"),
    ],
)
def test_front_matter_ends_after_its_closing_line(text: str, head: str, content: str) -> None:
    assert split_front_matter(text) == (head, content)


def test_front_matter_that_is_never_closed_is_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="no `---` line closes it"):
        split_front_matter("---\ndate: 2026-03-01\n# Title\n")


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("a: 2026-03-01", "2026-03-01"),
        ("a: 02", "02"),
        ("a: yes", "yes"),
        ("a: 0.50", "0.50"),
        ("a: 'it''s'", "it's"),
        ("a:", None),
        ("a: ~", None),
        ("a: null", None),
        ("a: 'null'", "null"),
        ("a: ''", ""),
        ("a: [x, 'y, z', 1]", ("x", "y, z", "1")),
        ("a:\n  - x\n  - y", ("x", "y")),
        ("a:\n- x\n-\n", ("x",)),
        ("a: |\n  one\n  two", "one\ntwo\n"),
        ("a: {b: c}", Nested.NESTED),
        ("a: [[b]]", Nested.NESTED),
        ("a: [b, {c: d}]", Nested.NESTED),
    ],
)
def test_scalars_stay_the_text_that_they_are(line: str, value: Value) -> None:
    field = read_front_matter(f"---\n{line}\n---\n").find("a")

    assert field is not None
    assert field.value == value


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        pytest.param("a: 1\na: 2", r"'a' is there twice \(line 3\)", id="duplicate key"),
        pytest.param("a: &x 1", "anchors", id="anchor"),
        pytest.param("a: *x", "anchors", id="alias"),
        pytest.param("a: &x [x]\nb: [*x, *x]", "anchors", id="alias bomb"),
        pytest.param("a: !!python/object/apply:os.system [x]", "tags", id="python tag"),
        pytest.param("!x a: 1", "tags", id="tag on a key"),
        pytest.param("a: " + "[" * 30_000, "30,004 characters", id="long"),
        pytest.param("a: " + "[" * 10_000, "nested deeply", id="deep"),
        pytest.param("a: b: c", r"\(line 2\)", id="colon without quotes"),
        pytest.param("a: [b", "expected", id="unclosed list"),
        pytest.param("a:\tb\n\t- c", "cannot start any token", id="tab"),
        pytest.param("a: \x07", "character that YAML does not allow", id="control character"),
        pytest.param("just text", "not made of `key: value` lines", id="scalar"),
        pytest.param("- a", "not made of `key: value` lines", id="list"),
        pytest.param("{a: 1}", "not made of `key: value` lines", id="mapping in braces"),
        pytest.param("[a]: 1", "a key must be a word", id="list as key"),
        pytest.param("? a\n: 1", "not supported", id="explicit key"),
    ],
)
def test_front_matter_that_is_not_plain_keys_is_refused_with_its_line(
    lines: str, problem: str
) -> None:
    with pytest.raises(InvalidArgumentError, match=problem):
        read_front_matter(f"---\n{lines}\n---\n")


def test_the_longest_front_matter_is_read() -> None:
    lines = "a: " + "x" * (MAX_FRONT_MATTER_CHARACTERS - len("a: \n")) + "\n"

    assert read_front_matter(f"---\n{lines}---\n").text == f"---\n{lines}---\n"


def test_setting_a_key_leaves_every_other_character_as_it_was() -> None:
    head = (
        "---\n# above\nb:   'x'   # beside\n\n# below\ntype: note\n"
        "text: |\n  # no comment\n\nc: [1,2]\n---\n"
    )

    changed = read_front_matter(head).with_value("b", "y: z").with_value("text", "short")

    assert changed.text == (
        "---\n# above\nb: 'y: z'\n\n# below\ntype: note\ntext: short\n\nc: [1,2]\n---\n"
    )


def test_a_new_key_goes_to_the_end_with_the_line_ends_and_indentation_of_the_others() -> None:
    head = "\ufeff---\r\n  a: 1\r\n---\r\n"

    changed = read_front_matter(head).with_value("b", ("x, y", "z"))

    assert changed.text == "\ufeff---\r\n  a: 1\r\n  b: ['x, y', z]\r\n---\r\n"


def test_a_key_is_set_where_there_was_no_front_matter() -> None:
    assert read_front_matter("").with_value("a", 0.5).text == "---\na: 0.5\n---\n"
    assert read_front_matter("\ufeff").with_value("a", None).text == "\ufeff---\na: null\n---\n"


@pytest.mark.parametrize("content", ["---\na: x", "---\n---\nx", "+++\na = 1\n+++\n", "\ufeffx"])
def test_content_that_looks_like_front_matter_gets_some_before_it(content: str) -> None:
    head = read_front_matter("").text_before(content)

    assert split_front_matter(head + content) == ("---\n---\n", content)
