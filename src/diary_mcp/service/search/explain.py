"""Why an entry is a hit, which passage of it shows that, and what a search says beside its hits."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from diary_mcp.domain.diaries import EVERYTHING
from diary_mcp.domain.entry import Entry, SearchHit, SearchMode
from diary_mcp.domain.fields import counted
from diary_mcp.service.index.passages import cut_snippet
from diary_mcp.service.search.corpus import Found, SearchedEntries, Unindexed
from diary_mcp.service.search.query import (
    MAX_EXCLUDED,
    MAX_PHRASES,
    MAX_TERMS,
    Query,
    SearchRequest,
)
from diary_mcp.service.search.ranking import Ranking, Weights

_NEIGHBOUR_HELPED = 0.3
_MAX_TOLD = 5


@dataclass(frozen=True)
class Explanation:
    """Why an entry is a hit, and which passage of it shows that."""

    query: Query
    found: Found
    guesses: Mapping[str, str]
    ranking: Ranking
    entries: SearchedEntries
    mode: SearchMode
    weights: Weights
    found_by: Mapping[int, int]
    """For each entry that is to be explained what was found: itself, or one that it supersedes."""
    most: float
    """No hit has a higher score: none does on a later page than on an earlier one."""

    def hit(self, entry: Entry, index: int) -> SearchHit:
        present = self._present[index]
        terms = [term for term in self.query.terms if term in present]
        words = self._words(present) if self.mode != "semantic" else []
        best = int(self.ranking.best_chunks[index])
        score = float(self.ranking.scores[self.found_by[index]])
        shown: dict[str, object] = {
            **vars(entry),
            "snippet": cut_snippet(
                entry, [*self.query.phrases, *words, *terms], best if best >= 0 else None
            ),
            "score": min(self.most, round(score, 6)),
            "matched": (*words, *self._reasons(index)) or (self._faint_reason(),),
        }
        del shown["content"]
        return SearchHit.of_checked(shown)

    def _words(self, present: set[str]) -> list[str]:
        """Words of the query as they were written, or what was found in their place."""
        matched: list[str] = []
        for word, terms in self.query.words:
            if not present.isdisjoint(terms):
                matched.append(word)
            else:
                guessed = [self.guesses[term] for term in terms if term in self.guesses]
                matched += [term for term in guessed if term in present]
        return list(dict.fromkeys(matched))

    @cached_property
    def _present(self) -> dict[int, set[str]]:
        """Which terms occur in each of the entries that are shown, of the very many that may."""
        is_shown = np.zeros(self.entries.size, dtype=np.bool_)
        is_shown[list(self.found_by)] = True
        present = {index: set[str]() for index in self.found_by}
        for term, (entries, _) in self.found.items():
            for index in entries[is_shown[entries]].tolist():
                present[index].add(term)
        return present

    def _reasons(self, index: int) -> list[str]:
        ranking = self.ranking
        own = self.weights.vector * ranking.deviations[index]
        if self.mode != "semantic":
            own += self.weights.text * ranking.text[index]
        reasons = {
            "name": self.entries.named[index],
            "meaning": ranking.cosines[index] >= self.weights.least_cosine
            and ranking.deviations[index] >= self.weights.near_cosine_deviations,
            "author": ranking.by_author[index],
            "date": ranking.dated[index] >= 1,
            "neighbour": ranking.context[index] > own + _NEIGHBOUR_HELPED,
            "supersedes": self.found_by[index] != index,
        }
        return [reason for reason, holds in reasons.items() if holds]

    def _faint_reason(self) -> str:
        found_by = "neighbour" if self.mode == "text" else "meaning"
        return self.query.literal_for(self.mode) or found_by


def list_notices(
    request: SearchRequest,
    query: Query,
    entries: SearchedEntries,
    unindexed: Sequence[Unindexed],
    *,
    model_problem: str | None,
    is_all: bool,
    empty: bool,
) -> list[str]:
    """What could not be searched in full, and after an empty result what to try."""
    notices: list[str] = []
    if request.mode != "text":
        if model_problem is not None:
            notices.append(f"Searched by words only: {model_problem}.")
        elif missing := entries.count_without_vectors():
            notices.append(
                f"Without an embedding yet: {missing} of "
                f"{counted(entries.total, 'entry', 'entries')}, searched by words only and being "
                "embedded in the background."
            )
    uncounted = entries.count_unworded() - len(unindexed)
    if uncounted:
        notices.append(
            f"Not indexed yet and not searched: {counted(uncounted, 'entry', 'entries')}."
        )
    notices += _about_query(query)
    if not is_all:
        notices.append(
            "Too many entries would have to be read for what you quoted, or for a query without a "
            "word that counts: only some of them were. Add a word, or a filter."
        )
    if empty and request.position is None:
        notices.append(_nothing_found(request, entries))
    return notices


def _about_query(query: Query) -> Iterator[str]:
    if query.excluded:
        yield _left_out([word for word, _ in query.excluded])
    if query.is_cut:
        yield (
            f"Only the first {MAX_TERMS} words, {MAX_PHRASES} phrases and {MAX_EXCLUDED} "
            "exclusions of a query are looked up: yours has more."
        )


def _left_out(words: Sequence[str]) -> str:
    named = ", ".join(f"`{word}`" for word in words[:_MAX_TOLD])
    more = f" and {len(words) - _MAX_TOLD} more" if len(words) > _MAX_TOLD else ""
    return (
        f"Entries with {named}{more} were left out, because a word after - is excluded. "
        "Quote a word that begins with - to search for it."
    )


def _nothing_found(request: SearchRequest, entries: SearchedEntries) -> str:
    whose = {
        "mine": " of yours",
        "shared": " shared with you",
        "all": " of yours or shared with you",
    }[request.filters.scope]
    searched = int(entries.eligible.sum())
    if request.filters.diary not in {None, EVERYTHING}:
        return (
            f"Nothing found in the diary {request.filters.diary}: "
            f"{counted(searched, 'entry', 'entries')} passed the filters. "
            'Try other words, fewer filters, or diary "*" for everything that you may read.'
        )
    there = f"{counted(entries.total, 'entry', 'entries')}{whose}"
    if not entries.size:
        return f"Nothing found: there are no entries{whose}."
    if entries.is_all and searched < entries.size:
        return (
            f"Nothing found: {searched} of {there} passed the filters. Try fewer filters, "
            "include_superseded, or other words."
        )
    return (
        f"Nothing found among {there}. Try other or fewer words, without quotes or exclusions, "
        "or diary_list and diary_tags to see what is there."
    )
