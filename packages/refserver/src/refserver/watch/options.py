"""Options that the commands which watch have in common.

Rule: each option stands here once.

Layer: below the commands.
"""

from __future__ import annotations

from collections.abc import Callable

import click

from ..exit_codes import WATCH_COMMANDS, in_one_line
from .reports import Files

__all__ = ["EXIT_CODES", "files", "report_options"]

FILE = click.Path(dir_okay=False)
EXIT_CODES = in_one_line(WATCH_COMMANDS)
"""For the end of a command's help."""
Command = Callable[..., None]


def report_options(command: Command) -> Command:
    """The files that are made of conversations."""
    command = click.option(
        "--mask-content", is_flag=True, help="Write neither contents nor data into them."
    )(command)
    command = click.option(
        "--unmasked", is_flag=True, help="Write credentials and tickets into them as they are."
    )(command)
    for name, parameter, what in (
        ("--record", "record", "a recording; credentials and tickets are masked"),
        ("--pcap", "pcap", "a capture for Wireshark, masked like a recording"),
        ("--html", "as_html", "a page for a browser"),
        ("--junit", "as_junit", "JUnit XML"),
        ("--json", "as_json", "JSON (refserver/watch/judgement.schema.json)"),
    ):
        text = f"Write {what}."
        command = click.option(name, parameter, type=FILE, metavar="FILE", help=text)(command)
    return command


def files(**asked: str | bool | None) -> Files:
    """The files of `report_options`. Raises UsageError where nothing is to be masked or not."""
    made = Files(**asked)  # type: ignore[arg-type]
    if (made.unmasked or made.mask_content) and made.record is None and made.pcap is None:
        raise click.UsageError("--unmasked and --mask-content are for --record and --pcap")
    if made.unmasked and made.mask_content:
        raise click.UsageError("--unmasked or --mask-content, one of them")
    if made.unmasked:
        click.echo("refserver: what is written has credentials and tickets in it", err=True)
    return made
