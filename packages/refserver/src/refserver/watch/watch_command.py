"""`refserver watch`: each frame of a recording or a capture, and each finding below its frame.

Rule: it shows what a recording has, and writes no file.

Layer: the top of `watch`, beside its other commands.
"""

from __future__ import annotations

from pathlib import Path

import click

from ..arguments import Whole
from .findings import Finding, Notes
from .judge import Judge
from .judgement import finding_lines
from .reports import complaints
from .sources import items_of
from .timeline import Timeline

__all__ = ["watch_command"]

EXISTING = click.Path(exists=True, dir_okay=False, path_type=Path)


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
