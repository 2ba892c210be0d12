"""Two things at the same time."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio

_First = TypeVar("_First")
_Second = TypeVar("_Second")


async def together(
    first: Callable[[], Awaitable[_First]], second: Callable[[], Awaitable[_Second]]
) -> tuple[_First, _Second]:
    """What both give; where one fails, its failure by itself, and the other is called off."""
    of_first: list[_First] = []
    of_second: list[_Second] = []

    async def keep_first() -> None:
        of_first.append(await first())

    try:
        async with anyio.create_task_group() as beside:
            beside.start_soon(keep_first)
            of_second.append(await second())
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from None
    return of_first[0], of_second[0]
