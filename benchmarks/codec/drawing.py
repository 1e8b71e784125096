"""The plot out of a stored result.

Rule: as for the tables, a function of the result alone.
"""

from __future__ import annotations

from pathlib import Path

from benchmarks import plots
from benchmarks.codec.report import Result, times
from benchmarks.codec.rows import OURS, TASKS
from benchmarks.figures import Median


def draw(result: Result, folder: Path) -> None:
    """Microseconds an item, a bar for each contender, into a folder."""
    groups = {
        task.title: {name: Median.of(found) for name, found in times(result, task.id).items()}
        for task in TASKS.values()
        if task.items > 1
    }
    plots.bars(folder / "codec-times.svg", groups, ours=OURS, unit="µs of CPU an item")
