"""Entries to write and questions to ask: the same ones in every run and for every server."""

import re
from functools import cache
from importlib.resources import files
from random import Random

LENGTH = 600
_MARKER = re.compile(r"entry-\d{6}")
_LEAST_LETTERS = 4


def entry_name(number: int) -> str:
    return f"entry-{number:06d}"


def entry_text(number: int) -> str:
    """600 characters of words, of which some are rare; its name stands at the beginning."""
    randomly = Random(number)
    text = entry_name(number)
    while len(text) < LENGTH:
        # As in a language: a few words are everywhere, most are hardly anywhere.
        place = int(randomly.paretovariate(0.6))
        words = _words()
        text += " " + words[place % len(words)]
    return text[:LENGTH]


def question(number: int, entries: int) -> str:
    """Three words of one of the first `entries` entries."""
    randomly = Random(-number)
    words = entry_text(randomly.randrange(entries)).split()[1:-1]
    return " ".join(randomly.sample(words, 3))


def names_in(text: str) -> set[str]:
    """The entries that a server's answer names."""
    return set(_MARKER.findall(text))


@cache
def _words() -> list[str]:
    vocabulary = files("diary_mcp.embeddings").joinpath("vocab.txt").read_text("utf-8")
    words = [word for word in vocabulary.split() if word.isascii() and word.isalpha()]
    return [word for word in words if len(word) >= _LEAST_LETTERS]
