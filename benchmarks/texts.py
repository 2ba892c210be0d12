"""Entries to write and questions to ask: the same ones in every run and for every server."""

import re
from functools import cache
from importlib.resources import files
from itertools import accumulate
from random import Random

LENGTH = 600
_MARKER = re.compile(r"entry-\d{6}")
_LEAST_LETTERS = 2
# As in a language: a few words are everywhere, most are hardly anywhere (Zipf and Mandelbrot).
_OFFSET = 2.7
_EVERYWHERE = 200


def entry_name(number: int) -> str:
    return f"entry-{number:06d}"


def entry_text(number: int) -> str:
    """600 characters of words, of which some are rare; its name stands at the beginning."""
    randomly = Random(number)
    words = randomly.choices(_words(), cum_weights=_weights(), k=LENGTH // _LEAST_LETTERS)
    return " ".join([entry_name(number), *words])[:LENGTH]


def question(number: int, entries: int) -> str:
    """Three words of one of the first `entries` entries, none of which is in every text."""
    randomly = Random(-number)
    words = set(entry_text(randomly.randrange(entries)).split()[1:-1])
    return " ".join(randomly.sample(sorted(words.difference(_words()[:_EVERYWHERE])), 3))


def names_in(text: str) -> set[str]:
    """The entries that a server's answer names."""
    return set(_MARKER.findall(text))


@cache
def _words() -> list[str]:
    vocabulary = files("diary_mcp.embeddings").joinpath("vocab.txt").read_text("utf-8")
    words = [word for word in vocabulary.split() if word.isascii() and word.isalpha()]
    return [word for word in words if len(word) >= _LEAST_LETTERS]


@cache
def _weights() -> list[float]:
    return list(accumulate(1 / (place + _OFFSET) for place in range(len(_words()))))
