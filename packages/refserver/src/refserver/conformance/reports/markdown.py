"""Reports as a Markdown summary, for a CI's page about a run.

Rule: a table of sections, then what must be looked at; nothing that fills a page
where all is well.

Layer: among the reports.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..model import Report, Run, Verdict

__all__ = ["rendered", "write"]

_MARKS = {Verdict.PASSED: "passed", Verdict.FAILED: "**failed**"}


def write(report: Report, path: Path) -> None:
    """Write the report as Markdown."""
    path.write_text(rendered(report), encoding="utf-8")


def rendered(report: Report) -> str:
    """The report as Markdown."""
    return "\n".join(line for run in report.runs for line in _run(run, report)) + "\n"


def _run(run: Run, report: Report) -> Iterator[str]:
    cases = {case["id"]: case for case in report.cases}
    shown = [each for each in Verdict if any(r.verdict is each for r in run.results)]
    yield f"## {_cell(run.implementation)}"
    yield ""
    yield f"| section | {' | '.join(map(str, shown))} |"
    yield f"|---|{'---|' * len(shown)}"
    for section in dict.fromkeys(cases[result.case]["section"] for result in run.results):
        verdicts = [r.verdict for r in run.results if cases[r.case]["section"] == section]
        yield f"| {section} | {' | '.join(str(verdicts.count(each)) for each in shown)} |"
    yield ""
    yield from _bad(run, cases)
    yield f"Seed {run.seed}, segmentations {', '.join(map(str, run.segmentations))}."
    yield ""


def _bad(run: Run, cases: dict[str, dict[str, Any]]) -> Iterator[str]:
    bad = [result for result in run.results if result.verdict.bad]
    if not bad:
        return
    yield "| case | segmentation | verdict | what is asked | what came |"
    yield "|---|---|---|---|---|"
    for result in bad:
        case = cases[result.case]
        asked = f"{case['title']} ({', '.join(case['proves'])})"
        came = result.actual.partition("\n")[0] or result.reason
        cells = (result.case, result.segmentation, result.verdict, _cell(asked), _cell(came))
        yield f"| {' | '.join(map(str, cells))} |"
    yield ""


def _cell(text: str) -> str:
    """Text of anybody's making as one cell: no markup, no line break."""
    escaped = "".join(f"\\{c}" if c in "\\|`*_<>[]&" else c for c in text)
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in escaped)
