"""A circuit breaker: after some failures in a row, no request is tried for a while."""

import time
from collections.abc import Callable


class CircuitBreaker:
    """Counts failures in a row; once open, a first failure after the pause opens it again."""

    def __init__(
        self, *, failures: int, pause_s: float, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._limit = failures
        self._pause_s = pause_s
        self._now = now
        self._failures = 0
        self._open_until = 0.0

    def is_open(self) -> bool:
        """Whether requests should fail without being tried."""
        return self._failures >= self._limit and self._now() < self._open_until

    def record_success(self) -> None:
        self._failures = 0

    def record_failure(self) -> None:
        self._failures += 1
        self._open_until = self._now() + self._pause_s
