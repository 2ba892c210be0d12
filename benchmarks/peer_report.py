"""The comparison as one table and one picture."""

import json
import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from contenders import Contender
from peer_steps import Figures, Measured
from pictures import Panel, draw_panels

OURS = "diary-mcp"
_INTRODUCTION = (
    "`uv run --group bench python benchmarks/peers.py` wrote this page: "
    "one MCP client over stdio, one server after the other, entries of 600 characters. "
    "Starts and work up to 1,000 entries were measured in rounds, each contender in turn, and the "
    "figures are medians of the rounds."
)
FLOOR = "bare"
KEPT_FLOOR = "bare-insert"


@dataclass
class Report:
    """All figures so far, by contender, step and round."""

    machine: str
    figures: dict[str, dict[str, list[Figures]]] = field(
        default_factory=dict[str, dict[str, list[Figures]]]
    )
    titles: dict[str, str] = field(default_factory=dict[str, str])
    notes: dict[str, str] = field(default_factory=dict[str, str])
    ranked: dict[str, bool] = field(default_factory=dict[str, bool])
    absent: dict[str, str] = field(default_factory=dict[str, str])

    def introduce(self, name: str, contender: Contender) -> None:
        self.titles[name] = f"{contender.name} {contender.release}"
        self.notes[name] = contender.note
        self.ranked[name] = contender.ranked

    def add(self, name: str, step: str, figures: Figures) -> None:
        self.figures.setdefault(name, {}).setdefault(step, []).append(figures)

    def forget(self, name: str, step: str) -> None:
        self.figures.get(name, {}).pop(step, None)

    def count_rounds(self, name: str, step: str) -> int:
        return len(self.figures.get(name, {}).get(step, []))

    def of(self, name: str) -> Mapping[str, Measured]:
        """All figures of one contender, each the median of its rounds."""
        steps = self.figures.get(name, {}).values()
        return {key: measured for rounds in steps for key, measured in _medians(rounds).items()}

    def value(self, name: str, key: str) -> float:
        """The figure, or NaN where there is none."""
        measured = self.of(name).get(key)
        return math.nan if measured is None or measured.value is None else measured.value

    @property
    def names(self) -> Sequence[str]:
        return list(self.titles)

    @property
    def peers(self) -> Sequence[str]:
        return [name for name in self.names if name not in {OURS, FLOOR, KEPT_FLOOR}]


def _medians(rounds: Sequence[Figures]) -> Figures:
    keys = dict.fromkeys(key for figures in rounds for key in figures)
    return {key: _median([each[key] for each in rounds if key in each]) for key in keys}


def _median(found: Sequence[Measured]) -> Measured:
    """With what had to be said beside one of them."""
    values = [each.value for each in found if each.value is not None]
    note = next((each.note for each in found if each.note), "")
    return Measured(statistics.median(values) if values else None, note)


def load(path: Path) -> Report:
    """The report that an earlier run has kept."""
    kept = json.loads(path.read_text("utf-8"))
    kept["figures"] = {
        name: {
            step: [
                {key: Measured(**measured) for key, measured in figures.items()}
                for figures in rounds
            ]
            for step, rounds in steps.items()
        }
        for name, steps in kept["figures"].items()
    }
    return Report(**kept)


def save(report: Report, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(asdict(report), indent=1), "utf-8")


