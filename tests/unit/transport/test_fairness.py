"""One agent that uses up what it may have leaves the others what they need."""

from types import SimpleNamespace
from typing import cast

import anyio
import pytest
from mcp.server.context import HandlerResult, ServerRequestContext

from diary_mcp.domain.errors import UnavailableError
from diary_mcp.domain.fields import AgentName
from diary_mcp.server.resources import watchers
from diary_mcp.server.resources.watchers import Watchers
from diary_mcp.service.diary import Diary
from diary_mcp.transport.http.bodies import LongBodies
from diary_mcp.transport.inflight import InFlight

pytestmark = pytest.mark.anyio


def request_of(agent: str) -> ServerRequestContext[object]:
    return cast("ServerRequestContext[object]", SimpleNamespace(method="tools/call", request=agent))


async def never(_context: ServerRequestContext[object]) -> HandlerResult:
    await anyio.sleep_forever()
    raise AssertionError


async def test_answers_that_one_agent_does_not_read_leave_room_for_the_requests_of_others() -> None:
    in_flight = InFlight(lambda context: str(context.request))
    answers, unread = anyio.create_memory_object_stream[str](0)
    of_mallory = in_flight.counted(answers, "mallory")

    async with answers, unread, anyio.create_task_group() as tasks:
        for _ in range(40):
            tasks.start_soon(of_mallory.send, "answer")
            tasks.start_soon(in_flight.middleware, request_of("mallory"), never)
        for _ in range(220):
            tasks.start_soon(in_flight.middleware, request_of("carol"), never)
        await anyio.wait_all_tasks_blocked()

        assert in_flight.is_full
        assert in_flight.is_full_of("mallory")
        assert not in_flight.is_full_of("bob")
        tasks.cancel_scope.cancel()


async def test_room_comes_back_once_answers_are_read() -> None:
    in_flight = InFlight()
    answers, read = anyio.create_memory_object_stream[int](0)
    counted = in_flight.counted(answers, "mallory")

    async with answers, read, anyio.create_task_group() as tasks:
        for number in range(64):
            tasks.start_soon(counted.send, number)
        await anyio.wait_all_tasks_blocked()
        was_full = in_flight.is_full_of("mallory")
        await read.receive()
        await anyio.wait_all_tasks_blocked()

        assert was_full
        assert not in_flight.is_full_of("mallory")
        tasks.cancel_scope.cancel()


async def test_long_bodies_of_one_agent_leave_room_for_those_of_another() -> None:
    bodies = LongBodies()

    async def hold(agent: str) -> None:
        async with bodies.turn(agent):
            await anyio.sleep_forever()

    async with anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(hold, "mallory")
        await anyio.wait_all_tasks_blocked()

        with anyio.fail_after(60):
            async with bodies.turn("bob"):
                pass
        tasks.cancel_scope.cancel()


async def _tell(_address: str) -> None:
    raise AssertionError


async def test_subscriptions_of_one_agent_leave_room_for_those_of_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(watchers, "_MAX_WATCHERS_OF_ONE_AGENT", 2)

    async def provide() -> Diary:
        raise AssertionError

    watched = Watchers(provide)

    async def watch(agent: str) -> None:
        async with watched.watching(AgentName(agent), {}, _tell):
            pass

    async with anyio.create_task_group() as tasks:
        for agent in ("mallory", "mallory", "bob"):
            tasks.start_soon(watch, agent)
        await anyio.wait_all_tasks_blocked()

        with pytest.raises(UnavailableError, match="of yours"):
            await watch("mallory")
        tasks.cancel_scope.cancel()
