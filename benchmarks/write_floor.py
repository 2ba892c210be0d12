"""How long a write takes beside the least that anything can take which keeps what it is told.

    uv run --group bench python benchmarks/write_floor.py [--turns 5] [--calls 200]

The floor is a bare MCP server over stdio whose tool does one `INSERT` and commits, on the very
PostgreSQL that the diary has started. Both take turns: a turn is a burst of calls, each sent when
the one before is answered, and ends when the work behind them is done.
"""

import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from statistics import median, quantiles

import click

from call_cost import Server
from processes import describe_machine
from texts import entry_text
from work_behind import find_database

BARE_WRITER = Path(__file__).with_name("bare_writer.py")
WARM_UP_CALLS = 20


class BareWriter(Server):
    """The floor."""

    def __init__(self, url: str, home: Path) -> None:
        super().__init__(Path(sys.executable), home)
        self.command = [sys.executable, str(BARE_WRITER), url]

    def create(self) -> None:
        self.call("create", {"content": entry_text(self.number)})
        self.number += 1


@click.command()
@click.option("--turns", default=5, show_default=True)
@click.option("--calls", default=200, show_default=True, help="In each turn.")
@click.option("--quick", is_flag=True, help="Shows in half a minute that it works.")
def main(*, turns: int, calls: int, quick: bool) -> None:
    click.echo(describe_machine(quick=quick))
    if quick:
        turns, calls = 1, 20
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        home = Path(folder)
        home.chmod(0o755)  # PostgreSQL runs as nobody where we are root
        diary = Server(Path(sys.executable).with_name("diary-mcp"), home)
        stack.enter_context(diary.running())
        diary.create()
        floor = BareWriter(find_database(diary.home), home)
        stack.enter_context(floor.running())
        took: dict[str, list[float]] = {"bare INSERT": [], "diary_create": []}
        for writer in (floor, diary):
            _burst(writer.create, WARM_UP_CALLS)
        for _ in range(turns):
            diary.wait_for_work()
            took["bare INSERT"] += _burst(floor.create, calls)
            took["diary_create"] += _burst(diary.create, calls)
    _print(took)


def _burst(write: Callable[[], None], calls: int) -> list[float]:
    """How long each call takes, in milliseconds."""
    took: list[float] = []
    for _ in range(calls):
        started = time.perf_counter()
        write()
        took.append((time.perf_counter() - started) * 1_000)
    return took


def _print(took: dict[str, list[float]]) -> None:
    click.echo(f"{'ms a call':<16}{'p50':>8}{'p95':>8}{'p95 / p50':>12}")
    for name, each in took.items():
        p50, p95 = median(each), quantiles(each, n=20)[-1]
        click.echo(f"{name:<16}{p50:>8.2f}{p95:>8.2f}{p95 / p50:>12.2f}")
    floor, ours = map(median, took.values())
    click.echo(f"diary_create beside the floor: {ours / floor:.2f}")


if __name__ == "__main__":
    main()
