"""Commands that change permissions, and wait until that is settled: perhaps no server runs."""

from collections.abc import Awaitable, Callable

import anyio

from diary_mcp.app import Foundation, open_foundation, settle_beside_queue
from diary_mcp.settings import Settings

_SETTLING_S = 3
_LOOK_EVERY_S = 0.02


def run_settled(settings: Settings, use: Callable[[Foundation], Awaitable[None]]) -> None:
    """Opens the diary for `use`, then waits a little while for what it has changed."""

    async def run() -> None:
        async with open_foundation(settings) as foundation, settle_beside_queue(foundation):
            await use(foundation)
            with anyio.move_on_after(_SETTLING_S):
                while (await foundation.settlements.count_backlog()).pending:  # noqa: ASYNC110  # in another process, perhaps
                    await anyio.sleep(_LOOK_EVERY_S)

    anyio.run(run)
