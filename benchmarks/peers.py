"""diary-mcp beside what one would use instead of it, on this machine, through one MCP client.

    uv run --group bench python benchmarks/peers.py [--quick] [--only NAME] [--step STEP] [--resume]

The contenders are installed into `.cache/benchmarks` at the versions that `contenders.py` names.
Figures are kept there after every step, so that a run can be cut short and gone on with.
Writes `docs/performance/peers.md` and `peers.svg`; with `--quick` only prints.
"""

import shutil
import tempfile
import traceback
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import anyio
import click

from contenders import CONTENDERS, Contender, NotInstalledError
from peer_report import Report, draw, load, save, table
from peer_steps import QUICK, STEPS, Figures, Measured, Size
from processes import describe_machine, family_below, kill

ROOT = Path(__file__).parents[1]
CACHE = ROOT / ".cache/benchmarks"
OUTPUT = ROOT / "docs/performance"
_STEP_S = 900


@click.command()
@click.option("--quick", is_flag=True, help="Little of everything: whether it works.")
@click.option("--only", multiple=True, type=click.Choice(list(CONTENDERS)), help="Repeatable.")
@click.option("--step", "steps", multiple=True, type=click.Choice(list(STEPS)), help="Repeatable.")
@click.option("--resume", is_flag=True, help="Keep what an earlier run has measured.")
@click.option("--deadline", default=1.0, show_default=True, help="Factor on all time limits.")
@click.option("--output", type=click.Path(path_type=Path), help="Instead of docs/performance.")
def main(
    only: tuple[str, ...],
    steps: tuple[str, ...],
    output: Path | None,
    *,
    quick: bool,
    resume: bool,
    deadline: float,
) -> None:
    """Measure, print the table, and write it with its picture."""
    size = QUICK if quick else Size()
    size = replace(size, limit_s=size.limit_s * deadline, filling_s=size.filling_s * deadline)
    kept = CACHE / ("quick.json" if quick else "peers.json")
    partly = bool(only or steps or resume) and kept.exists()
    report = load(kept) if partly else Report(describe_machine(quick=quick))
    contenders = _install_all(only or list(CONTENDERS), report)
    for step in steps or STEPS:
        if not resume:
            for name in contenders:
                report.forget(name, step)
        for number in range(size.rounds if STEPS[step].in_rounds else 1):
            for name in _from(number, list(contenders)):
                if report.count_rounds(name, step) > number:
                    continue
                click.echo(f"{step}, round {number + 1}: {name} …", err=True)
                report.add(name, step, _measure(contenders[name], step, size))
                save(report, kept)
    text = table(report)
    click.echo(text)
    folder = output or (None if quick else OUTPUT)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "peers.md").write_text(text, "utf-8")
        draw(report, folder / "peers.svg")


def _from(number: int, names: Sequence[str]) -> Sequence[str]:
    """All of them; each round begins with another."""
    start = number % max(1, len(names))
    return [*names[start:], *names[:start]]


def _install_all(names: Sequence[str], report: Report) -> dict[str, Contender]:
    found = [(name, _install(name, report)) for name in names]
    installed = {name: contender for name, contender in found if contender is not None}
    if not installed:
        raise click.ClickException("None of them can be installed; is uv in your PATH?")
    return installed


def _install(name: str, report: Report) -> Contender | None:
    try:
        contender = CONTENDERS[name](CACHE)
    except NotInstalledError as error:
        report.absent[name] = str(error)
        return None
    report.absent.pop(name, None)
    report.introduce(name, contender)
    return contender


def _measure(contender: Contender, step: str, size: Size) -> Figures:
    """The figures of one step; a contender that fails or hangs has a reason instead."""

    async def limited() -> Figures:
        with anyio.fail_after(_STEP_S):
            return await STEPS[step].measure(contender, scratch, size)

    # Short, because a socket's path has to fit in a hundred characters.
    scratch = Path(tempfile.mkdtemp(prefix="bench-"))
    try:
        return anyio.run(limited)
    except Exception as error:  # noqa: BLE001  # the others are measured all the same
        traceback.print_exc()
        reason = str(error).strip().splitlines()
        return {f"{step}_failed": Measured(None, reason[0] if reason else type(error).__name__)}
    finally:
        kill(family_below(scratch))
        shutil.rmtree(scratch, ignore_errors=True)


if __name__ == "__main__":
    main()
