from diary_mcp.web.comparison import Line, compare


def test_a_changed_line_is_shown_with_those_around_it_and_the_rest_is_counted() -> None:
    before = "\n".join(["a", *"123456789", "z"])
    after = before.replace("5", "five")

    assert compare(before, after) == [
        Line("skipped", "2 unchanged lines"),
        Line("same", "2"),
        Line("same", "3"),
        Line("same", "4"),
        Line("removed", "5"),
        Line("added", "five"),
        Line("same", "6"),
        Line("same", "7"),
        Line("same", "8"),
        Line("skipped", "2 unchanged lines"),
    ]


def test_the_same_text_has_no_differences() -> None:
    assert compare("a\nb", "a\nb") == []


def test_very_long_texts_are_shown_one_after_the_other() -> None:
    before, after = "a\n" * 3_000, "b\n" * 3_000

    assert compare(before, after) == [
        *[Line("removed", "a")] * 3_000,
        *[Line("added", "b")] * 3_000,
    ]
