"""The process that judges what a proxy forwards or a server with `--watch` sends and receives.

Rule: it reads a feed from stdin to its end, and only then ends: the process that feeds it handles
Ctrl-C and SIGTERM.

Layer: above `feed` and `reports`; `judging` starts it: `python -m refserver.watch.watcher OPTIONS`.
"""

from __future__ import annotations

import json
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from secrets import token_bytes
from typing import IO, TYPE_CHECKING

import click

from ..exit_codes import Exit
from .conversation import Did, Item
from .feed import items_fed
from .findings import Finding, Notes
from .judge import Judge
from .reports import Files, Reports, print_finding, told
from .timeline import Timeline

if TYPE_CHECKING:
    from .board import Board

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
    page: int = -1
    """The descriptor of the socket at which the live page listens; -1 without a page."""
    control: int = -1
    """With a page: the descriptor of the socket to the process that forwards."""
    rules: list[str] | None = None
    """With a page: how the proxy disturbs; None where it cannot."""

    def to_argument(self) -> str:
        """One word for a command line."""
        return json.dumps(asdict(self))

    @classmethod
    def from_argument(cls, word: str) -> Wishes:
        """The same again."""
        said = json.loads(word)
        return cls(**{**said, "files": Files(**said["files"])})


class Watcher:
    """Judges, records and prints what passes; `board`, if there is one, shows it."""

    def __init__(self, wishes: Wishes) -> None:
        notes = Notes(self._found)
        self.board: Board | None = None
        if wishes.page >= 0:
            from .board import Board

            files = wishes.files
            self.board = Board(
                notes, token_bytes(32), contents=not files.mask_content, secrets=files.unmasked
            )
        self._source = wishes.source
        on_frame = None if self.board is None else self.board.frame
        self._judge = Judge(notes, one_room=wishes.one_room, on_frame=on_frame)
        self._reports = Reports(wishes.files, started=wishes.started)
        self._timeline = Timeline() if wishes.frames else None

    def _found(self, finding: Finding) -> None:
        print_finding(finding)
        if self.board is not None:
            self.board.found(finding)

    def take(self, item: Item) -> None:
        """Something has passed."""
        if self._timeline is not None:
            for row in self._timeline.take(item):
                click.echo(str(row))
        elif isinstance(item, Did):
            click.echo(f"{item.at:10.3f}  {item.connection:>4}   the proxy {item.what}")
        self._reports.take(item)
        if self.board is None:
            self._judge.take(item)
            return
        with self.board.lock:
            self.board.take(item)
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
    wishes = Wishes.from_argument(arguments[0])
    watcher = Watcher(wishes)
    with shown(wishes, watcher.board):
        for item in items_fed(feed):
            watcher.take(item)
    return watcher.close()


@contextmanager
def shown(wishes: Wishes, board: Board | None) -> Iterator[None]:
    """Show the board on the page while the block runs, where there is a page."""
    if board is None:
        yield
        return
    from .live import page  # its libraries are an extra

    with (
        socket.socket(fileno=wishes.page) as listening,
        socket.socket(fileno=wishes.control) as control,
        page(
            board,
            listening,
            control,
            source=wishes.source,
            started=wishes.started,
            rules=wishes.rules,
            masked=not wishes.files.unmasked,
            ready=lambda link: click.echo(f"page: {link}"),
        ),
    ):
        yield


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:], sys.stdin.buffer))
    except click.ClickException as error:
        click.echo(f"refserver: {error.format_message()}", err=True)
        sys.exit(Exit.USAGE)
