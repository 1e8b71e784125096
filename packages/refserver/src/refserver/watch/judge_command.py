"""`refserver judge`: what is wrong in recordings and captures.

Rule: what is found goes to stdout and complaints go to stderr; the exit code says whether there
was a finding.

Layer: the top of `watch`, beside its other commands.
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
from .findings import Notes
from .judge import Judge
from .options import EXIT_CODES, report_options
from .options import files as written_files
from .reports import Reports, complaints, print_finding, told
from .sources import items_of

__all__ = ["judge_command"]

EXISTING = click.Path(exists=True, dir_okay=False, path_type=Path)


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
