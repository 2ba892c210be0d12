"""Chores of the queue are done when they are due, whatever begins and ends meanwhile."""

from collections.abc import Sequence

import anyio
import pytest

from diary_mcp.service.ports.workflows import RelatedId
from diary_mcp.store.takeover import PostgresExecutors
from diary_mcp.workflows.chores import ChoreIntervals, queue_chores
from diary_mcp.workflows.ports import RuntimeStore, Work

pytestmark = pytest.mark.anyio

SELDOM = ChoreIntervals(sweep_s=600, housekeeping_s=600, first_housekeeping_s=0.2)


class Counted:
    """A sweep and a housekeeping that only keep that they were asked."""

    def __init__(self) -> None:
        self.swept = 0
        self.tidied = anyio.Event()

    async def sweep(self) -> int:
        self.swept += 1
        return 0

    async def tidy(self) -> int:
        self.tidied.set()
        return 0


async def settle_nothing(ids: Sequence[RelatedId]) -> None:
    """Nothing is on the queue."""


async def test_a_chore_is_done_when_it_is_due_however_often_the_process_begins_anew() -> None:
    counted = Counted()
    store = RuntimeStore(PostgresExecutors("not asked"), counted, counted)
    with anyio.fail_after(30):
        while not counted.tidied.is_set():
            async with queue_chores(store, Work(settle_nothing), SELDOM):
                await anyio.sleep(0.05)  # never as long as the first housekeeping is put off
    assert counted.swept == 1
