"""What is asked for, and the query as people and models write it, taken apart.

Words, phrases, slips of the finger.
Any text is a query; none is an error.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from diary_mcp.domain.entry import EntryFilters, SearchMode
from diary_mcp.domain.fields import AgentName
from diary_mcp.service.index.tokenizer import fold, list_terms
from diary_mcp.service.ports.search import QueryWords, SearchPosition

MAX_TERMS = 64
MAX_EXCLUDED = 32
MAX_PHRASES = 16
MAX_GUESSED = 8

_QUOTES = '"\u201c\u201d\u201e\u201f\u00ab\u00bb\uff02'
_PHRASE = re.compile(rf"(?<!\w)(?P<minus>-?)[{_QUOTES}](?P<phrase>[^{_QUOTES}]+)[{_QUOTES}]")
# In one pattern, so that nothing within quotes is an exclusion.
_MARKED = re.compile(rf"{_PHRASE.pattern}|(?<!\S)-(?P<word>[^\W\d_]\S+)")
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
class SearchRequest:
    """One page of one search, as it is asked for."""

    caller: AgentName
    query: str
    filters: EntryFilters
    mode: SearchMode
    limit: int
    position: SearchPosition | None

    @property
    def created_by(self) -> datetime | None:
        return None if self.position is None else self.position.created_by

    @property
    def seen(self) -> frozenset[bytes]:
        """Marks of those that the pages before showed."""
        return frozenset() if self.position is None else self.position.seen


@dataclass(frozen=True)
class Query:
    """What is asked for, and what must or must not be there."""

    text: str
    """The question without quotes, exclusions and `OR`, as the model reads it."""
    words: tuple[tuple[str, tuple[str, ...]], ...]
    """Each word as it was written, with its terms."""
    phrases: tuple[str, ...]
    """Each must stand in a hit as it is, but for what `fold` takes away."""
    excluded: tuple[tuple[str, tuple[str, ...]], ...]
    """As `words`; a hit has not all terms of any of these."""
    names: tuple[str, ...]
    """Words that may be the id or the key of an entry."""
    is_plain: bool
    """Whether there is anything to understand: identifiers and numbers are only looked up."""
    literal: str | None
    """The whole query, where it has not a single term: punctuation, stop words."""
    is_cut: bool
    """Whether it has more words, phrases or exclusions than are looked up."""

    @cached_property
    def terms(self) -> list[str]:
        """Every term once, in order."""
        return list(dict.fromkeys(term for _, terms in self.words for term in terms))

    @property
    def looked_up(self) -> set[str]:
        """The terms of the query and of what it excludes."""
        return {*self.terms, *(term for _, terms in self.excluded for term in terms)}

    @property
    def to_look_up(self) -> QueryWords:
        """What of the query the store is asked for."""
        return QueryWords(self.names, self.looked_up)

    def literal_for(self, mode: SearchMode) -> str | None:
        """The query as it must stand in a hit, where neither words nor meaning can be searched."""
        if self.literal is None:
            return None
        if self.phrases:
            return self.literal
        has_meaning = mode != "text" and any(map(str.isalnum, self.literal))
        return None if has_meaning else self.literal


def parse_query(query: str) -> Query:
    """Takes the query apart.

    `"…"` is a phrase, `-word` and `-"…"` an exclusion; any word may match, so `OR` says nothing.
    In a question, what stands in quotes is the name of something, and no phrase.
    """
    phrases: list[str] = []
    excluded: list[tuple[str, tuple[str, ...]]] = []

    def take(match: re.Match[str]) -> str:
        phrase = _SPACE.sub(" ", match["phrase"] or "").strip()
        if match["word"] or match["minus"]:
            word = phrase or match["word"] or ""
            excluded.append((word, tuple(list_terms(word))))
            return " "
        if phrase:
            phrases.append(phrase)
        return f" {phrase} "

    text = _SPACE.sub(" ", _OR.sub(" ", _MARKED.sub(take, query))).strip()
    words, is_cut = _first_words(text)
    excluded = [(word, terms) for word, terms in excluded if terms]
    has_terms = any(terms for _, terms in words)
    if _asks_beside_quotes(query):
        phrases.clear()
    return Query(
        text=text,
        words=words,
        phrases=tuple(phrases[:MAX_PHRASES]),
        excluded=tuple(excluded[:MAX_EXCLUDED]),
        names=tuple(_names(query)),
        is_plain=not has_terms or any(terms and _is_plain(word) for word, terms in words),
        literal=None if has_terms else fold(text) or None,
        is_cut=is_cut or len(phrases) > MAX_PHRASES or len(excluded) > MAX_EXCLUDED,
    )


def _first_words(text: str) -> tuple[tuple[tuple[str, tuple[str, ...]], ...], bool]:
    """Each word with its terms, until these are `MAX_TERMS`; and whether that is not all."""
    words: list[tuple[str, tuple[str, ...]]] = []
    kept: set[str] = set()
    for word in text.split():
        terms = list_terms(word)
        new = [term for term in dict.fromkeys(terms) if term not in kept]
        room = MAX_TERMS - len(kept)
        kept.update(new[:room])
        words.append((word.strip(_EDGES), tuple(term for term in terms if term in kept)))
        if len(new) > room:
            return tuple(words), True
    return tuple(words), False


def named_authors(query: str, authors: list[str]) -> list[str]:
    """Authors whose whole name stands in the query, in the order in which they stand there."""
    words = _as_words(query)
    known, asked = frozenset(words.split()), f" {words} "
    # Of very many authors hardly one begins with a word of the query, and the rest costs little.
    begun = [author for author in authors if _first_word(author) in known]
    at = {author: asked.find(f" {_as_words(author)} ") for author in begun}
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


def _first_word(text: str) -> str | None:
    found = _NAME.search(text.lower())
    return found and found[0]


def _names(query: str) -> list[str]:
    bare = {word.strip(_EDGES) for word in query.split()} | {query.strip()}
    return sorted((bare | {word.removesuffix(".md") for word in bare}) - {""})


def guess_terms(unknown: Sequence[str], vocabulary: Collection[str]) -> dict[str, str]:
    """What the unknown terms were most likely meant to be, where there is anything near."""
    guesses = {term: guess_term(term, vocabulary) for term in unknown}
    return {term: guess for term, guess in guesses.items() if guess is not None}


def guess_term(term: str, vocabulary: Collection[str]) -> str | None:
    """The word of the vocabulary that `term` most likely stands for, or `None`.

    A longer word that `term` begins, such as a commit's whole hash, or one that is one slip of
    the finger away, two in a long word: a letter too many, too few, wrong, or two swapped. The
    first letter has to be right.
    """
    # Importing it costs a twentieth of a second.
    from rapidfuzz.distance import OSA  # noqa: PLC0415  # late, see above
    from rapidfuzz.process import extract  # noqa: PLC0415  # late, see above

    if not can_be_guessed(term):
        return None
    near: list[tuple[int, str]] = []
    if len(term) >= _SHORTEST_PREFIX:
        near += [(1, word) for word in vocabulary if word.startswith(term)]
    if not any(map(str.isdigit, term)):
        most = 2 if len(term) >= _SHORTEST_FOR_TWO else 1
        alike = [word for word in vocabulary if word[0] == term[0]]
        found = extract(term, alike, scorer=OSA.distance, score_cutoff=most, limit=None)
        near += [(int(distance), word) for word, distance, _ in found]
    return min(near, default=(0, None))[1]


def can_be_guessed(term: str) -> bool:
    """Whether `guess_term` would look at all."""
    return len(term) >= _SHORTEST
