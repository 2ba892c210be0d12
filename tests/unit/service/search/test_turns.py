"""What one agent asks holds up no other."""

import anyio
import pytest

from diary_mcp.domain.errors import UnavailableError
from diary_mcp.domain.fields import AgentName
from diary_mcp.service.search.search import Turns

pytestmark = pytest.mark.anyio

GREEDY = AgentName("greedy")
MODEST = AgentName("modest")


async def test_an_agent_with_many_searches_holds_up_nobody_else() -> None:
    turns = Turns(at_once=2, waiting=3)
    go_on = anyio.Event()
    begun: list[int] = []

    async def search(number: int) -> None:
        async with turns.turn(GREEDY):
            begun.append(number)
            await go_on.wait()

    async with anyio.create_task_group() as group:
        for number in range(5):
            group.start_soon(search, number)
        await anyio.wait_all_tasks_blocked()
        assert len(begun) == 2

        with anyio.fail_after(5):
            async with turns.turn(MODEST):
                pass
        with pytest.raises(UnavailableError, match="5 searches of yours"):
            async with turns.turn(GREEDY):
                pass
        go_on.set()

    assert sorted(begun) == [0, 1, 2, 3, 4]


async def test_a_search_that_was_given_up_while_it_waited_leaves_its_place() -> None:
    turns = Turns(at_once=1, waiting=1)

    async with turns.turn(GREEDY):
        with anyio.move_on_after(0):
            async with turns.turn(GREEDY):
                pytest.fail("it was not its turn")

    async with turns.turn(GREEDY):
        pass
