"""Tables out of a stored result.

Rule: a function of the result alone, so that the page can be checked against
the file it came from.
"""

from __future__ import annotations

from typing import Any

from benchmarks import markdown
from benchmarks.codec.rows import BARS, IMPORT_BAR_MS, OURS, TASKS, Bar
from benchmarks.figures import Median, ratio

Result = dict[str, Any]

IMPORTED = {"construct": "construct", "eventcodec": "eventcodec above construct"}


def times(result: Result, task: str) -> dict[str, list[float]]:
    """Each contender's microseconds an item, round by round."""
    found: dict[str, list[float]] = result["times"][task]
    return found


def _against(result: Result, bar: Bar) -> Median:
    found = times(result, bar.task)
    ours, theirs = found[bar.ours], found[bar.theirs]
    return ratio(theirs, ours) if bar.sense == "≥" else ratio(ours, theirs)


def _bar_line(result: Result, bar: Bar) -> list[str]:
    figure = _against(result, bar)
    faster = " as fast" if bar.sense == "≥" else " its time"
    bound, shown = f"{bar.sense} {bar.bound:g} ×{faster}", f"{figure.show()} ×"
    verdict = markdown.verdict(figure, bar.sense, bar.bound)
    who = f"{bar.ours} against {bar.theirs}"
    return [TASKS[bar.task].title, who, bound, shown, verdict]


def _import_line(result: Result) -> list[str]:
    figure = Median.of(result["import_ms"]["eventcodec"])
    verdict = markdown.verdict(figure, "≤", IMPORT_BAR_MS)
    return [
        "import",
        "eventcodec above construct",
        f"≤ {IMPORT_BAR_MS:g} ms",
        figure.show(1),
        verdict,
    ]


def _bars(result: Result) -> str:
    header = ["what", "who", "bar", "measured", "met"]
    return markdown.table(header, [*(_bar_line(result, b) for b in BARS), _import_line(result)])


def _times(result: Result) -> str:
    rows = []
    for task in TASKS.values():
        found = times(result, task.id)
        for name, theirs in found.items():
            factor = ratio(theirs, found[OURS]).show()
            rows.append([task.title, name, Median.of(theirs).show(), factor])
    for name, milliseconds in result["import_ms"].items():
        spent = Median.of(milliseconds).show(0, 1000)
        rows.append(["import", IMPORTED[name], spent, "–"])
    return markdown.table(["what", "who", "µs of CPU an item", "eventcodec's time ×"], rows)


def _machine(result: Result) -> str:
    rounds = f"{result['options']['rounds']}, interleaved"
    return markdown.facts({**result["environment"], **result["versions"], "rounds": rounds})


def blocks(result: Result) -> dict[str, str]:
    """The Markdown blocks of the page, by name."""
    return {
        "codec-bars": _bars(result),
        "codec-times": _times(result)
        + "\n![Time to decode and to encode one message](plots/codec-times.svg)\n",
        "codec-machine": _machine(result),
    }
