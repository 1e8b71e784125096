"""Reports as one page for a browser: nothing to load, light and dark, every case a link.

Rule: the template draws, this module prepares. Everything that a peer sent goes
through the template's escaping.

Layer: among the reports.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eventcodec.dissect import HEADER_PARTS

from ...wording import counted
from ..annotate import Piece, annotate
from ..model import Report, Result, Run, Step, Verdict
from ..suite import worst
from .phrases import DIFFERS, ascii_only, blocked, counts, differing, outcome, some, step_said

if TYPE_CHECKING:
    from jinja2 import Template

__all__ = ["rendered", "write"]

SHOWN_BYTES = 192
SHOWN_STEPS = 60
MANY_RUNS = 5
"""So many implementations stand below a case; fewer are columns."""
COLOURED = frozenset(part.name for part in HEADER_PARTS)


def write(report: Report, path: Path) -> None:
    """Write the report as an HTML page."""
    path.write_text(rendered(report), encoding="utf-8", errors="backslashreplace")


def rendered(report: Report) -> str:
    """The report as an HTML page."""
    runs = [_run(run) for run in report.runs]
    sections = list(dict.fromkeys(case["section"] for case in report.cases))
    cases = sorted(report.cases, key=lambda case: sections.index(case["section"]))
    return _template().render(
        runs=runs,
        groups=list(_groups([_row(case, runs) for case in cases], _notes(runs))),
        verdicts=list(Verdict),
        sections=sections,
        differs=DIFFERS,
        width="one" if len(runs) == 1 else "few" if len(runs) < MANY_RUNS else "many",
    )


@cache
def _template() -> Template:
    # Imported here, because most runs of the kit write no page.
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("refserver.conformance.reports", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["counted"] = counted
    return environment.get_template("report.html.j2")


@dataclass(frozen=True, slots=True)
class Told:
    """A run, and what the head of the page says about it."""

    run: Run
    results: dict[str, list[Result]]
    """By case."""
    started: str
    outcome: str
    differing: list[str]

    @property
    def counts(self) -> dict[Verdict, int]:
        """How many cases have each verdict in some segmentation: what its filter shows."""
        return counts(
            verdict
            for results in self.results.values()
            for verdict in {result.verdict for result in results}
        )


def _run(run: Run) -> Told:
    results = defaultdict(list)
    for result in run.results:
        results[result.case].append(result)
    started = datetime.fromisoformat(run.started).astimezone(UTC)
    return Told(
        run=run,
        results=dict(results),
        started=f"{started:%d %b %Y, %H:%M} UTC",
        outcome=outcome(run),
        differing=differing(run),
    )


@dataclass(frozen=True, slots=True)
class Cell:
    """One case at one implementation."""

    run: Run
    results: list[Result]
    bytes: bool
    """Whether they are drawn."""

    @property
    def verdict(self) -> Verdict:
        return worst(result.verdict for result in self.results)

    @property
    def badges(self) -> Iterator[tuple[Verdict, str]]:
        """The verdict, or all that are bad, and in how many segmentations unless in all."""
        counted = counts(result.verdict for result in self.results)
        for verdict in [each for each in reversed(counted) if each.bad] or [self.verdict]:
            whole = counted[verdict] == len(self.results)
            share = "" if whole else f" {counted[verdict]}/{len(self.results)}"
            yield verdict, f"{verdict}{share}"

    @property
    def evidence(self) -> Iterator[dict[str, Any]]:
        """Of all results that are bad, and of the first where all is well."""
        for result in self._shown:
            yield {
                "result": result,
                "actual": ascii_only(result.actual),
                "steps": [_step(step, self.bytes) for step in result.steps[-SHOWN_STEPS:]],
                "before": max(0, len(result.steps) - SHOWN_STEPS),
            }

    @property
    def others(self) -> list[Result]:
        """The results without evidence here."""
        return [result for result in self.results if result not in self._shown]

    @property
    def _shown(self) -> list[Result]:
        return [result for result in self.results if result.verdict.bad] or self.results[:1]


@dataclass(frozen=True, slots=True)
class Row:
    """One case at every implementation."""

    case: dict[str, Any]
    cells: list[Cell | None]

    @property
    def worst(self) -> Verdict:
        return worst(cell.verdict for cell in self.cells if cell)

    @property
    def verdicts(self) -> str:
        """Each verdict in some segmentation as `run:verdict`."""
        found = (
            f"{number}:{result.verdict}"
            for number, cell in enumerate(self.cells)
            for result in (cell.results if cell else ())
        )
        return " ".join(dict.fromkeys(found))

    @property
    def text(self) -> str:
        """What a search looks at."""
        return " ".join((self.case["id"], self.case["title"], *self.case["proves"])).lower()


def _row(case: dict[str, Any], runs: Sequence[Told]) -> Row:
    found = [(told.run, told.results.get(case["id"], [])) for told in runs]
    # Bytes are most of a page, and are asked for where implementations differ or one is wrong.
    bytes = any(result.verdict.bad for _, results in found for result in results)
    return Row(case, [Cell(run, results, bytes) if results else None for run, results in found])


@dataclass(frozen=True, slots=True)
class Group:
    """Cases below one heading."""

    name: str
    rows: list[Row]
    open: bool = False
    notes: Sequence[str] = ()
    above: int = 0
    """How many more of its section stand above, since they need attention."""

    @property
    def counts(self) -> list[dict[Verdict, int]]:
        """For each run, how many cases came to what."""
        columns = zip(*(row.cells for row in self.rows), strict=True)
        return [counts(cell.verdict for cell in column if cell) for column in columns]


def _notes(runs: Sequence[Told]) -> list[str]:
    """What took which cases along."""
    return [
        f"{told.run.implementation}: " * (len(runs) > 1) + f"{reason}: {some(ids)}"
        for told in runs
        for reason, ids in blocked(told.run).items()
    ]


def _groups(rows: list[Row], notes: list[str]) -> Iterator[Group]:
    """What must be looked at, what that took along, then the sections with all others."""
    bad = [row for row in rows if row.worst.bad and row.worst.ran]
    taken_along = [row for row in rows if row.worst is Verdict.INCONCLUSIVE]
    if bad:
        yield Group("Needs attention", bad, open=True)
    if taken_along:
        yield Group("Inconclusive", taken_along, notes=notes)
    above = Counter(row.case["section"] for row in bad + taken_along)
    sections: dict[str, list[Row]] = {}
    for row in rows:
        if not row.worst.bad:
            sections.setdefault(row.case["section"], []).append(row)
    for name, well in sections.items():
        yield Group(name, well, above=above[name])


def _step(step: Step, bytes: bool) -> dict[str, Any]:
    shown = step.data[:SHOWN_BYTES] if bytes else b""
    return {
        "at": f"{step.at * 1000:.1f} ms",
        "who": step.who,
        "direction": {">": "sent", "<": "received", "-": "note"}[step.direction],
        "said": step_said(step),
        "pieces": [_piece(piece) for piece in annotate(shown, step.begun)],
        "more": step.size - len(shown),
    }


def _piece(piece: Piece) -> dict[str, str]:
    colour = piece.name if piece.name in COLOURED else piece.kind
    return {"hex": piece.data.hex(" "), "name": piece.name, "said": piece.said, "colour": colour}
