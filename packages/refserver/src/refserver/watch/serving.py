"""What `refserver serve --watch` tells the judge: the connections of that server.

Rule: the server's process only tells; the judge has one of its own.

Layer: above `judging`; `cli` gives it to the server as its tap.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

import click

from ..arguments import spelled
from .conversation import Bytes, Ended, How, Opened, Side
from .judging import Judging
from .options import check_writable, page_socket
from .reports import Files
from .watcher import Wishes

__all__ = ["Serving", "watching"]


class Serving:
    """A tap of a server. All of its connections are connections to one run of one room.

    `shared` says that the room has other servers too: it may go on when this server has ended it.
    """

    def __init__(self, *, record: str | None, page: socket.socket | None, shared: bool) -> None:
        wishes = Wishes(
            source="serve",
            started=time.time(),
            files=Files(record=record),
            one_room=not shared,
        )
        self._judging = Judging(wishes, page)
        self._start = time.monotonic()
        self._connections = 0
        self._server = ""

    @property
    def _now(self) -> float:
        return time.monotonic() - self._start

    def listening(self, host: str, port: int, *, secure: bool) -> None:
        """The server listens."""
        self._server = spelled(host, port)
        self._judging.listening(host, port, secure=secure)

    def opened(self, client: str, *, secure: bool) -> int:
        """A session begins. Whether a client without TLS here has it elsewhere is not known."""
        self._connections += 1
        number = self._connections
        self._judging.take(
            Opened(self._now, number, client, self._server, secure=True if secure else None)
        )
        return number

    def received(self, number: int, data: bytes) -> None:
        """The client has sent these bytes."""
        self._judging.take(Bytes(self._now, number, Side.CLIENT, data))

    def sent(self, number: int, data: bytes) -> None:
        """The server sends these bytes."""
        self._judging.take(Bytes(self._now, number, Side.SERVER, data))

    def ended(self, number: int, *, of_client: bool, reset: bool) -> None:
        """The stream of one side has ended."""
        side = Side.CLIENT if of_client else Side.SERVER
        self._judging.take(Ended(self._now, number, side, How.RESET if reset else How.FIN))

    def finish(self) -> None:
        """The server has ended: let the judge say what came of it."""
        if self._server:
            self._judging.finish()
        else:  # it could not listen
            self._judging.give_up()


@contextmanager
def watching(record: str | None, page: int | None, *, shared: bool) -> Iterator[Serving]:
    """The tap for a server that runs in the block. Raises UsageError.

    There may be no page, and no file to be written.
    """
    check_writable(record)
    serving = Serving(record=record, page=page_socket(page), shared=shared)
    if page is not None:
        click.echo("refserver: the page shows what every member says", err=True)
    try:
        yield serving
    finally:
        serving.finish()
