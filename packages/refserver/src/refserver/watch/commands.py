"""The commands for files of conversations: `judge` and `watch`; and all of them together.

Rule: what is found goes to stdout and complaints go to stderr; the exit code says whether there
was a finding.

Layer: the top of `watch`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import click

from ..arguments import Whole
from .conversation import Item
from .findings import Finding, Notes
from .judge import Judge
from .judgement import finding_lines
from .options import EXIT_CODES, report_options
from .options import files as written_files
from .proxy_command import proxy_command
from .replay_command import replay_command
from .reports import Reports, complaints, print_finding, told
from .shrink_command import shrink_command
from .sources import items_of
from .timeline import Timeline

__all__ = ["register"]

EXISTING = click.Path(exists=True, dir_okay=False, path_type=Path)


def register(main: click.Group) -> None:
    """Add these commands."""
    for command in (
        proxy_command,
        judge_command,
        watch_command,
        replay_command,
        shrink_command,
    ):
        main.add_command(command)


@click.command("judge", epilog=EXIT_CODES)
@click.argument("files", nargs=-1, required=True, type=EXISTING, metavar="FILE...")
@click.option("--port", type=Whole(1, 65_535), help="The server's port in a capture.")
@click.option(
    "--keylog",
    type=EXISTING,
    metavar="FILE",
    help="Keys of a TLS capture, as SSLKEYLOGFILE has them; needs --port and tshark.",
)
@click.option(
    "--one-room",
    is_flag=True,
    help="Treat all connections as one run of one room, even if they do not overlap in time.",
)
@report_options
def judge_command(
    files: tuple[Path, ...],
    port: int | None,
    keylog: Path | None,
    one_room: bool,
    **asked: str | bool | None,
) -> None:
    """Report which side broke which rule, at which byte.

    FILE is a recording of `refserver proxy`, or a capture of tcpdump or Wireshark (pcap,
    pcapng). Only what is certainly wrong is a finding. `refserver docs watching` says more.

    \b
    Examples:
      refserver judge talk.jsonl
      tcpdump -i lo -w talk.pcap port 3000; refserver judge talk.pcap --html talk.html
    """
    written = [path for path in asked.values() if isinstance(path, str)]
    for path in files:
        if any(os.path.exists(each) and path.samefile(each) for each in written):
            raise click.UsageError(f"{path} would be written over while it is read")
    judge = Judge(Notes(print_finding), one_room=one_room)
    reports = Reports(written_files(**asked), started=0.0)
    with complaints():
        for item in items_in(files, port, keylog):
            reports.take(item)
            judge.take(item)
    judge.close()
    reports.write(judge, [str(path) for path in files])
    sys.exit(told(judge))


def items_in(files: Iterable[Path], port: int | None, keylog: Path | None) -> Iterator[Item]:
    """The items of all files; no connection has the number of one of another file."""
    before = highest = 0
    for path in files:
        for item in items_of(path, port=port, keylog=keylog):
            number = before + item.connection
            highest = max(highest, number)
            yield replace(item, connection=number) if before else item
        before = highest


@click.command("watch")
@click.argument("file", type=EXISTING)
@click.option("--port", type=Whole(1, 65_535), help="The server's port in a capture.")
@click.option(
    "--keylog",
    type=EXISTING,
    metavar="FILE",
    help="Keys of a TLS capture, as SSLKEYLOGFILE has them; needs --port and tshark.",
)
@click.option("--connection", "only", type=Whole(1), help="Show this connection only.")
def watch_command(file: Path, port: int | None, keylog: Path | None, only: int | None) -> None:
    """Print each frame of a recording, and each finding below its frame.

    FILE is a recording of `refserver proxy`, or a capture. Each line has the time in seconds,
    the connection, > for the client and < for the server. Credentials and tickets are not shown.

    \b
    Example:
      refserver watch talk.jsonl --connection 1
    """
    timeline = Timeline()
    judge = Judge(Notes(lambda finding: print_inline(finding, only)))
    with complaints():
        for item in items_of(file, port=port, keylog=keylog):
            if only in (None, item.connection):
                for row in timeline.take(item):
                    click.echo(str(row))
            judge.take(item)
    judge.close()


def print_inline(finding: Finding, only: int | None) -> None:
    """Print a finding below the frame that it is about."""
    if only in (None, finding.connection):
        for line in finding_lines(finding):
            click.echo(f"{'':10}  !    {line}")
