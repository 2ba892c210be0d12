"""Several questions at once."""

import anyio
import pytest

from diary_mcp.domain.errors import DiaryError, NotFoundError
from diary_mcp.permissions.concurrency import ask_all

pytestmark = pytest.mark.anyio


async def test_every_question_is_answered() -> None:
    async def double(number: int) -> int:
        return 2 * number

    assert sorted(await ask_all(double, range(5))) == [0, 2, 4, 6, 8]


async def test_the_first_error_ends_the_others_and_is_raised_as_itself() -> None:
    ended: list[int] = []

    async def fail_on_three(number: int) -> None:
        if number == 3:
            raise NotFoundError("three")
        try:
            await anyio.sleep_forever()
        finally:
            ended.append(number)

    with anyio.fail_after(60), pytest.raises(NotFoundError, match="three"):
        await ask_all(fail_on_three, range(5))

    assert set(ended) <= {0, 1, 2, 4}


async def test_an_outer_time_limit_ends_all() -> None:
    async def never(_number: int) -> None:
        await anyio.sleep_forever()

    with pytest.raises(TimeoutError), anyio.fail_after(0.01):
        await ask_all(never, range(5))


async def test_no_question_has_no_answer() -> None:
    async def refuse(number: int) -> int:
        raise DiaryError(str(number))

    assert await ask_all(refuse, []) == []
