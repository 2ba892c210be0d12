"""A query as people and models write it, taken apart: words, phrases, slips of the finger.

Any text is a query; none is an error.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from diary_mcp.domain.entry import SearchMode
from diary_mcp.service.index.tokenizer import list_terms

_PHRASE = re.compile(r'(?<!\w)(?P<minus>-?)["“](?P<phrase>[^"“”]+)["”]')
_EXCLUDED = re.compile(r"(?<!\S)-(?P<word>[^\W\d_]\S+)")
_OR = re.compile(r"(?<!\S)OR(?!\S)")
_SPACE = re.compile(r"\s+")
_PLAIN = re.compile(r"[^\W\d_]+(?:['\u2019-][^\W\d_]+)*")
_CAMEL = re.compile(r"[a-z][A-Z]")
_NAME = re.compile(r"[^\W_]+")
_EDGES = ".,;:!?()[]{}<>'\"`“”\u2018\u2019"
_SHORTEST = 5
_SHORTEST_FOR_TWO = 8
_SHORTEST_PREFIX = 6


@dataclass(frozen=True)
class Query:
    """What is asked for, and what must or must not be there."""

    text: str
    """The question without quotes, exclusions and `OR`, as the model reads it."""
    words: tuple[tuple[str, tuple[str, ...]], ...]
    """Each word as it was written, with its terms."""
    phrases: tuple[str, ...]
    """Each must stand in a hit as it is."""
    excluded: tuple[tuple[str, ...], ...]
    """A hit has not all terms of any of these."""
    names: tuple[str, ...]
    """Words that may be the id or the key of an entry."""
    is_plain: bool
    """Whether there is anything to understand: identifiers and numbers are only looked up."""
    literal: str | None
    """The whole query, where it has not a single term: punctuation, an emoji, stop words."""

    @property
    def terms(self) -> list[str]:
        """Every term once, in order."""
        return list(dict.fromkeys(term for _, terms in self.words for term in terms))

    def literal_for(self, mode: SearchMode) -> str | None:
        """The query as it must stand in a hit, where neither words nor meaning can be searched."""
        if self.literal is None:
            return None
        has_meaning = mode != "text" and any(map(str.isalnum, self.literal))
        return None if has_meaning else self.literal


def parse_query(query: str) -> Query:
    """Takes the query apart.

    `"…"` is a phrase, `-word` and `-"…"` an exclusion; any word may match, so `OR` says nothing.
    In a question, what stands in quotes is the name of something, and no phrase.
    """
    phrases: list[str] = []
    excluded: list[tuple[str, ...]] = []

    def take_phrase(match: re.Match[str]) -> str:
        phrase = _SPACE.sub(" ", match["phrase"]).strip()
        if match["minus"]:
            excluded.append(tuple(list_terms(phrase)))
            return " "
        if phrase:
            phrases.append(phrase)
        return f" {phrase} "

    def take_excluded(match: re.Match[str]) -> str:
        excluded.append(tuple(list_terms(match["word"])))
        return " "

    rest = _EXCLUDED.sub(take_excluded, _PHRASE.sub(take_phrase, query))
    text = _SPACE.sub(" ", _OR.sub(" ", rest)).strip()
    words = tuple((word.strip(_EDGES), tuple(list_terms(word))) for word in text.split())
    has_terms = any(terms for _, terms in words)
    return Query(
        text=text,
        words=words,
        phrases=() if _asks_beside_quotes(query) else tuple(phrases),
        excluded=tuple(filter(None, excluded)),
        names=tuple(_names(query)),
        is_plain=not has_terms or any(terms and _is_plain(word) for word, terms in words),
        literal=None if has_terms else text or None,
    )


def named_authors(query: str, authors: list[str]) -> list[str]:
    """Authors whose whole name stands in the query, in the order in which they stand there."""
    asked = f" {_as_words(query)} "
    at = {author: asked.find(f" {_as_words(author)} ") for author in authors if _as_words(author)}
    return sorted((author for author in at if at[author] >= 0), key=lambda author: at[author])


def without_names(text: str, authors: list[str]) -> str:
    """The text without these names, for the model: they say who, not what.

    Unless nothing would remain.
    """
    rest = text
    for author in authors:
        rest = re.sub(
            rf"(?<!\w){re.escape(author)}(?:['\u2019]s)?(?!\w)", " ", rest, flags=re.IGNORECASE
        )
    rest = _SPACE.sub(" ", rest).strip()
    return rest if list_terms(rest) else text


def _asks_beside_quotes(query: str) -> bool:
    """Whether something is asked beside what stands in quotes."""
    return query.rstrip().endswith("?") and bool(list_terms(_PHRASE.sub(" ", query)))


def _is_plain(word: str) -> bool:
    return _PLAIN.fullmatch(word) is not None and not _CAMEL.search(word)


def _as_words(text: str) -> str:
    return " ".join(_NAME.findall(text.lower()))


def _names(query: str) -> list[str]:
    bare = {word.strip(_EDGES) for word in query.split()} | {query.strip()}
    return sorted((bare | {word.removesuffix(".md") for word in bare}) - {""})


def guess_term(term: str, vocabulary: Iterable[str]) -> str | None:
    """The word of the vocabulary that `term` most likely stands for, or `None`.

    A longer word that `term` begins, such as a commit's whole hash, or one that is one slip of
    the finger away, two in a long word: a letter too many, too few, wrong, or two swapped. The
    first letter has to be right.
    """
    if len(term) < _SHORTEST:
        return None
    most = 2 if len(term) >= _SHORTEST_FOR_TWO else 1
    best: tuple[int, str] | None = None
    for word in vocabulary:
        distance = _distance(term, word, most)
        if distance <= most and (best is None or (distance, word) < best):
            best = distance, word
    return best[1] if best else None


def can_be_guessed(term: str) -> bool:
    """Whether `guess_term` would look at all."""
    return len(term) >= _SHORTEST


def _distance(term: str, word: str, most: int) -> int:
    """Edits between the two; anything over `most` where there are more."""
    too_many = most + 1
    if word[:1] != term[:1]:
        return too_many
    if len(term) >= _SHORTEST_PREFIX and word.startswith(term):
        return 1
    has_digits = any(map(str.isdigit, term))
    if has_digits or abs(len(term) - len(word)) > most:
        return too_many
    before: list[int] = []
    row = list(range(len(word) + 1))
    for i, letter in enumerate(term, 1):
        previous, row = row, [i]
        for j, other in enumerate(word, 1):
            edits = min(previous[j] + 1, row[-1] + 1, previous[j - 1] + (letter != other))
            if before and j > 1 and letter == word[j - 2] and term[i - 2] == other:
                edits = min(edits, before[j - 2] + 1)
            row.append(edits)
        if min(row) > most:
            return too_many
        before = previous
    return row[-1]
