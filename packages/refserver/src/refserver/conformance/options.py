"""What both commands that test take and do: which cases, how they are cut, what is written.

Rule: results go to stdout, complaints to stderr, and the exit code never lies.

Layer: below `commands` and `peer.commands`.
"""

from __future__ import annotations

import functools
import secrets
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, NoReturn

import click
from click.core import ParameterSource

from ..arguments import Number, Whole, completing
from ..exit_codes import TEST_COMMANDS, Exit, in_one_line
from .complaints import leave
from .interrupts import held
from .model import Case, Level, Report, Result
from .segmentation import Segmentation
from .suite import INTERRUPTED, Plan, UsageError, exit_code, listed_cases, select

__all__ = [
    "EXISTING",
    "EXIT_CODES",
    "Aside",
    "Asked",
    "aside",
    "ids_argument",
    "list_cases",
    "repeated",
    "report_options",
    "suite_options",
    "write_reports",
]

FILE = click.Path(dir_okay=False, path_type=Path)
EXISTING = click.Path(exists=True, dir_okay=False, path_type=Path)
Command = Callable[..., None]
Option = Callable[[Command], Command]


EXIT_CODES = in_one_line(TEST_COMMANDS)
"""For the end of a command's help."""


class Aside(click.Option):
    """An option on which no verdict hangs, or that each rerun line has of its own."""


aside = functools.partial(click.option, cls=Aside)


def repeated(ctx: click.Context) -> tuple[str, ...]:
    """The words of a command line that are in every rerun line: all but what is aside."""
    return tuple(
        word
        for option in ctx.command.params
        if isinstance(option, click.Option) and not isinstance(option, Aside)
        for value in _given(ctx, option)
        for word in (option.opts[0], str(value))[: 1 if option.is_flag else 2]
    )


def _given(ctx: click.Context, option: click.Option) -> Sequence[object]:
    """The values that were given, none where the default is meant."""
    assert option.name is not None, "click has named it"
    if ctx.get_parameter_source(option.name) is ParameterSource.DEFAULT:
        return ()
    value = ctx.params[option.name]
    return value if option.multiple else (value,)


def report_options(command: Command) -> Command:
    """The options that say where a report is written to."""
    for name, text in (
        ("markdown", "Write a summary in Markdown, for the page of a CI."),
        ("html", "Write one self-contained HTML page."),
        ("junit", "Write JUnit XML."),
        ("json", "Write all results as JSON, for report merge."),
        ("badge", "Write a badge for a README, as SVG."),
    ):
        command = aside(f"--{name}", f"{name}_file", type=FILE, metavar="FILE", help=text)(command)
    return command


