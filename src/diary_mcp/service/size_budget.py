"""Fitting lists into the little room that a model has for them."""

from collections.abc import Sequence

# Prose in English takes four to five bytes a token; ids, times and other scripts take two to three.
_BYTES_PER_TOKEN = 3
MAX_DIGEST_TOKENS = 2_000
MAX_DIGEST_BYTES = MAX_DIGEST_TOKENS * _BYTES_PER_TOKEN
_ELLIPSIS = "…"


def share_room(sizes: Sequence[Sequence[int]], room: int) -> list[int]:
    """How many items from the beginning of each list fit into `room` together.

    `sizes` are those of the items. The lists take turns, the first one first, so that a long list
    leaves room for the others; one whose next item does not fit ends there.
    """
    kept = [0] * len(sizes)
    growing = list(range(len(sizes)))
    while growing:
        for index in tuple(growing):
            items = sizes[index]
            if kept[index] == len(items) or items[kept[index]] > room:
                growing.remove(index)
                continue
            room -= items[kept[index]]
            kept[index] += 1
    return kept


def shorten(text: str, most_bytes: int) -> str:
    """`text`, or its beginning and an ellipsis, in at most `most_bytes` bytes of UTF-8."""
    if size_bytes(text) <= most_bytes:
        return text
    kept = text.encode()[: most_bytes - size_bytes(_ELLIPSIS)]
    return kept.decode(errors="ignore").rstrip() + _ELLIPSIS


def size_bytes(text: str) -> int:
    return len(text.encode())
