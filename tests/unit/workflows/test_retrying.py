"""How a step tries again, and what it does not try again."""

import asyncio
from collections.abc import Sequence
from uuid import UUID

import anyio
import pytest

from diary_mcp.domain.errors import (
    DatabaseUnavailableError,
    PermissionBackendUnavailableError,
    PermissionRefusedError,
)
from diary_mcp.domain.fields import EntryId
from diary_mcp.service.ports.workflows import RelatedId
from diary_mcp.workflows.loop import ApplicationLoop
from diary_mcp.workflows.ports import Work
from diary_mcp.workflows.retrying import RetryPolicy
from diary_mcp.workflows.workflows import Workflows

pytestmark = pytest.mark.anyio

ENTRY = EntryId(UUID(int=1))
POLICY = RetryPolicy(first_pause_s=0.001, longest_pause_s=0.002, give_up_after_s=5)


class Backend:
    """Raises what it is given, one after the other, and then settles."""

    def __init__(self, *faults: Exception) -> None:
        self.faults = list(faults)
        self.calls: list[Sequence[RelatedId]] = []

    async def settle(self, entry_ids: Sequence[RelatedId]) -> None:
        self.calls.append(entry_ids)
        if self.faults:
            raise self.faults.pop(0)


async def run_workflow(backend: Backend, policy: RetryPolicy = POLICY) -> None:
    workflows = Workflows(Work(backend.settle), ApplicationLoop(), policy)
    await workflows.settle("grant_ownership:1", [ENTRY])


@pytest.mark.parametrize(
    "fault",
    [PermissionBackendUnavailableError("down"), DatabaseUnavailableError("down")],
    ids=["permission backend", "database"],
)
async def test_a_backend_that_is_down_is_tried_again_until_it_answers(fault: Exception) -> None:
    backend = Backend(fault, fault, fault)

    await run_workflow(backend)

    assert backend.calls == [[ENTRY]] * 4


async def test_a_refusal_ends_the_step_without_an_error() -> None:
    backend = Backend(PermissionRefusedError("no"))

    await run_workflow(backend)

    assert backend.calls == [[ENTRY]]


async def test_a_backend_that_stays_down_fails_the_step_when_its_time_is_up() -> None:
    backend = Backend(*[PermissionBackendUnavailableError("down")] * 1000)
    policy = RetryPolicy(first_pause_s=0.001, longest_pause_s=0.002, give_up_after_s=0.01)

    with pytest.raises(PermissionBackendUnavailableError):
        await run_workflow(backend, policy)

    assert 1 < len(backend.calls) < 1000


async def test_a_mistake_is_not_tried_again() -> None:
    backend = Backend(ZeroDivisionError())

    with pytest.raises(ZeroDivisionError):
        await run_workflow(backend)

    assert backend.calls == [[ENTRY]]


async def test_what_runs_is_known_by_its_workflow_until_it_is_stopped() -> None:
    started, let_go = anyio.Event(), anyio.Event()

    async def settle(_entry_ids: Sequence[RelatedId]) -> None:
        started.set()
        try:
            await anyio.sleep_forever()
        finally:
            let_go.set()

    loop = ApplicationLoop()
    workflows = Workflows(Work(settle), loop, POLICY)
    run = asyncio.create_task(workflows.settle("grant_ownership:1", [ENTRY]))
    await started.wait()
    running = loop.running
    await loop.stop()

    assert set(running) == {"grant_ownership:1"}
    assert let_go.is_set()
    assert set(loop.running) == set()
    with pytest.raises(asyncio.CancelledError):
        await run
