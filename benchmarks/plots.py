"""The plots, as SVG.

Rule: the same figures give the same bytes, so that a plot changes only when
its figures do. Text stays text, and both light and dark pages can show it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib

from benchmarks.figures import Figure

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
from matplotlib.figure import Figure as Canvas  # noqa: E402

OURS = "#1a6fb0"
OTHERS = ("#b0b7bd", "#8d969e", "#6c757d", "#d8a657", "#c27c2c", "#4f565c")


def _save(canvas: Canvas, path: Path) -> None:
    canvas.savefig(path, format="svg", bbox_inches="tight", metadata={"Date": None})
    pyplot.close(canvas)


def bars(
    path: Path,
    groups: Mapping[str, Mapping[str, Figure]],
    *,
    ours: str,
    unit: str,
) -> None:
    """Horizontal bars in groups over a logarithmic scale, each with its value and its spread."""
    names = list(dict.fromkeys(name for group in groups.values() for name in group))
    colours = dict(zip([n for n in names if n != ours], OTHERS, strict=False)) | {ours: OURS}
    count = sum(len(group) for group in groups.values()) + len(groups)
    canvas, axes = pyplot.subplots(figsize=(7.5, 0.5 + 0.19 * count))
    at, ticks, seen = 0.0, [], set()
    for title, group in groups.items():
        ticks.append((at + (len(group) - 1) / 2, title))
        for name, figure in group.items():
            spread = [[figure.median - figure.low], [figure.high - figure.median]]
            axes.barh(
                at,
                figure.median,
                xerr=spread,
                color=colours[name],
                height=0.85,
                label=None if name in seen else name,
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
            seen.add(name)
            at += 1
        at += 1
    axes.set_yticks([y for y, _ in ticks], [title for _, title in ticks])
    axes.tick_params(axis="y", length=0)
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.set_xlabel(unit)
    axes.grid(axis="x", color="#e5e5e5", linewidth=0.6)
    axes.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    _save(canvas, path)


def lines(
    path: Path,
    series: Mapping[str, Sequence[tuple[float, Figure]]],
    *,
    across: str,
    unit: str,
) -> None:
    """One line a series over factors that double."""
    canvas, axes = pyplot.subplots(figsize=(6.5, 3.2))
    for (name, points), colour in zip(series.items(), (OURS, *OTHERS[3:]), strict=False):
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
