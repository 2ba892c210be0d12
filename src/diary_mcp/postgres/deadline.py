"""How long a blocking wait may go on: until its time is up, or until it is called off."""

import threading
import time


class OutOfTimeError(Exception):
    """The time for what was waited for is up."""


class CalledOffError(Exception):
    """Nobody wants what was waited for any more."""


class Deadline:
    def __init__(self, timeout_s: float, called_off: threading.Event) -> None:
        self._started = time.monotonic()
        self._timeout_s = timeout_s
        self._called_off = called_off

    def pause(self) -> None:
        """Let a moment pass: short at first, longer once the wait has become a long one.

        Raises:
            OutOfTimeError: The time is up.
            CalledOffError: The wait was called off.
        """
        waited_s = time.monotonic() - self._started
        if waited_s > self._timeout_s:
            raise OutOfTimeError
        if self._called_off.wait(0.01 if waited_s < 1 else 0.1):
            raise CalledOffError