def write_reports(report: Report, **files: Path | None) -> None:
    if not any(files.values()):
        return
    from .reports import badge, html, junit, machine, markdown

    writers = {
        "json": machine,
        "junit": junit,
        "html": html,
        "markdown": markdown,
        "badge": badge,
    }
    for name, writer in writers.items():
        path = files[f"{name}_file"]
        if path is not None:
            try:
                writer.write(report, path)
            except OSError as error:
                leave(Exit.USAGE, f"cannot write {path}: {error.strerror}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the options say for servers and for clients, and the cases to choose from.

    It has more than fifteen attributes: one for each option.
    """

    catalogue: Sequence[Case]
    cuts: str
    seed: int | None
    level: str | None
    sections: tuple[str, ...]
    listing: bool
    timeout: float
    expected_failures: Path | None
    known_flaky: Path | None
    name: str | None
    verbose: bool
    json_file: Path | None
    junit_file: Path | None
    html_file: Path | None
    markdown_file: Path | None
    badge_file: Path | None
    again: tuple[str, ...]
    """The words that a command line must repeat to run a case again."""

    def some_seed(self) -> int:
        """The seed that is asked for, or any."""
        return secrets.randbelow(2**32) if self.seed is None else self.seed

    def chosen(self, ids: Sequence[str]) -> list[Case]:
        """The cases that are asked for. Raises UsageError."""
        level = None if self.level is None else Level(self.level.upper())
        return select(self.catalogue, ids, level=level, sections=self.sections)

    def plan(self, ids: Sequence[str], capabilities: frozenset[str]) -> Plan:
        """What is to be run. Raises UsageError."""
        return Plan(
            cases=self.chosen(ids),
            segmentations=list(Segmentation) if self.cuts == "all" else [Segmentation(self.cuts)],
            capabilities=capabilities,
            expected=self._listed("expected failures", self.expected_failures),
            flaky=self._listed("known flaky", self.known_flaky),
        )

    def _listed(self, what: str, path: Path | None) -> frozenset[str]:
        """The entries of a file that lists cases. Raises UsageError."""
        if path is None:
            return frozenset()
        try:
            text = path.read_text("utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", "is not UTF-8")
            raise UsageError(f"{what}: cannot read {path}: {reason}") from None
        return listed_cases(what, text, self.catalogue)

    def run(
        self,
        plan: Plan,
        test: Callable[[Callable[[Result], None]], Report],
        advice: Callable[[Report], str] = lambda report: "",
    ) -> NoReturn:
        """Run the test, tell and write what came of it, and leave with its exit code."""
        from ..output import Console
        from .reports import console as on_console

        console = Console()
        with on_console.progress(console, len(list(plan))) as show:
            report = test(show)
        # The files first: a reader of the beginning of stdout ends us while we tell.
        with held():
            write_reports(
                report,
                json_file=self.json_file,
                junit_file=self.junit_file,
                html_file=self.html_file,
                markdown_file=self.markdown_file,
                badge_file=self.badge_file,
            )
        on_console.show(console, report, verbose=self.verbose)
        if said := advice(report):
            click.echo(f"refserver: {said}", err=True)
        interrupted = any(result.reason == INTERRUPTED for result in report.results)
        sys.exit(Exit.INTERRUPTED if interrupted else exit_code(report.results))


def ids_argument(name: str, catalogue: Sequence[Case], metavar: str) -> Option:
    """Words that are ids, as a shell completes them."""
    known = completing(lambda: (case.id for case in catalogue))
    return click.argument(name, nargs=-1, metavar=metavar, shell_complete=known)


def suite_options(catalogue: Sequence[Case]) -> Option:
    """The options of a command that tests these cases; it gets them as one `asked`."""
    return functools.partial(_with_options, catalogue)


def _with_options(catalogue: Sequence[Case], command: Command) -> Command:
    names = {each.name for each in fields(Asked)} - {"catalogue", "again"}

    @functools.wraps(command)
    def gathered(**options: Any) -> None:
        told = {name: options.pop(name) for name in names}
        again = repeated(click.get_current_context())
        command(asked=Asked(**told, catalogue=catalogue, again=again), **options)

    options: list[Option] = [
        aside(
            "--segmentation",
            "cuts",
            type=click.Choice(["all", *map(str, Segmentation)]),
            default="all",
            show_default=True,
            help="How the kit cuts the bytes that it sends into chunks.",
        ),
        aside("--seed", type=Whole(0), help="Seed of the random chunks; each run prints its seed."),
        aside(
            "--level", type=click.Choice(["must", "should"]), help="Run only cases of this level."
        ),
        aside(
            "--section",
            "sections",
            multiple=True,
            metavar="NAME",
            shell_complete=completing(lambda: dict.fromkeys(case.section for case in catalogue)),
            help="Run only this section of --list; can be repeated.",
        ),
        aside("--list", "listing", is_flag=True, help="List the cases instead of running them."),
        click.option(
            "--timeout",
            type=Number(0.05),
            default=2.0,
            show_default=True,
            metavar="SECONDS",
            help="Time to wait for each expected frame.",
        ),
        click.option(
            "--expected-failures",
            type=EXISTING,
            metavar="FILE",
            help="File of ids that are known to fail, one in each line. If one passes, the run "
            "fails. * matches any text: FRAME-*, or */bytewise for all cases cut bytewise.",
        ),
        click.option(
            "--known-flaky",
            type=EXISTING,
            metavar="FILE",
            help="File of ids whose failure does not fail the run, one in each line.",
        ),
        aside("--name", help="Name of the implementation in the reports."),
        report_options,
        aside("-v", "--verbose", is_flag=True, help="Print passed cases too."),
    ]
    whole: Command = gathered
    for option in reversed(options):
        whole = option(whole)
    return whole


def list_cases(cases: Sequence[Case]) -> None:
    """A line for each case, with its section in brackets."""
    for case in cases:
        click.echo(f"{case.id}  [{case.section}] {case.title} ({', '.join(case.proves)})")
