"""The process that judges what a proxy forwards: `python -m refserver.watch.watcher OPTIONS`.

Rule: it reads a feed from stdin to its end, and only then ends: Ctrl-C and SIGTERM are the
proxy's affair.

Layer: above `feed` and `reports`; `proxy_command` starts it.
"""

from __future__ import annotations

import json
import signal
import sys
from dataclasses import asdict, dataclass
from typing import IO

import click

from ..exit_codes import Exit
from .conversation import Did, Item
from .feed import items_fed
from .findings import Notes
from .judge import Judge
from .reports import Files, Reports, print_finding, told
from .timeline import Timeline

__all__ = ["Wishes", "main"]


@dataclass(frozen=True, slots=True)
class Wishes:
    """What is to be made of the conversations."""

    source: str
    started: float
    """Time 0, in seconds since 1970."""
    files: Files
    frames: bool = False
    one_room: bool = False

    def to_argument(self) -> str:
        """One word for a command line."""
        return json.dumps(asdict(self))

    @classmethod
    def from_argument(cls, word: str) -> Wishes:
        """The same again."""
        said = json.loads(word)
        return cls(**{**said, "files": Files(**said["files"])})


class Watcher:
    """Judges, records and prints what passes."""

    def __init__(self, wishes: Wishes) -> None:
        self._source = wishes.source
        self._judge = Judge(Notes(print_finding), one_room=wishes.one_room)
        self._reports = Reports(wishes.files, started=wishes.started)
        self._timeline = Timeline() if wishes.frames else None

    def take(self, item: Item) -> None:
        """Something has passed."""
        if self._timeline is not None:
            for row in self._timeline.take(item):
                click.echo(str(row))
        elif isinstance(item, Did):
            click.echo(f"{item.at:10.3f}  {item.connection:>4}   the proxy {item.what}")
        self._reports.take(item)
        self._judge.take(item)

    def close(self) -> Exit:
        """Nothing more passes: write what was asked for. Returns the exit code."""
        self._judge.close()
        self._reports.write(self._judge, [self._source])
        return told(self._judge)


def main(arguments: list[str], feed: IO[bytes]) -> Exit:
    """Watch a feed to its end."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    watcher = Watcher(Wishes.from_argument(arguments[0]))
    for item in items_fed(feed):
        watcher.take(item)
    return watcher.close()


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:], sys.stdin.buffer))
    except click.ClickException as error:
        click.echo(f"refserver: {error.format_message()}", err=True)
        sys.exit(Exit.USAGE)
