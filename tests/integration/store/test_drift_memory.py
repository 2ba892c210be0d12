"""Comparing rows with tuples takes as much memory for many entries as for few."""

import gc
import tracemalloc
from uuid import UUID

import pytest

from diary_mcp.permissions.keto import open_keto
from diary_mcp.service.ports.settlement import DriftCounts
from diary_mcp.service.sharing.reconciliation import count_drift
from diary_mcp.store.drift import PostgresDriftFinder
from support.fake_keto import Handler, Reply, Request, fake_keto, reply
from support.keto_config import PATIENCE_S

pytestmark = pytest.mark.anyio

TUPLES_A_PAGE = 500


def many_tuples(pages: int) -> Handler:
    async def list_page(request: Request) -> Reply:
        # What is garbage already is not what is meant.
        gc.collect()
        if request.query["namespace"] != "DiaryEntry":
            return reply(200, {"relation_tuples": [], "next_page_token": ""})
        number = int(request.query.get("page_token", "0"))
        first = number * TUPLES_A_PAGE
        tuples = [
            {
                "namespace": "DiaryEntry",
                "object": str(UUID(int=each)),
                "relation": "owner",
                "subject_id": "ann",
            }
            for each in range(first, first + TUPLES_A_PAGE)
        ]
        following = str(number + 1) if number + 1 < pages else ""
        return reply(200, {"relation_tuples": tuples, "next_page_token": following})

    return list_page


async def peak_of_comparison(database_url: str, pages: int) -> int:
    """The most memory that a comparison with so many pages of tuples took, in bytes."""
    async with fake_keto() as fake, open_keto(fake.url, fake.url, timeout_s=PATIENCE_S) as keto:
        fake.answers["/relation-tuples"] = many_tuples(pages)
        tracemalloc.start()
        try:
            counts = await count_drift(PostgresDriftFinder(database_url), keto)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert counts == DriftCounts(missing=0, stray=pages * TUPLES_A_PAGE)
    return peak


async def test_the_memory_of_a_comparison_does_not_grow_with_the_number_of_tuples(
    database_url: str,
) -> None:
    await peak_of_comparison(database_url, 1)
    few = await peak_of_comparison(database_url, 2)
    many = await peak_of_comparison(database_url, 12)

    assert many < 1.5 * few
