"""The title of a Markdown text."""

import pytest

from diary_mcp.files.headings import find_title


@pytest.mark.parametrize(
    ("content", "title"),
    [
        pytest.param("\n# Title\n\n# Second\n", "Title", id="first"),
        pytest.param("text\n\n   #  Title  ##  \n", "Title", id="indented and closed"),
        pytest.param("# C#\n", "C#", id="sharp in a word"),
        pytest.param("#\ttab\r\n", "tab", id="tab and crlf"),
        pytest.param("## Second level\n#no blank\n    # code\n", None, id="no top heading"),
        pytest.param("#\n# \n# Title", "Title", id="empty headings"),
        pytest.param("```\n# code\n```\n# Title", "Title", id="fence"),
        pytest.param("````md\n```\n# code\n````\n# Title", "Title", id="longer fence"),
        pytest.param("~~~\n```\n# code\n~~~ \n# Title", "Title", id="tildes"),
        pytest.param("```\n# code\n``` x\n# code", None, id="no closing fence"),
        pytest.param("``` `inline`\n# Title", "Title", id="inline code is no fence"),
        pytest.param("", None, id="empty"),
    ],
)
def test_the_title_is_the_first_top_heading_outside_code(content: str, title: str | None) -> None:
    assert find_title(content) == title


def test_a_long_heading_is_cut_to_what_a_title_may_have() -> None:
    title = find_title("# " + "x" * 201)

    assert title == "x" * 199 + "…"
