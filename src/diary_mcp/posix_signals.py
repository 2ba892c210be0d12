"""Signals that end a process in order, with everything behind it."""

import signal
from types import FrameType
from typing import NoReturn

_ENDING = ("SIGTERM", "SIGINT", "SIGHUP")


def ending_signals() -> tuple[signal.Signals, ...]:
    """Those that end a server; not what it was told to ignore, as `nohup` does with SIGHUP."""
    known = [signal.Signals[name] for name in _ENDING if hasattr(signal, name)]
    return tuple(number for number in known if signal.getsignal(number) != signal.SIG_IGN)


def exit_in_order() -> None:
    """Makes a command that is ended by a signal close what it opened, the database included.

    SIGINT does so by itself.
    """
    for number in ending_signals():
        if number != signal.SIGINT:
            signal.signal(number, _exit)


def _exit(number: int, _frame: FrameType | None) -> NoReturn:
    raise SystemExit(128 + number)
