"""The English stemmer, typed: the package ships no types."""

from importlib import import_module
from typing import Protocol, cast


class Stemmer(Protocol):
    def stemWord(self, word: str) -> str: ...  # noqa: N802  # the package's name


def english_stemmer() -> Stemmer:
    """A new Snowball stemmer for English, which remembers nothing."""
    return cast("Stemmer", import_module("Stemmer").Stemmer("english", 0))
