"""What is different between two versions of a text, line by line."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Literal

from diary_mcp.domain.fields import counted

_CONTEXT_LINES = 3
# Comparing takes the product of both: beyond this, one whole text is shown in the other's place.
_MAX_LINES_PRODUCT = 4_000_000

Change = Literal["same", "removed", "added", "skipped"]


@dataclass(frozen=True)
class Line:
    """A line of one of the texts or of both; of `skipped` ones how many, in words."""

    change: Change
    text: str


def compare(before: str, after: str) -> list[Line]:
    """The lines that differ, with a few around them."""
    old, new = before.splitlines(), after.splitlines()
    if len(old) * len(new) > _MAX_LINES_PRODUCT:
        return [*_lines("removed", old), *_lines("added", new)]
    matcher = SequenceMatcher(None, old, new, autojunk=False)
    compared: list[Line] = []
    done = 0
    for group in matcher.get_grouped_opcodes(_CONTEXT_LINES):
        compared += _skipped(group[0][1] - done)
        for tag, old_start, old_end, new_start, new_end in group:
            if tag == "equal":
                compared += _lines("same", old[old_start:old_end])
            else:
                compared += _lines("removed", old[old_start:old_end])
                compared += _lines("added", new[new_start:new_end])
        done = group[-1][2]
    return [*compared, *_skipped(len(old) - done)] if compared else []


def _lines(change: Change, texts: Sequence[str]) -> Iterator[Line]:
    return (Line(change, text) for text in texts)


def _skipped(count: int) -> list[Line]:
    if count <= 0:
        return []
    return [Line("skipped", counted(count, "unchanged line"))]
