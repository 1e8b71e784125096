"""Reports as one page for a browser: nothing to load, light and dark, every case a link.

Rule: the template draws, this module prepares. Everything that a peer sent goes
through the template's escaping.

Layer: among the reports.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from eventcodec.dissect import HEADER_PARTS

from ..annotate import Piece, annotate
from ..model import Report, Result, Run, Step, Verdict
from ..suite import worst
from .phrases import ascii_only, step_said

__all__ = ["rendered", "write"]

SHOWN_BYTES = 192
SHOWN_STEPS = 60
COLOURED = frozenset(part.name for part in HEADER_PARTS)


def write(report: Report, path: Path) -> None:
    """Write the report as an HTML page."""
    path.write_text(rendered(report), encoding="utf-8", errors="backslashreplace")


def rendered(report: Report) -> str:
    """The report as an HTML page."""
    return _template().render(
        runs=[_run(number, run) for number, run in enumerate(report.runs)],
        rows=[_row(case, report.runs) for case in report.cases],
        verdicts=list(Verdict),
        sections=list(dict.fromkeys(case["section"] for case in report.cases)),
    )


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("refserver.conformance.reports", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html.j2")


def _run(number: int, run: Run) -> dict[str, Any]:
    verdicts = [result.verdict for result in run.results]
    counts = {verdict: verdicts.count(verdict) for verdict in Verdict if verdict in verdicts}
    return {"number": number, "run": run, "counts": counts}


@dataclass(frozen=True, slots=True)
class Cell:
    """One case at one implementation."""

    run: Run
    verdict: Verdict
    results: list[dict[str, Any]]


def _row(case: dict[str, Any], runs: tuple[Run, ...]) -> dict[str, Any]:
    cells = [_cell(case["id"], run) for run in runs]
    return {"case": case, "cells": cells, "verdicts": [cell.verdict for cell in cells if cell]}


def _cell(id: str, run: Run) -> Cell | None:
    results = [result for result in run.results if result.case == id]
    if not results:
        return None
    verdict = worst(result.verdict for result in results)
    return Cell(run, verdict, list(_results(results)))


def _results(results: list[Result]) -> Iterator[dict[str, Any]]:
    """Each result; the evidence of all that are bad, and of the first where all is well."""
    shown = [result for result in results if result.verdict.bad] or results[:1]
    for result in results:
        steps = result.steps if result in shown else ()
        yield {
            "result": result,
            "actual": ascii_only(result.actual),
            "steps": [_step(step) for step in steps[-SHOWN_STEPS:]],
            "before": max(0, len(steps) - SHOWN_STEPS),
        }


def _step(step: Step) -> dict[str, Any]:
    shown = step.data[:SHOWN_BYTES]
    return {
        "at": f"{step.at * 1000:.1f} ms",
        "who": step.who,
        "direction": {">": "sent", "<": "received", "-": "note"}[step.direction],
        "said": step_said(step),
        "pieces": [_piece(piece) for piece in annotate(shown)],
        "more": step.size - len(shown),
    }


def _piece(piece: Piece) -> dict[str, str]:
    colour = piece.name if piece.name in COLOURED else piece.kind
    return {"hex": piece.data.hex(" "), "name": piece.name, "said": piece.said, "colour": colour}