_ROWS: Sequence[tuple[str, Sequence[str], str]] = (
    ("start to `initialize`, without data / with data, s",
     ("cold_initialize", "warm_initialize"), ".2f"),
    ("start to first tool result, without data / with data, s",
     ("cold_result", "warm_result"), ".2f"),
    ("idle memory of the server / of all that it started, MiB",
     ("idle_memory", "idle_memory_all"), ".0f"),
    ("idle CPU of the server / of all that it started, % of a core",
     ("idle_cpu_own", "idle_cpu"), ".1f"),
    ("five idle servers on the same data: CPU, % of a core / memory, MiB / wake-ups a second",
     ("five_cpu", "five_memory", "five_switches"), ".1f"),
    ("write p50 / p95 / p99 up to 1,000 entries, ms",
     ("small_write_p50", "small_write_p95", "small_write_p99"), ".1f"),
    ("write p50 / p95 / p99 from 9,000 to 10,000 entries, ms",
     ("large_write_p50", "large_write_p95", "large_write_p99"), ".1f"),
    ("writes per second, one client, at 1,000 / at 10,000",
     ("small_writes_per_s", "large_writes_per_s"), ".0f"),
    ("CPU per write with all work behind it, at 1,000 / at 10,000, ms",
     ("small_cpu", "large_cpu"), ".1f"),
    ("search p50 at 1,000 / at 10,000, ms", ("small_search_p50", "large_search_p50"), ".1f"),
    ("list p50 at 1,000 / at 10,000, ms", ("small_list_p50", "large_list_p50"), ".1f"),
    ("two clients at once: missing", ("both_missing",), ".0f"),
    ("`kill -9` in mid-write: missing", ("kills_missing",), ".0f"),
    ("`kill -9` in mid-write: files or database damaged", ("damage",), ".0f"),
    ("tools / characters in `tools/list`", ("tools", "tools_characters"), ",.0f"),
)  # fmt: skip


def table(report: Report) -> str:
    """Markdown: what was measured, the notes, and whether the aims are met."""
    columns = [report.titles[name] for name in report.names]
    lines = [
        "# Beside what one would use instead",
        "",
        _INTRODUCTION,
        "",
        f"Measured {report.machine}.",
        "",
        "![The same as a picture](peers.svg)",
        "",
        f"| | {' | '.join(columns)} |",
        "|---|" + "---|" * len(columns),
        *(
            f"| {label} | {' | '.join(_cell(report, name, keys, how) for name in report.names)} |"
            for label, keys, how in _ROWS
        ),
        "",
        *(f"- {report.titles[name]}: {note}." for name, note in report.notes.items() if note),
        *(f"- {name} is not in the table: {reason}." for name, reason in report.absent.items()),
        *_failures(report),
        "",
        "## Aims",
        "",
        *(f"- {'met' if met else 'MISSED'}: {aim} ({found})" for aim, met, found in judge(report)),
        "",
    ]
    return "\n".join(lines)


def _cell(report: Report, name: str, keys: Sequence[str], how: str) -> str:
    figures = report.of(name)
    found = [figures[key] for key in keys if key in figures]
    if not found:
        return "-"
    values = [
        "-" if each.value is None or math.isnan(each.value) else format(each.value, how)
        for each in found
    ]
    notes = dict.fromkeys(each.note for each in found if each.note)
    told = f" ({'; '.join(notes)})" if notes else ""
    if all(value == "-" for value in values):
        return "-" + told
    return " / ".join(values) + told


def _failures(report: Report) -> list[str]:
    return [
        f"- {report.titles[name]}: {key.replace('_', ' ')}: {measured.note}."
        for name in report.names
        for key, measured in report.of(name).items()
        if key.endswith("_failed")
    ]


Aim = tuple[str, bool, str]


