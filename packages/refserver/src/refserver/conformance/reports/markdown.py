"""Reports as a Markdown summary, for a CI's page about a run.

Rule: a total and a table of sections, then what must be looked at, a line for each thing
that went wrong however often it did; nothing that fills a page where all is well.

Layer: among the reports.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ...characters import escape
from ...wording import counted
from ..model import Report, Result, Run, Verdict
from .phrases import DIFFERS, blocked, counts, differing, outcome, some

__all__ = ["rendered", "write"]


def write(report: Report, path: Path) -> None:
    """Write the report as Markdown."""
    path.write_text(rendered(report), encoding="utf-8")


def rendered(report: Report) -> str:
    """The report as Markdown."""
    cases = {case["id"]: case for case in report.cases}
    return "\n".join(line for run in report.runs for line in _run(run, cases)) + "\n"


def _run(run: Run, cases: dict[str, dict[str, Any]]) -> Iterator[str]:
    yield f"## {_cell(run.implementation)}"
    yield ""
    ran = counted(len({result.case for result in run.results}), "case")
    yield f"**{outcome(run)}**: {ran}, {', '.join(run.segmentations)}, seed {run.seed}"
    yield ""
    yield from _sections(run, cases)
    yield from _bad(run, cases)
    yield from _inconclusive(run)
    if ids := differing(run):
        yield f"{DIFFERS}: {', '.join(ids)}"
        yield ""


def _sections(run: Run, cases: dict[str, dict[str, Any]]) -> Iterator[str]:
    shown = counts(result.verdict for result in run.results)
    sections = dict.fromkeys(cases[result.case]["section"] for result in run.results)
    yield f"| section | {' | '.join(shown)} |"
    yield f"|---|{'---:|' * len(shown)}"
    for section in sections:
        counted = counts(r.verdict for r in run.results if cases[r.case]["section"] == section)
        yield f"| {section} | {' | '.join(str(counted.get(each, 0)) for each in shown)} |"
    yield f"| **all** | {' | '.join(f'**{count}**' for count in shown.values())} |"
    yield ""


def _bad(run: Run, cases: dict[str, dict[str, Any]]) -> Iterator[str]:
    bad: dict[str, list[Result]] = {}
    for result in run.results:
        if result.verdict.bad and result.verdict is not Verdict.INCONCLUSIVE:
            bad.setdefault(result.case, []).append(result)
    if not bad:
        return
    yield "| case | verdict | segmentation | what is asked | what came first |"
    yield "|---|---|---|---|---|"
    for id, results in bad.items():
        verdicts = ", ".join(counts(result.verdict for result in results))
        where = ", ".join(result.segmentation for result in results)
        asked = f"{cases[id]['title']} ({', '.join(cases[id]['proves'])})"
        came = results[0].actual.partition("\n")[0] or results[0].reason
        yield f"| {id} | **{verdicts}** | {where} | {_cell(asked)} | {_cell(came)} |"
    yield ""


def _inconclusive(run: Run) -> Iterator[str]:
    reasons = blocked(run)
    for reason, ids in reasons.items():
        yield f"- **inconclusive**, {_cell(reason)}: {some(ids)}"
    if reasons:
        yield ""


def _cell(text: str) -> str:
    """Text of anybody's making as one cell: no markup, no line break."""
    return escape("".join(f"\\{c}" if c in "\\|`*_<>[]&" else c for c in text))
