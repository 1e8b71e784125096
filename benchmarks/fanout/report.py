"""Tables out of a stored result.

Rule: a function of the result alone, so that the page can be checked against
the file it came from.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from benchmarks import markdown
from benchmarks.fanout.measure import MEASURES, Sample
from benchmarks.fanout.rows import (
    CROWD,
    DOUBLING,
    FLOWS,
    IDLE,
    SCALING,
    Bar,
    Measure,
    Row,
)
from benchmarks.fanout.servers import PURE, REFSERVER, SERVERS
from benchmarks.figures import Median, ratio

Result = dict[str, Any]

NAMES: dict[Measure, tuple[str, float, int]] = {
    "deliveries_per_s": ("deliveries, millions/s", 1e-6, 2),
    "messages_per_s": ("messages, millions/s", 1e-6, 2),
    "cpu_us_per_delivery": ("server CPU per delivery, µs", 1, 2),
    "cpu_ns_per_byte": ("server CPU per delivered byte, ns", 1, 3),
    "everybody_has_it_s": ("until the last member has it, s", 1, 2),
    "memory_per_member": ("memory per member, KiB", 1 / 1024, 1),
    "server_cpu_share": ("share of a core, %", 100, 2),
    "p50_us": ("latency, p50 in µs", 1, 0),
    "p90_us": ("latency, p90 in µs", 1, 0),
    "p99_us": ("latency, p99 in µs", 1, 0),
}


def _samples(result: Result, row: Row, server: str) -> list[Sample | None]:
    found: list[Sample | None] = result["samples"].get(row.id, {}).get(server, [])
    return found


def values(result: Result, row: Row, server: str, measure: Measure) -> list[float]:
    """The measure in each round that gave one."""
    samples = _samples(result, row, server)
    return [MEASURES[measure](sample) for sample in samples if sample is not None]


def _pairs(
    result: Result, measure: Measure, ours: tuple[Row, str], theirs: tuple[Row, str]
) -> Median | None:
    both = zip(_samples(result, *ours), _samples(result, *theirs), strict=False)
    whole = [(MEASURES[measure](a), MEASURES[measure](b)) for a, b in both if a and b]
    return ratio([a for a, _ in whole], [b for _, b in whole]) if whole else None


def _cell(result: Result, row: Row, server: str, measure: Measure) -> str:
    found = values(result, row, server, measure)
    _, scale, digits = NAMES[measure]
    return Median.of(found).show(digits, scale) if found else "–"


def flows(result: Result) -> list[Row]:
    """The steady flows that were measured."""
    return [row for row in FLOWS if any(any(s) for s in result["samples"].get(row.id, {}).values())]


def present(result: Result) -> list[str]:
    """The servers that gave figures for one of them."""
    rows = flows(result)
    return [s for s in SERVERS if any(any(_samples(result, row, s)) for row in rows)]


def _flow_table(result: Result, measure: Measure) -> str:
    servers = present(result)
    header = [
        f"{NAMES[measure][0]}: subscribers × publishers × window",
        *(SERVERS[s].title for s in servers),
    ]
    rows = ([r.load.name, *(_cell(result, r, s, measure) for s in servers)] for r in flows(result))
    return markdown.table(header, rows)


def _bar_line(row: str, bar: Bar, figure: Median | None, who: str = "native") -> list[str]:
    name, scale, digits = NAMES[bar.measure]
    bound = f"{bar.sense} {bar.bound * scale:g}"
    if bar.against is not None:
        name, scale, digits = (
            f"{name.partition(' in µs')[0].partition(', m')[0]} against {bar.against}",
            1,
            2,
        )
        bound = f"{bar.sense} {bar.bound:g} ×"
    if figure is None:
        return [row, name, who, bound, "–", "not measured"]
    shown = figure.show(digits, scale) + (" ×" if bar.against else "")
    return [row, name, who, bound, shown, markdown.verdict(figure, bar.sense, bar.bound)]


def _title(bar: Bar) -> Bar:
    if bar.against is None:
        return bar
    return replace(bar, against=SERVERS[bar.against].title)


def _row_bars(result: Result) -> Iterator[list[str]]:
    titles = {CROWD.id: "10,000 members, one message", IDLE.id: "idle, 1,000 members"}
    for row in (*FLOWS, CROWD, IDLE):
        for bar in row.bars:
            title = titles.get(row.id, row.load.name)
            yield _bar_line(title, _title(bar), _figure(result, row, bar, REFSERVER.name))
            if bar.pure is not None:
                pure = replace(bar, bound=bar.pure)
                figure = _figure(result, row, pure, PURE.name)
                yield _bar_line(title, _title(pure), figure, "pure Python")


def _figure(result: Result, row: Row, bar: Bar, ours: str) -> Median | None:
    if bar.against is not None:
        return _pairs(result, bar.measure, (row, ours), (row, bar.against))
    found = values(result, row, ours, bar.measure)
    return Median.of(found) if found else None


def doublings(result: Result) -> Iterator[tuple[str, Row, Row, Median | None]]:
    """For each pair of rows that one doubling lies between, the growth of the cost."""
    for name, series in SCALING.items():
        for before, after in itertools.pairwise(series):
            ours = REFSERVER.name
            figure = _pairs(result, DOUBLING.measure, (after, ours), (before, ours))
            yield name, before, after, figure


def _doubling_bars(result: Result) -> Iterator[list[str]]:
    worst: dict[str, Median] = {}
    for name, _, _, figure in doublings(result):
        if figure and (name not in worst or figure.median > worst[name].median):
            worst[name] = figure
    for name in SCALING:
        bar = Bar(
            DOUBLING.measure, DOUBLING.sense, DOUBLING.bound, "half of it, the worst doubling"
        )
        yield _bar_line(f"doubling: {name}", bar, worst.get(name))


def _bars(result: Result) -> str:
    header = ["row", "measure", "codec", "bar", "measured", "met"]
    return markdown.table(header, [*_row_bars(result), *_doubling_bars(result)])


def _scaling(result: Result) -> str:
    rows = []
    for name, series in SCALING.items():
        growth = {after.id: figure for n, _, after, figure in doublings(result) if n == name}
        for row in series:
            load, figure = row.load, growth.get(row.id)
            rows.append(
                [
                    name,
                    f"{load.name}, {load.size} bytes",
                    _cell(result, row, REFSERVER.name, "cpu_ns_per_byte"),
                    f"{figure.show()} ×" if figure else "–",
                ]
            )
    return markdown.table(["series", "load", NAMES["cpu_ns_per_byte"][0], "growth"], rows)


def _latency(result: Result) -> str:
    row = next(row for row in FLOWS if row.load.window == 1)  # not the closed loop
    marks = ("p50", "p90", "p99", "p99.9", "max")
    lines = []
    for server in present(result):
        samples = [s["latency_us"] for s in _samples(result, row, server) if s]
        if not samples:
            continue
        figures = [Median.of(sample[mark] for sample in samples).show(0) for mark in marks]
        lines.append([SERVERS[server].title, *figures])
    return markdown.table([f"{row.load.name}, µs from send to receipt", *marks], lines)


def _machine(result: Result) -> str:
    options = result["options"]
    return markdown.facts(
        {
            **result["environment"],
            **{f"peer {name}": version for name, version in result["servers"].items()},
            "rounds": f"{options['rounds']}, interleaved, {options['seconds']} s each after "
            f"{options['warmup']} s",
        }
    )


def _failures(result: Result) -> str:
    return "".join(
        f"* round {f['round']}, {f['row']}, {f['server']}: {f['reason']}\n"
        for f in result["failures"]
    )


def blocks(result: Result) -> dict[str, str]:
    """The Markdown blocks of the page, by name."""
    return {
        "fanout-bars": _bars(result) + (f"\n{_failures(result)}" if result["failures"] else ""),
        "fanout-deliveries": _flow_table(result, "deliveries_per_s")
        + "\n![Deliveries a second, by load and server](plots/fanout-deliveries.svg)\n",
        "fanout-cpu": _flow_table(result, "cpu_us_per_delivery")
        + "\n![Server CPU for one delivery, by load and server](plots/fanout-cpu.svg)\n",
        "fanout-latency": _latency(result),
        "fanout-scaling": _scaling(result)
        + "\n![Cost of a delivered byte as the load doubles](plots/fanout-scaling.svg)\n",
        "fanout-machine": _machine(result),
    }
