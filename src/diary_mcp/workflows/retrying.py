"""Trying again, as a step does it: until it succeeds, or for as long as a step may last."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from random import uniform
from typing import NamedTuple, Protocol


class RetryPolicy(NamedTuple):
    """How long a step goes on trying, and its pauses, each up to twice as long as the last."""

    first_pause_s: float = 0.1
    longest_pause_s: float = 5
    give_up_after_s: float = 600


DEFAULT_RETRIES = RetryPolicy()


class Waits(Protocol):
    """Is told why there will be another attempt."""

    def __call__(self, *, reason: str) -> None: ...


async def retry(
    attempt: Callable[[], Awaitable[object]],
    policy: RetryPolicy,
    *,
    on: tuple[type[Exception], ...],
    waits: Waits,
) -> None:
    """Tries until it succeeds; what it raises of the last attempt once the policy gives up.

    Errors that are not among `on` are raised at once.
    """
    deadline = time.monotonic() + policy.give_up_after_s
    longest_s = policy.first_pause_s
    while True:
        try:
            await attempt()
        except on as error:
            # Of many that wait for one backend, not all try again at the same moment.
            pause_s = uniform(longest_s / 2, longest_s)  # noqa: S311  # no secret
            if time.monotonic() + pause_s > deadline:
                raise
            waits(reason=str(error))
        else:
            return
        await asyncio.sleep(pause_s)
        longest_s = min(longest_s * 2, policy.longest_pause_s)
