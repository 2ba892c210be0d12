"""What a word that nobody wrote may have been meant to be."""

from collections.abc import Iterable

_SHORTEST = 5
_SHORTEST_FOR_TWO = 8
_SHORTEST_PREFIX = 6


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
