"""What a misspelt word may have been meant to be."""

import pytest

from diary_mcp.service.search.spelling import guess_term

WORDS = ["kubernet", "receiv", "8199be6f699a395f", "migrat", "cat"]


@pytest.mark.parametrize(
    ("term", "meant"),
    [
        ("reciev", "receiv"),
        ("kubrnet", "kubernet"),
        ("8199be6", "8199be6f699a395f"),
        ("migrtat", "migrat"),
        ("8199be7", None),
        ("cta", None),
        ("zebra", None),
    ],
)
def test_a_slip_of_the_finger_finds_the_word_that_is_there(term: str, meant: str | None) -> None:
    assert guess_term(term, WORDS) == meant
