"""`python -m diary_mcp` is the command `diary-mcp`.

A hook has little time, which counts from before the rest is imported.
"""

import os
import sys

from diary_mcp.plugins.hook_process import TimeLimit, run_hook


def main() -> None:
    _open_standard_streams()
    if sys.argv[1:2] == ["hook"]:
        run_hook(sys.argv[2:], _run)
    _run()


def _open_standard_streams() -> None:
    """Makes those that were closed at the start the null device.

    What is opened next would get their numbers, and what is meant for a stream be written to it.
    """
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        try:
            os.fstat(number)
        except OSError:
            null = os.open(os.devnull, os.O_RDWR)  # which gets the lowest number that is free
            setattr(sys, name, os.fdopen(null, mode, encoding="utf-8"))


def _run(limit: TimeLimit | None = None) -> None:
    from diary_mcp import cli  # noqa: PLC0415  # see above

    cli.main(limit)


if __name__ == "__main__":
    main()
