"""What a search says about itself beside its hits."""

from collections.abc import Sequence

from diary_mcp.service.search.corpus import SearchedEntries, Unindexed
from diary_mcp.service.search.request import SearchRequest


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
