"""Pictures of results: bars side by side, and lines over time."""

# matplotlib leaves the types of its keyword arguments open.
# pyright: reportUnknownMemberType=false

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

_OURS = "#0b6e4f"
_OTHERS = "#b8b8b8"
_INK = "#333333"
_LINES = ("#0b6e4f", "#c8553d", "#588bae", "#8f6fb0", "#888888")
# The same picture is the same file, and its words are words.
mpl.rcParams.update({"svg.hashsalt": "diary-mcp", "svg.fonttype": "none", "font.size": 8})


@dataclass(frozen=True)
class Panel:
    """One bar for each name; NaN where there is no figure."""

    title: str
    names: Sequence[str]
    values: Sequence[float]
    how: str


@dataclass(frozen=True)
class Chart:
    """Lines over time, and moments at which something happened."""

    title: str
    times: Sequence[float]
    lines: Mapping[str, Sequence[float]]


def draw_panels(panels: Sequence[Panel], ours: str, caption: str, path: Path) -> None:
    """Bars in a grid of three columns; those whose name begins with `ours` stand out."""
    rows = math.ceil(len(panels) / 3)
    figure = Figure(figsize=(10, 0.6 + 1.55 * rows), layout="constrained")
    for place, panel in enumerate(panels, 1):
        _bars(figure.add_subplot(rows, 3, place), panel, ours)
    _finish(figure, caption, path)


def draw_charts(charts: Sequence[Chart], marks: Sequence[float], caption: str, path: Path) -> None:
    """Lines in a grid of two columns; `marks` are thin vertical lines."""
    rows = math.ceil(len(charts) / 2)
    figure = Figure(figsize=(10, 0.6 + 2 * rows), layout="constrained")
    for place, chart in enumerate(charts, 1):
        axes = figure.add_subplot(rows, 2, place)
        for mark in marks:
            axes.axvline(mark, color="#e6b8ae", linewidth=0.6)
        for (name, values), colour in zip(chart.lines.items(), _LINES, strict=False):
            axes.plot(chart.times, values, label=name, color=colour, linewidth=1.1)
        axes.set_ylim(bottom=0)
        _dress(axes, chart.title)
        axes.legend(frameon=False, fontsize=7)
    _finish(figure, caption, path)


def _bars(axes: Axes, panel: Panel, ours: str) -> None:
    places = range(len(panel.names))
    known = [0.0 if math.isnan(value) else value for value in panel.values]
    colours = [_OURS if name.startswith(ours) else _OTHERS for name in panel.names]
    axes.barh(places, known, color=colours, height=0.7)
    most = max(known) or 1.0
    for place, value in enumerate(panel.values):
        told = "not measured" if math.isnan(value) else format(value, panel.how)
        axes.text(known[place] + most * 0.02, place, told, va="center", color=_INK)
    axes.set_yticks(list(places), list(panel.names))
    axes.set_xlim(0, most * 1.3)
    axes.set_xticks([])
    axes.invert_yaxis()
    _dress(axes, panel.title)


def _dress(axes: Axes, title: str) -> None:
    axes.set_title(title, loc="left", fontsize=9, color=_INK)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.tick_params(colors=_INK, length=0)


def _finish(figure: Figure, caption: str, path: Path) -> None:
    figure.supxlabel(caption, fontsize=7, color="#666666", wrap=True)
    figure.savefig(path, metadata={"Date": None})
