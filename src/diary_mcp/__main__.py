"""`python -m diary_mcp` is the command `diary-mcp`.

A hook has little time, which counts from before the rest is imported.
"""

import sys

from diary_mcp.plugins.hook_process import TimeLimit, run_hook


def main() -> None:
    if sys.argv[1:2] == ["hook"]:
        run_hook(sys.argv[2:], _run)
    _run()


def _run(limit: TimeLimit | None = None) -> None:
    from diary_mcp import cli  # noqa: PLC0415  # see above

    cli.main(limit)


if __name__ == "__main__":
    main()
