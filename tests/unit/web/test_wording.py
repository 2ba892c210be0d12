"""What errors tell a model names tools; what a person reads on the page names what is on it."""

import re

import pytest

from diary_mcp.server.tools.catalogue import TOOLS
from diary_mcp.web.wording import for_page
from support.told import texts_of_the_diary

TOLD = {
    "No entry 'x' that you may read; diary_list shows yours, and with scope=shared those shared "
    "with you.": (
        "No entry 'x' that you may read; the timeline shows yours, and “Shared with me” those "
        "shared with you."
    ),
    "No diary 'nope' that you may read. diary_diaries lists them, and makes one with open.": (
        "No diary 'nope' that you may read. “Diaries” lists them, and makes one."
    ),
    "Entry 5 is at version 3, not 2. Read it again with diary_get, and repeat the change with "
    "expected_version 3.": (
        "Entry 5 is at version 3, not 2. Read it again on its page, and repeat the change."
    ),
    "Entry 5 was changed a moment ago; read it again with diary_get, and repeat the change with "
    "its version as expected_version.": (
        "Entry 5 was changed a moment ago; read it again on its page, and repeat the change."
    ),
    "The diary 'diary_get' is not shared with 'x'; diary_shares shows with whom it is.": (
        "The diary 'diary_get' is not shared with 'x'; its page shows with whom it is."
    ),
    "Not \u202eevil": "Not ⟨U+202E⟩evil",
}


@pytest.mark.parametrize(("told", "read"), TOLD.items())
def test_a_person_reads_where_it_is_on_the_page(told: str, read: str) -> None:
    assert for_page(told) == read


def test_no_error_or_notice_names_a_tool_to_a_reader_of_the_page() -> None:
    # Signatures are asked for by tools and commands alone.
    tool = re.compile(rf"\b({'|'.join(TOOLS)})\b")
    named = [text for text in texts_of_the_diary() if tool.search(text)]

    assert named
    assert [text for text in named if tool.search(for_page(text))] == []
