"""The plots, as SVG.

Rule: the same figures give the same bytes, so that a plot changes only when
its figures do. Text stays text, and both light and dark pages can show it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib

from benchmarks.figures import Median

matplotlib.use("svg")
matplotlib.rcParams.update(
    {
        "svg.hashsalt": "event-protocol",
        "svg.fonttype": "none",
        "font.size": 9,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.axisbelow": True,
        "figure.facecolor": "white",
    }
)

from matplotlib import pyplot  # noqa: E402  - the settings come first
from matplotlib.axes import Axes  # noqa: E402
from matplotlib.figure import Figure as Canvas  # noqa: E402

OURS = "#1a6fb0"
OTHERS = ("#aab3bb", "#c27c2c", "#5d8a4a")


def _save(canvas: Canvas, path: Path) -> None:
    canvas.savefig(path, format="svg", bbox_inches="tight", metadata={"Date": None})
    pyplot.close(canvas)


def bars(path: Path, groups: Mapping[str, Mapping[str, Median]], *, ours: str, unit: str) -> None:
    """Horizontal bars in groups over a logarithmic scale, each with its value and spread."""
    count = sum(len(group) + 1.5 for group in groups.values())
    canvas, axes = pyplot.subplots(figsize=(7.0, 0.5 + 0.17 * count))
    labels: dict[float, str] = {}
    at = 0.0
    for title, group in groups.items():
        axes.annotate(
            title,
            (0, at),
            xycoords=("axes fraction", "data"),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontweight="bold",
        )
        for name, figure in group.items():
            at += 1
            labels[at] = name
            _bar(axes, at, figure, OURS if name == ours else OTHERS[0])
        at += 1.5
    axes.set_yticks(list(labels), list(labels.values()))
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(at - 0.5, -0.7)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.set_xlabel(unit)
    axes.grid(axis="x", color="#e5e5e5", linewidth=0.6)
    _save(canvas, path)


def _bar(axes: Axes, at: float, figure: Median, colour: str) -> None:
    axes.barh(
        at,
        figure.median,
        xerr=[[figure.median - figure.low], [figure.high - figure.median]],
        color=colour,
        height=0.8,
        error_kw={"elinewidth": 0.8, "ecolor": "#333333"},
    )
    axes.annotate(
        f"{figure.median:.3g}",
        (figure.high, at),
        xytext=(4, 0),
        textcoords="offset points",
        va="center",
        fontsize=7.5,
    )


def lines(
    path: Path,
    series: Mapping[str, Sequence[tuple[float, Median]]],
    *,
    across: str,
    unit: str,
) -> None:
    """One line a series over factors that double."""
    canvas, axes = pyplot.subplots(figsize=(6.5, 3.2))
    for (name, points), colour in zip(series.items(), (OURS, *OTHERS[1:]), strict=False):
        x = [at for at, _ in points]
        axes.plot(
            x, [f.median for _, f in points], marker="o", markersize=4, color=colour, label=name
        )
        axes.fill_between(
            x, [f.low for _, f in points], [f.high for _, f in points], color=colour, alpha=0.15
        )
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g} ×")
    axes.set_ylim(bottom=0)
    axes.set_xlabel(across)
    axes.set_ylabel(unit)
    axes.grid(color="#e5e5e5", linewidth=0.6)
    if series:
        axes.legend(frameon=False)
    _save(canvas, path)
