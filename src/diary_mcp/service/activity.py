"""Changes go first: work in the background asks here whether somebody is writing.

On a small machine, whatever else works makes a call slower, however low its priority: the two share
a processor's caches and units. Reading and searching do not count: they are better off with what
the work in the background brings.
"""

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager

import anyio

# A client that works through something asks again sooner than this.
_LULL_S = 0.25


class Activity:
    """Whether calls that change the diary are under way, or were a moment ago."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._under_way = 0
        self._last_ended = float("-inf")
        self._end = anyio.Event()

    @contextmanager
    def change(self) -> Generator[None]:
        """One call that changes something."""
        self._under_way += 1
        try:
            yield
        finally:
            self._under_way -= 1
            self._last_ended = self._now()

    @property
    def is_lively(self) -> bool:
        """Whether a call is under way, or ended so recently that the next may be coming."""
        if self.has_ended:
            return False
        return self._under_way > 0 or self._now() - self._last_ended < _LULL_S

    @property
    def has_ended(self) -> bool:
        """Whether there will be no further change in this process."""
        return self._end.is_set()

    def end(self) -> None:
        """There is none any more: the process ends, and work in the background may hurry."""
        self._end.set()

    async def pause(self, seconds: float) -> None:
        """Waits for so long, or until the end."""
        with anyio.move_on_after(seconds):
            await self._end.wait()
