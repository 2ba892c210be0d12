"""Words as search counts them: the same for entries and for questions.

The tokeniser is our own, not PostgreSQL's, whose parser keeps hosts and paths whole. A change here
changes what is found: raise `WORDS_VERSION` (ports/index.py), and every entry is indexed again.
"""

import re
import unicodedata
from collections import Counter, OrderedDict
from collections.abc import Iterator, Sequence
from functools import lru_cache
from importlib import import_module
from threading import Lock
from typing import Protocol, cast

from diary_mcp.domain.entry import Entry
from diary_mcp.domain.fields import EntryId
from diary_mcp.domain.version import SearchText

# Rows of an index hold at most 2,700 bytes.
_LONGEST_TERM = 64
_TITLE_WEIGHT = 2
# As many as a burst writes before they are indexed; a few MiB at most.
_REMEMBERED = 128
_LONGEST_REMEMBERED = 4_000

# English stop words, as PostgreSQL ships them (english.stop).
_STOP_WORDS = frozenset(
    """
    i me my myself we our ours ourselves you your yours yourself yourselves he him his himself she
    her hers herself it its itself they them their theirs themselves what which who whom this that
    these those am is are was were be been being have has had having do does did doing a an the and
    but if or because as until while of at by for with about against between into through during
    before after above below to from up down in out on off over under again further then once here
    there when where why how all any both each few more most other some such no nor not only own
    same so than too very s t can will just don should now
    """.split()  # noqa: SIM905  # reads as the list that it is
)
# Letters and digits, and the vowel signs of Indic scripts, Thai, Lao, Burmese and Khmer, which
# Python does not count as letters.
_LETTER = r"(?:[^\W_]|[\u0900-\u0903\u093a-\u094f\u0981-\u0dff\u0e31-\u0e4e\u0eb1-\u0ecd\u102b-\u103e\u17b4-\u17d3])"  # fmt: skip  # noqa: E501  # one class
_EMOJI = "[\u2600-\u27bf\U0001f000-\U0001f3fa\U0001f400-\U0001faff]"
_WORD = re.compile(rf"{_LETTER}+(?:[_'./@#:-]+{_LETTER}+)*|{_EMOJI}")
_PART = re.compile(rf"{_LETTER}+(?:'{_LETTER}+)?")
# Accents, and the marks of Hebrew and Arabic that most people leave out.
_MARKS = re.compile(r"[\u0300-\u036f\u0591-\u05bd\u05bf-\u05c7\u0640\u064b-\u065f\u0670]")
# What people see as the same, and Unicode does not call so: quotes, hyphens, letters with a stroke.
# Khmer, Thai and Burmese set words apart by a space that has no width; elsewhere it is nothing.
_ALIKE = str.maketrans(
    dict.fromkeys("\u2018\u2019\u201a\u201b\u02b9\u02bc\u2032\u00b4\uff07", "'")
    | dict.fromkeys("\u2010\u2011\ufe63\uff0d", "-")
    | dict.fromkeys("\u00ad\u200b\u200c\u200d\u200e\u200f\u2060\ufeff")
    | dict(zip("ıŁłØøĐđÐðĦħ", "iLlOoDdDdHh", strict=True))
    | {"\u2033": '"', "Æ": "Ae", "æ": "ae", "Œ": "Oe", "œ": "oe"}
)
_QUOTES_AND_DASHES = str.maketrans(
    dict.fromkeys("\u201c\u201d\u201e\u201f\u00ab\u00bb", '"')
    | dict.fromkeys("\u2012\u2013\u2014\u2015\u2212", "-")
)
_SPACE_WITHOUT_WIDTH = re.compile("(?<=[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff])\u200b")
_CAMEL = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+")
_IS_CAMEL = re.compile(r"[a-z][A-Z]")
# Scripts that are written without spaces: Thai, kana, Han, Hangul.
_UNSPACED = re.compile(r"[\u0e00-\u0e7f\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uac00-\ud7af]+")  # fmt: skip  # noqa: E501  # one pattern


def list_terms(text: str) -> list[str]:
    """Stems of the words of `text`, in order, without stop words.

    A compound such as `DBOS.launch` counts as its parts, one with underscores also as itself,
    camelCase also as its parts, an emoji by itself. Scripts without spaces count in pairs of
    characters. Case, accents and kinds of quotes make no difference.
    """
    words: list[str] = _WORD.findall(_without_marks(text))
    return [
        term
        for word in words
        for term in (_short_terms(word) if len(word) <= _LONGEST_TERM else _word_terms(word))
    ]


