"""How counts are told."""

import pytest

from diary_mcp.domain.wording import counted


@pytest.mark.parametrize(
    ("count", "one", "several", "told"),
    [
        (0, "token", None, "0 tokens"),
        (1, "entry", "entries", "1 entry"),
        (2, "entry", "entries", "2 entries"),
        (1000, "waiting change", None, "1000 waiting changes"),
    ],
)
def test_only_one_is_told_in_the_singular(
    count: int, one: str, several: str | None, told: str
) -> None:
    assert counted(count, one, several) == told
