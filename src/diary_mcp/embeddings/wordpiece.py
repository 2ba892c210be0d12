"""BERT's uncased WordPiece in pure Python: the model's vocabulary is all that it needs.

Gives the ids that the `tokenizers` package gives, without it and the two packages that it brings.
"""

import unicodedata
from collections.abc import Sequence
from itertools import chain

_LONGEST_WORD = 100
_CJK = ((0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x2FA1F))
_ASCII_SYMBOLS = ((33, 47), (58, 64), (91, 96), (123, 126))


class WordPiece:
    """Turns text into the ids of word pieces, at most `limit` of them."""

    def __init__(self, vocabulary: str, limit: int) -> None:
        self._ids = {piece: i for i, piece in enumerate(vocabulary.split("\n")) if piece}
        self._limit = limit

    def encode(self, text: str) -> list[int]:
        """The ids, between those of `[CLS]` and `[SEP]`; what is beyond the limit is cut off."""
        ids = [self._ids["[CLS]"]]
        for word in _split(text):
            ids += self._pieces(word)
            if len(ids) >= self._limit:
                break
        return [*ids[: self._limit - 1], self._ids["[SEP]"]]

    def _pieces(self, word: str) -> Sequence[int]:
        """The longest pieces from the left; the whole word is unknown where one is missing."""
        unknown = [self._ids["[UNK]"]]
        if len(word) > _LONGEST_WORD:
            return unknown
        ids: list[int] = []
        start = 0
        while start < len(word):
            end = len(word)
            while end > start and _piece(word, start, end) not in self._ids:
                end -= 1
            if end == start:
                return unknown
            ids.append(self._ids[_piece(word, start, end)])
            start = end
        return ids


def _piece(word: str, start: int, end: int) -> str:
    return ("##" if start else "") + word[start:end]


def _split(text: str) -> list[str]:
    """Lower-case words without accents; every symbol and every Han character is one."""
    spaced = "".join(
        " " if char.isspace() else char
        for char in text
        if char.isspace() or not unicodedata.category(char).startswith("C")
    )
    plain = "".join(
        char
        for char in unicodedata.normalize("NFD", spaced.lower())
        if unicodedata.category(char) != "Mn"
    )
    return "".join(f" {char} " if _stands_alone(char) else char for char in plain).split()


def _stands_alone(char: str) -> bool:
    code = ord(char)
    return unicodedata.category(char).startswith("P") or any(
        first <= code <= last for first, last in chain(_ASCII_SYMBOLS, _CJK)
    )
