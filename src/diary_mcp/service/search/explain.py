"""Why an entry is a hit, which passage of it shows that, and what a search says beside its hits."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from diary_mcp.domain.entry import Entry, SearchHit, SearchMode
from diary_mcp.service.index.passages import cut_snippet
from diary_mcp.service.ports.search import SearchRequest
from diary_mcp.service.search.corpus import Found, SearchedEntries, Unindexed
from diary_mcp.service.search.query import Query
from diary_mcp.service.search.ranking import Ranking, Weights

_NEIGHBOUR_HELPED = 0.3


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
    most: float
    """No hit has a higher score: none does on a later page than on an earlier one."""

    def hit(self, entry: Entry, index: int) -> SearchHit:
        words = list(self._words(index)) if self.mode != "semantic" else []
        best = int(self.ranking.best_chunks[index])
        fields = entry.model_dump(exclude={"content"})
        return SearchHit(
            **fields,
            snippet=cut_snippet(
                entry,
                [*self.query.phrases, *words, *self._terms(index)],
                best if best >= 0 else None,
            ),
            score=min(self.most, round(float(self.ranking.scores[index]), 6)),
            matched=(*words, *self._reasons(index)) or (self._faint_reason(),),
        )

    def _words(self, index: int) -> list[str]:
        """Words of the query as they were written, or what was found in their place."""
        matched: list[str] = []
        for word, terms in self.query.words:
            if any(_occurs(term, self.found, index) for term in terms):
                matched.append(word)
            else:
                guessed = [self.guesses[term] for term in terms if term in self.guesses]
                matched += [term for term in guessed if _occurs(term, self.found, index)]
        return list(dict.fromkeys(matched))

    def _terms(self, index: int) -> list[str]:
        return [term for term in self.query.terms if _occurs(term, self.found, index)]

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
        }
        return [reason for reason, holds in reasons.items() if holds]

    def _faint_reason(self) -> str:
        found_by = "neighbour" if self.mode == "text" else "meaning"
        return self.query.literal_for(self.mode) or found_by


def list_notices(
    request: SearchRequest,
    entries: SearchedEntries,
    unindexed: Sequence[Unindexed],
    *,
    model_problem: str | None,
    empty: bool,
) -> list[str]:
    """What could not be searched in full, and after an empty result what to try."""
    notices: list[str] = []
    if request.mode != "text":
        if model_problem is not None:
            notices.append(f"Searched by words only: {model_problem}.")
        elif missing := int(entries.without_vectors.sum()):
            notices.append(
                f"{missing} of {entries.size} entries have no embedding yet and were searched by "
                "words only; they are being embedded in the background."
            )
    uncounted = int((~entries.worded).sum()) - len(unindexed)
    if uncounted:
        notices.append(f"{uncounted} entries are not indexed yet and were not searched.")
    if empty and request.position is None:
        notices.append(_nothing_found(request, entries))
    return notices


def _nothing_found(request: SearchRequest, entries: SearchedEntries) -> str:
    whose = {
        "mine": "entries of yours",
        "shared": "entries shared with you",
        "all": "entries, yours and those shared with you",
    }[request.filters.scope]
    searched = int(entries.eligible.sum())
    if not entries.size:
        return f"Nothing found: there are no {whose}."
    if searched < entries.size:
        return (
            f"Nothing found among the {searched} of {entries.size} {whose} that pass the "
            "filters. Try fewer filters, include_superseded, or other words."
        )
    return (
        f"Nothing found among {searched} {whose}. Try other or fewer words, without "
        "quotes or exclusions, or diary_list and diary_tags to see what is there."
    )


def _occurs(term: str, found: Found, index: int) -> bool:
    return term in found and bool(np.any(found[term][0] == index))