def judge(report: Report) -> list[Aim]:
    """The aims of the project, against this run; only those whose figures are there."""
    ours = report.of(OURS)
    if "small" not in report.figures.get(OURS, {}) or FLOOR not in report.titles:
        return []

    def get(key: str, name: str = OURS) -> float:
        return report.value(name, key)

    growth = get("large_write_p50") / get("first_write_p50")
    start = get("warm_initialize") / get("warm_initialize", FLOOR)
    first_s = get("warm_result") - get("warm_initialize")
    aims: list[Aim] = []
    if "both_missing" in ours and "kills_missing" in ours:
        lost = get("both_missing") + get("kills_missing") + get("damage")
        aims.append(("nothing is lost or damaged, ever", lost == 0, f"{lost:.0f}"))
    if KEPT_FLOOR in report.titles:
        kept = get("small_write_p50") / get("small_write_p50", KEPT_FLOOR)
        aims.append(
            ("write p50 within 1.8 times the floor of what is kept", kept <= 1.8, f"{kept:.2f}")  # noqa: PLR2004
        )
    if "five_cpu" in ours:
        cpu, memory, asleep = get("five_cpu"), get("five_memory"), get("five_switches")
        aims.append(
            ("five idle servers within 1 % of a core, 400 MiB and 10 wake-ups a second",
             cpu <= 1 and memory <= 400 and asleep <= 10,  # noqa: PLR2004
             f"{cpu:.1f} %, {memory:.0f} MiB, {asleep:.0f}"),
        )  # fmt: skip
    spread = get("small_write_p95") / get("small_write_p50")
    aims += [
        ("write p95 within 3 times its own p50", spread <= 3, f"{spread:.2f}"),  # noqa: PLR2004
        _ahead(report, "write p50 ahead of every peer that loses nothing when it is killed,"
               " up to 1,000 entries",
               "small_write_p50", lambda name: get("kills_missing", name) == 0),
        _ahead(report, "the same from 9,000 to 10,000",
               "large_write_p50", lambda name: get("kills_missing", name) == 0, "small_write_p50"),
        _ahead(report, "search p50 at 10,000 entries ahead of every peer with ranking",
               "large_search_p50", lambda name: report.ranked[name], "small_search_p50"),
        ("`initialize` within 1.15 times the floor, with data", start <= 1.15, f"{start:.2f}"),  # noqa: PLR2004
        ("first tool result within 0.5 s of it", first_s <= 0.5, f"{first_s:.2f} s"),  # noqa: PLR2004
        ("idle memory of the server under 130 MiB", get("idle_memory") < 130,  # noqa: PLR2004
         f"{get('idle_memory'):.0f} MiB"),
        ("write p50 of a server at 10,000 entries within 1.2 times its own at 1,000", growth <= 1.2,  # noqa: PLR2004
         _told(growth, ".2f")),
    ]  # fmt: skip
    return aims


def _ahead(
    report: Report, aim: str, key: str, counts: Callable[[str], bool], instead: str | None = None
) -> Aim:
    """`instead`: what a peer is taken by that did not get as far."""
    ours = report.value(OURS, key)
    theirs: dict[str, float] = {}
    for name in report.peers:
        value = report.value(name, key)
        if math.isnan(value) and instead is not None:
            value = report.value(name, instead)
        if counts(name) and not math.isnan(value):
            theirs[name] = value
    told = ", ".join(f"{name} {value:.1f}" for name, value in theirs.items())
    is_ahead = all(ours < value for value in theirs.values())
    return aim, is_ahead, f"{_told(ours, '.1f', ' ms')}; {told}"


def _told(value: float, how: str, unit: str = "") -> str:
    return "not reached" if math.isnan(value) else format(value, how) + unit


def draw(report: Report, path: Path) -> None:
    """One panel for each of the most telling rows."""
    shown = (
        ("Start to `initialize`, s", "warm_initialize", 1.0, ".2f"),
        ("Start to first tool result, s", "warm_result", 1.0, ".2f"),
        ("Idle memory of the server, MiB", "idle_memory", 1.0, ".0f"),
        ("Write at 1,000 entries, p50 ms", "small_write_p50", 1.0, ".1f"),
        ("Write at 10,000 entries, p50 ms", "large_write_p50", 1.0, ".1f"),
        ("Search in 10,000 entries, p50 ms", "large_search_p50", 1.0, ".1f"),
        ("Lost when two clients write at once", "both_missing", 1.0, ".0f"),
        ("Lost when killed in mid-write", "kills_missing", 1.0, ".0f"),
        ("`tools/list`, thousand characters", "tools_characters", 1e-3, ".1f"),
    )
    titles = [report.titles[name].rpartition(" ")[0] for name in report.names]
    panels = [
        Panel(
            title.replace("`", ""),
            titles,
            [report.value(name, key) * scale for name in report.names],
            how,
        )
        for title, key, scale, how in shown
    ]
    caption = f"Shorter is better. {report.machine}."
    draw_panels(panels, titles[0], caption, path)
