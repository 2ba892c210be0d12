"""What is settled beside the queue, and what is left to it."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from uuid import UUID

import anyio
import pytest

from diary_mcp.domain.errors import (
    LocksLostError,
    PermissionBackendUnavailableError,
    PermissionRefusedError,
)
from diary_mcp.domain.fields import EntryId
from diary_mcp.service.sharing.eager_settlement import EagerSettlement

pytestmark = pytest.mark.anyio

ONE, TWO, THREE = (EntryId(UUID(int=number)) for number in (1, 2, 3))


class Backend:
    """Raises what it is given, one after the other; tells of each call."""

    def __init__(self, *faults: Exception) -> None:
        self.faults = list(faults)
        self.calls: list[Sequence[EntryId]] = []
        self.called = anyio.Event()

    async def settle(self, entry_ids: Sequence[EntryId]) -> None:
        self.calls.append(entry_ids)
        self.called.set()
        if self.faults:
            raise self.faults.pop(0)

    async def next_call(self) -> Sequence[EntryId]:
        with anyio.fail_after(30):
            await self.called.wait()
        self.called = anyio.Event()
        return self.calls[-1]


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


async def test_after_several_changes_more_of_the_next_are_gathered() -> None:
    backend = Backend()
    prompt = EagerSettlement(backend.settle)

    async def settled_apart() -> bool:
        prompt.committed([ONE, TWO])
        await backend.next_call()
        prompt.committed([ONE])
        await anyio.sleep(0.06)
        prompt.committed([TWO])
        return await backend.next_call() == [ONE] and await backend.next_call() == [TWO]

    async with running(prompt):
        # A machine that is busy elsewhere may come too late once or twice.
        apart = [await settled_apart() for _ in range(5)]

    assert not all(apart)


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


async def test_what_was_written_without_its_lock_is_settled_again() -> None:
    backend = Backend(LocksLostError("too late"))
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