def fold(text: str) -> str:
    """The text as a phrase is looked for in it.

    Case, accents, white space, kinds of quotes and of dashes make no difference.
    """
    return " ".join(_without_marks(text).translate(_QUOTES_AND_DASHES).casefold().split())


def count_terms(entry: SearchText) -> Counter[str]:
    """How often each term occurs in an entry; the title counts twice."""
    counts = Counter(list_terms(without_author(entry)))
    for text, weight in (
        (entry.title or "", _TITLE_WEIGHT),
        (" ".join(entry.tags), 1),
        (entry.author, 1),
    ):
        for term in list_terms(text):
            counts[term] += weight
    return counts


class WordCounts:
    """Counts each entry's words once: a write looks for similar entries, and then is indexed.

    Remembers the last entries' counts. May be called from any thread.
    """

    def __init__(self) -> None:
        self._counted = OrderedDict[tuple[EntryId, int], Counter[str]]()
        self._lock = Lock()

    def list_uncounted(self, texts: Sequence[SearchText]) -> list[SearchText]:
        """Those whose counts are not remembered."""
        return [text for text in texts if _key(text) not in self._counted]

    def count(self, texts: Sequence[SearchText]) -> dict[EntryId, Counter[str]]:
        """How often each term occurs in each of the entries; not to be changed."""
        return {
            text.id: self._recall(text) or self._keep(text, count_terms(text)) for text in texts
        }

    def _recall(self, text: SearchText) -> Counter[str] | None:
        return self._counted.get(_key(text))

    def _keep(self, text: SearchText, counts: Counter[str]) -> Counter[str]:
        if len(text.content) > _LONGEST_REMEMBERED:
            return counts
        with self._lock:
            self._counted[_key(text)] = counts
            while len(self._counted) > _REMEMBERED:
                self._counted.popitem(last=False)
        return counts


def _key(text: SearchText) -> tuple[EntryId, int]:
    return text.id, text.version


def without_author(text: SearchText | Entry) -> str:
    """The content without a leading "Author: ", as in a transcript."""
    return text.content.removeprefix(f"{text.author}: ")


def _without_marks(text: str) -> str:
    if text.isascii():
        return text
    alike = _SPACE_WITHOUT_WIDTH.sub(" ", text).translate(_ALIKE)
    bare = _MARKS.sub("", unicodedata.normalize("NFKD", alike))
    return unicodedata.normalize("NFC", bare)


def _word_terms(word: str) -> tuple[str, ...]:
    parts = _PART.findall(word)
    terms = [term for part in parts for term in _part_terms(part)]
    if not parts:
        terms.append(word)
    if "_" in word:
        terms.append(word.casefold()[:_LONGEST_TERM])
    return tuple(terms)


# Words repeat, and most of them are short.
_short_terms = lru_cache(maxsize=50_000)(_word_terms)


def _part_terms(part: str) -> Iterator[str]:
    if _UNSPACED.search(part):
        yield from _unspaced_terms(part)
        return
    bare, _, ending = part.partition("'")
    word = bare.casefold()
    if ending.lower() == "t" or word in _STOP_WORDS:  # don't, isn't
        return
    yield _stem(word[:_LONGEST_TERM])
    if _IS_CAMEL.search(bare):
        for piece in map(str.casefold, _CAMEL.findall(bare)):
            if len(piece) > 1 and piece not in _STOP_WORDS:
                yield _stem(piece[:_LONGEST_TERM])


def _unspaced_terms(part: str) -> Iterator[str]:
    for run in _UNSPACED.findall(part):
        yield from (run[i : i + 2] for i in range(max(1, len(run) - 1)))
    for rest in _UNSPACED.sub(" ", part).split():
        yield from _part_terms(rest)


# So do the parts of long ones.
@lru_cache(maxsize=50_000)
def _stem(word: str) -> str:
    # A stemmer has a state of its own, and several threads stem.
    return _english_stemmer().stemWord(word)


class _Stemmer(Protocol):
    """What is used of PyStemmer, which ships no types."""

    def stemWord(self, word: str) -> str: ...  # noqa: N802  # the package's name


def _english_stemmer() -> _Stemmer:
    """A new Snowball stemmer for English, which remembers nothing."""
    return cast("_Stemmer", import_module("Stemmer").Stemmer("english", 0))
