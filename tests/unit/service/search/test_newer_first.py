"""What corrects or solves another hit of a page comes before it."""

from datetime import UTC, datetime
from uuid import UUID

from diary_mcp.domain.entry import SearchHit
from diary_mcp.domain.fields import AgentName, EntryId
from diary_mcp.service.search.engine import newer_first

NOW = datetime(2026, 1, 31, tzinfo=UTC)


def hit(number: int, score: float, superseded_by: int | None = None) -> SearchHit:
    return SearchHit(
        id=entry_id(number),
        key=None,
        owner=AgentName("alice"),
        author="alice",
        session=None,
        type="problem",
        title=None,
        tags=(),
        importance=0.5,
        supersedes=(),
        superseded_by=None if superseded_by is None else entry_id(superseded_by),
        version=1,
        date=NOW,
        created_at=NOW,
        updated_at=NOW,
        content_hash="",
        role="owner",
        sharing="settled",
        snippet="",
        score=score,
        matched=(),
    )


def entry_id(number: int) -> EntryId:
    return EntryId(UUID(int=number))


def order(*hits: SearchHit) -> list[tuple[int, float]]:
    return [(each.id.int, each.score) for each in newer_first(hits)]


def test_a_solution_comes_before_the_problem_and_has_its_score() -> None:
    assert order(hit(1, 9, 3), hit(2, 5), hit(3, 4)) == [(3, 9), (1, 9), (2, 5)]


def test_a_chain_of_corrections_comes_with_its_last_one_first() -> None:
    assert order(hit(1, 9, 2), hit(4, 8), hit(2, 7, 3), hit(3, 6)) == [
        (3, 9), (2, 9), (1, 9), (4, 8),
    ]  # fmt: skip


def test_one_solution_of_two_problems_comes_before_both() -> None:
    assert order(hit(1, 9, 3), hit(2, 8, 3), hit(3, 7)) == [(3, 9), (1, 9), (2, 8)]


def test_what_stands_in_order_or_is_not_on_the_page_stays() -> None:
    assert order(hit(2, 9), hit(1, 8, 2), hit(3, 7, 99)) == [(2, 9), (1, 8), (3, 7)]
