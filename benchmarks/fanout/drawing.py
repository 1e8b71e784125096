"""Plots out of a stored result.

Rule: as for the tables, a function of the result alone.
"""

from __future__ import annotations

from pathlib import Path

from benchmarks import plots
from benchmarks.fanout.report import NAMES, Result, flows, present, values
from benchmarks.fanout.rows import SCALING, Measure
from benchmarks.fanout.servers import REFSERVER, SERVERS
from benchmarks.figures import Median


def draw(result: Result, folder: Path) -> None:
    """The plots, into a folder."""
    servers = present(result)
    shown: dict[str, Measure] = {
        "fanout-deliveries.svg": "deliveries_per_s",
        "fanout-cpu.svg": "cpu_us_per_delivery",
    }
    for name, measure in shown.items():
        unit, scale, _ = NAMES[measure]
        groups = {
            row.load.name: {
                SERVERS[s].title: Median.of(value * scale for value in found)
                for s in servers
                if (found := values(result, row, s, measure))
            }
            for row in flows(result)
        }
        plots.bars(folder / name, groups, ours=REFSERVER.title, unit=unit)
    series = {
        name: [
            (float(2**power), Median.of(found))
            for power, row in enumerate(rows)
            if (found := values(result, row, REFSERVER.name, "cpu_ns_per_byte"))
        ]
        for name, rows in SCALING.items()
    }
    plots.lines(
        folder / "fanout-scaling.svg",
        {name: points for name, points in series.items() if points},
        across="times as many members, publishers or bytes",
        unit=NAMES["cpu_ns_per_byte"][0],
    )
