"""What is settled beside the queue, and what is left to it."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from uuid import UUID

import anyio
import pytest

from diary_mcp.domain.errors import (
    DatabaseUnavailableError,
    LocksLostError,
    PermissionBackendUnavailableError,
    PermissionRefusedError,
)
from diary_mcp.domain.fields import EntryId
from diary_mcp.service.ports.workflows import RelatedId
from diary_mcp.service.sharing.eager_settlement import EagerSettlement

pytestmark = pytest.mark.anyio

ONE, TWO, THREE = (EntryId(UUID(int=number)) for number in (1, 2, 3))


class Backend:
    """Raises what it is given, one after the other; tells of each call."""

    def __init__(self, *faults: Exception) -> None:
        self.faults = list(faults)
        self.calls = asyncio.Queue[Sequence[RelatedId]]()

    async def settle(self, entry_ids: Sequence[RelatedId]) -> None:
        self.calls.put_nowait(entry_ids)
        if self.faults:
            raise self.faults.pop(0)

    async def next_call(self) -> Sequence[RelatedId]:
        with anyio.fail_after(60):
            return await self.calls.get()


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long it has paused, which takes no time here."""
    paused: list[float] = []

    async def pause(delay: float) -> None:
        paused.append(delay)
        await anyio.lowlevel.checkpoint()

    monkeypatch.setattr(anyio, "sleep", pause)
    return paused


@asynccontextmanager
async def running(prompt: EagerSettlement) -> AsyncGenerator[None]:
    task = asyncio.create_task(prompt.run())
    await anyio.lowlevel.checkpoint()
    yield
    assert not task.done()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_changes_that_come_together_are_settled_together_and_each_once() -> None:
    backend = Backend()
    prompt = EagerSettlement(backend.settle)

    async with running(prompt):
        prompt.committed([ONE])
        prompt.committed([TWO, ONE])

        assert await backend.next_call() == [ONE, TWO]

        prompt.committed([THREE])

        assert await backend.next_call() == [THREE]


async def test_what_comes_soon_after_another_change_is_gathered_for_longer(
    pauses: list[float],
) -> None:
    backend = Backend()
    clock = iter([0.0, 0.1, 0.2, 0.3, 60.0, 60.1])
    prompt = EagerSettlement(backend.settle, now=lambda: next(clock))

    async with running(prompt):
        for entry_id in (ONE, TWO, THREE):
            prompt.committed([entry_id])
            assert await backend.next_call() == [entry_id]

    first, soon_after, a_minute_later = pauses
    assert soon_after > first == a_minute_later


async def test_what_is_committed_while_it_does_not_run_is_left_to_the_queue() -> None:
    backend = Backend()
    prompt = EagerSettlement(backend.settle)
    prompt.committed([ONE])

    async with running(prompt):
        prompt.committed([TWO])

        assert await backend.next_call() == [TWO]


async def test_a_refused_entry_does_not_keep_the_next_from_settling() -> None:
    backend = Backend(PermissionRefusedError("no"))
    prompt = EagerSettlement(backend.settle)

    async with running(prompt):
        prompt.committed([ONE])
        await backend.next_call()
        prompt.committed([TWO])

        assert await backend.next_call() == [TWO]


async def test_a_backend_that_is_down_is_not_asked_again_for_the_same_entry() -> None:
    backend = Backend(PermissionBackendUnavailableError("down"))
    prompt = EagerSettlement(backend.settle)

    async with running(prompt):
        prompt.committed([ONE])
        await backend.next_call()
        await anyio.lowlevel.checkpoint()
        prompt.committed([TWO])

        assert await backend.next_call() == [TWO]


def locked_tuples() -> PermissionBackendUnavailableError:
    """What the embedded backend raises when a process that sleeps holds an entry's tuples."""
    fault = PermissionBackendUnavailableError("locked")
    fault.__cause__ = DatabaseUnavailableError("locked")
    return fault


@pytest.mark.parametrize(
    "fault",
    [LocksLostError("too late"), DatabaseUnavailableError("locked"), locked_tuples()],
    ids=["lost its lock", "got no lock", "the tuples are locked"],
)
async def test_what_was_written_without_its_lock_or_locked_by_others_is_settled_again(
    fault: Exception,
) -> None:
    backend = Backend(fault)
    prompt = EagerSettlement(backend.settle)

    async with running(prompt):
        prompt.committed([ONE, TWO])
        assert await backend.next_call() == [ONE, TWO]

        assert await backend.next_call() == [ONE, TWO]


async def test_more_than_it_can_hold_is_left_to_the_queue() -> None:
    backend = Backend()
    prompt = EagerSettlement(backend.settle)

    async with running(prompt):
        prompt.committed([EntryId(UUID(int=number)) for number in range(100_000)])
        prompt.committed([ONE])

        assert await backend.next_call() == [ONE]
