"""Reports for people at a terminal.

Rule: results go to stdout; colour and the progress bar only where there is a terminal
that wants them. What a peer sent never reaches the terminal unescaped.

Layer: among the reports.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.text import Text

from ...wording import counted
from ..annotate import annotate
from ..model import Direction, Report, Result, Run, Step, Verdict
from .phrases import DIFFERS, ascii_only, blocked, counts, differing, outcome, some, step_said

if TYPE_CHECKING:
    from rich.progress import Progress

__all__ = ["COLOURS", "Show", "progress", "show"]

COLOURS = {
    Verdict.PASSED: "green",
    Verdict.UNSUPPORTED: "bright_black",
    Verdict.EXPECTED_FAILURE: "yellow",
    Verdict.KNOWN_FLAKY: "yellow",
    Verdict.INCONCLUSIVE: "magenta",
    Verdict.UNSTABLE: "red",
    Verdict.STALE: "red",
    Verdict.FAILED: "bold red",
    Verdict.ERROR: "bold red",
}
LINES_OF_BYTES = 12
LAST_STEPS = 14


class Show:
    """Takes results as they come, at a terminal: a line for each that is bad, and the bar moves."""

    def __init__(self, bar: Progress, total: int) -> None:
        self._bar = bar
        self._task = bar.add_task("", total=total, case="")

    def __call__(self, result: Result) -> None:
        which = f"{result.case} {result.segmentation}"
        if _is_told(result):
            line = f"{str(result.verdict).upper()} {which}"
            _print(self._bar.console, line, style=COLOURS[result.verdict])
        self._bar.update(self._task, advance=1, case=which)


@contextmanager
def progress(console: Console, total: int) -> Iterator[Callable[[Result], None]]:
    """What shows each result as it comes: a bar that vanishes at the end, at a terminal."""
    if not console.is_terminal:
        yield lambda result: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[case]}"))
    with Progress(*columns, console=console, transient=True) as bar:
        yield Show(bar, total)


def _is_told(result: Result) -> bool:
    """Whether a result is bad by itself: what is inconclusive is told by its reason."""
    return result.verdict.bad and result.verdict is not Verdict.INCONCLUSIVE


def show(console: Console, report: Report, *, verbose: bool = False) -> None:
    """Print the report: what is bad, each with its evidence, then a summary for each run."""
    cases = {case["id"]: case for case in report.cases}
    for run in report.runs:
        for alike in _alike(run):
            first = alike[0]
            if _is_told(first) or (verbose and first.verdict is not Verdict.INCONCLUSIVE):
                _show_result(console, cases[first.case], alike)
        _show_inconclusive(console, run)
        _show_summary(console, run)


def _alike(run: Run) -> Iterable[list[Result]]:
    """Results that say the same of a case in several segmentations; one's evidence is enough."""
    found: dict[tuple[object, ...], list[Result]] = {}
    for result in run.results:
        said = result.case, result.verdict, result.expected, result.actual, result.reason
        found.setdefault(said, []).append(result)
    return found.values()


def _print(console: Console, text: str = "", indent: int = 0, style: str = "") -> None:
    line = Text(" " * indent + text, style=style)
    console.print(line, soft_wrap=True, highlight=False)


def _show_result(console: Console, case: dict[str, Any], alike: list[Result]) -> None:
    result = alike[0]
    where = ", ".join(each.segmentation for each in alike)
    colour = COLOURS[result.verdict]
    head = f"[{colour}]{str(result.verdict).upper()}[/] [bold]{result.case}[/] "
    tail = f"{escape(case['title'])} [dim]({case['level']}; {where})[/]"
    console.print(head + tail, highlight=False, soft_wrap=True)
    for requirement in case["requirement"]:
        _print(console, f"requires  {requirement}", 2)
    for number, expected in enumerate(result.expected):
        _print(console, f"{'or' if number else 'expected':<9} {expected}", 2)
    if result.actual:
        first, *others = ascii_only(result.actual).splitlines()
        _print(console, f"actual    {first}", 2)
        for line in others:
            _print(console, line, 12)
    if result.reason and not result.expected:
        _print(console, f"reason    {result.reason}", 2)
    if result.verdict is not Verdict.PASSED:
        _print(console, f"cause?    {case['cause']}", 2)
    _show_steps(console, result.steps)
    _print(console, f"again     {result.rerun}", 2)
    _print(console)


def _show_inconclusive(console: Console, run: Run) -> None:
    """One line for each reason."""
    for reason, ids in blocked(run).items():
        _print(console, f"INCONCLUSIVE {reason}: {some(ids)}", style=COLOURS[Verdict.INCONCLUSIVE])


def _show_steps(console: Console, steps: tuple[Step, ...]) -> None:
    if len(steps) > LAST_STEPS:
        _print(console, f"… {counted(len(steps) - LAST_STEPS, 'step')} before", 2, "dim")
    for step in steps[-LAST_STEPS:]:
        arrow = {Direction.SENT: "->", Direction.RECEIVED: "<-", Direction.NOTE: "--"}
        size = f" [{counted(step.size, 'byte')}]" if step.size else ""
        stamp = f"{step.at * 1000:9.1f} ms {step.who:<8} {arrow[step.direction]}"
        _print(console, f"{stamp} {step_said(step)}{size}", 2, "cyan")
        if step.direction is not Direction.NOTE:
            _show_bytes(console, step)


def _show_bytes(console: Console, step: Step) -> None:
    pieces = annotate(step.data, step.begun)
    for piece in pieces[:LINES_OF_BYTES]:
        more = " …" if len(piece.data) > 8 else ""
        shown = piece.data[:8].hex(" ") + more
        _print(console, f"{piece.offset:6} {shown:<26} {piece.name} {piece.said}", 4, "dim")
    if len(pieces) > LINES_OF_BYTES:
        _print(
            console,
            f"       … {counted(step.size - pieces[LINES_OF_BYTES].offset, 'byte')}",
            4,
            "dim",
        )


def _show_summary(console: Console, run: Run) -> None:
    verdicts = counts(result.verdict for result in run.results)
    told = ", ".join(f"[{COLOURS[each]}]{count} {each}[/]" for each, count in verdicts.items())
    cases = {result.case for result in run.results}
    name = escape(ascii_only(run.implementation))
    console.print(
        f"{name}: {told or 'nothing'} "
        f"[dim]({counted(len(cases), 'case')}, {counted(len(run.results), 'result')}, "
        f"{run.seconds:.1f} s, seed {run.seed})[/]",
        highlight=False,
        soft_wrap=True,
    )
    if ids := differing(run):
        _print(console, f"{DIFFERS}: {', '.join(ids)}", 2)
    if outcome(run) != "as expected":
        _print(console, outcome(run), 2, "bold red")
