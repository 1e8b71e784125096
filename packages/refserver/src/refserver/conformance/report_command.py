"""`refserver report`: what is made of JSON reports.

Rule: it runs no case.

Layer: the top of the kit, beside its other commands.
"""

from __future__ import annotations

import dataclasses
import sys
from collections import Counter
from pathlib import Path

import click

from ..exit_codes import Exit
from ..output import Console
from .complaints import leave
from .model import Report, Run
from .options import EXISTING, report_options, write_reports
from .reports import console as on_console
from .reports import machine
from .suite import exit_code

__all__ = ["report_group"]


@click.group("report", no_args_is_help=False)
def report_group() -> None:
    """Work with JSON reports."""


@report_group.command("merge")
@click.argument("reports", nargs=-1, required=True, type=EXISTING, metavar="REPORT.json...")
@report_options
@click.option("-v", "--verbose", is_flag=True, help="Print passed cases too.")
def merge_command(reports: tuple[Path, ...], verbose: bool, **files: Path | None) -> None:
    """Merge several reports into one, with the implementations side by side.

    \b
    Example:
      refserver report merge mine.json reference.json --html both.html
    """
    merged: Report | None = None
    for path in reports:
        try:
            report = machine.read(path)
        except ValueError as error:
            leave(Exit.USAGE, f"{path}: {error}")
        merged = report if merged is None else merged.merged(report)
    assert merged is not None, "click asks for one at least"
    merged = numbered(merged)
    write_reports(merged, **files)
    on_console.show(Console(), merged, verbose=verbose)
    sys.exit(exit_code(merged.results))


def numbered(report: Report) -> Report:
    """The same report; of several runs with one name the second and later have a number."""
    names: Counter[str] = Counter()
    runs: list[Run] = []
    for run in report.runs:
        names[run.implementation] += 1
        number = names[run.implementation]
        name = run.implementation + (f" ({number})" if number > 1 else "")
        runs.append(dataclasses.replace(run, implementation=name))
    return dataclasses.replace(report, runs=tuple(runs))
