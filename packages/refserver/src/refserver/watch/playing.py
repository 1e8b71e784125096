"""Play one side of a recording again: its connections, what it writes, and their ends.

Rule: a connection is played in the recorded order, until its peer does not do what is next. What
a side waits for, and what it rewrites, the side says.

Layer: above `outgoing`, below `replay` and `replay_server`.
"""

from __future__ import annotations

import selectors
import socket
import struct
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar, Generic, TypeVar

from ..readiness import NOT_NOW
from .conversation import Bytes, Ended, How, Item, Missing, Opened, Side
from .cutting import Cutter, Frame
from .outgoing import Outgoing

__all__ = ["Departure", "Line", "Peer", "Player"]

CHUNK = 1 << 16
BLOCKED = 0.01
"""Seconds to hear the peers before a write is tried again."""


@dataclass(frozen=True, slots=True)
class Departure:
    """Where the live conversation is not as the recorded one."""

    connection: int
    what: str

    def __str__(self) -> str:
        return f"connection {self.connection}: {self.what}"


@dataclass(slots=True)
class Peer(ABC):
    """What the other side sent on one connection, recorded or live."""

    cutter: Cutter = field(default_factory=Cutter)
    ended: bool = False

    def take(self, data: bytes) -> None:
        """Take bytes that it sent."""
        for frame in self.cutter.feed(data, 0.0):
            self.said(frame)

    @abstractmethod
    def said(self, frame: Frame) -> None:
        """It has sent this frame."""


P = TypeVar("P", bound=Peer)


class Line(Generic[P]):
    """One connection: what was recorded of the peer, and its live twin."""

    def __init__(self, number: int, sock: socket.socket, recorded: P, live: P) -> None:
        self.number = number
        self.sock = sock
        self.recorded, self.live = recorded, live
        self.said = Outgoing()
        self.over = False
        """Nothing more of it is played."""
        self.was_reset = False


L = TypeVar("L", bound=Line[Any])


@dataclass(kw_only=True, eq=False)
class Player(ABC, Generic[L]):
    """Plays `side` of a recording to live peers.

    What does not come is awaited for `timeout` seconds. With `pipelined` nothing is awaited before
    a write. `tell` gets the live conversation, for a judge.

    It has more than twenty methods: eight of them are what a side does in its own way.
    """

    side: ClassVar[Side]
    timeout: float = 5.0
    pipelined: bool = False
    tell: Callable[[Item], None] = lambda item: None
    clock: Callable[[], float] = time.monotonic

    def __post_init__(self) -> None:
        self.departures: list[Departure] = []
        self.played = 0
        """Connections that were played."""
        self._start = self.clock()
        self._lines: dict[int, L] = {}
        self._selector = selectors.DefaultSelector()

    def run(self, items: Iterable[Item]) -> None:
        """Play all of it, and compare; the connections are closed at the end."""
        try:
            for item in items:
                self._play(item)
            for line in self._lines.values():
                self._compare(line)
        finally:
            self._close_all()

    # ------------------------------------------------------------- what a side says

    @abstractmethod
    def _connected(self, opened: Opened) -> L | None:
        """The live twin of a recorded connection, if there is one."""

    @abstractmethod
    def _is_ready(self, line: L) -> bool:
        """Wait for what the peer had sent by now; False if the line is over."""

    def _may_end(self, line: L) -> bool:
        """Wait for what the peer had sent before this side's end; False if the line is over."""
        return self._is_ready(line)

    @abstractmethod
    def _rewritten(self, line: L, frame: Frame, whole: bytes) -> bytes:
        """What is sent instead of a recorded frame."""

    def _peer_came(self, line: L) -> None:
        """The live peer has sent something."""

    def _peer_missing(self, line: L) -> None:
        """Not all that the peer sent was recorded."""

    def _peer_ended(self, line: L) -> None:
        """The peer's end was recorded."""

    @abstractmethod
    def _compare(self, line: L) -> None:
        """All was played: depart from what is not as it was recorded."""

    # ------------------------------------------------------------- items

    def _play(self, item: Item) -> None:
        if isinstance(item, Opened):
            self._open(item)
            return
        line = self._lines.get(item.connection)
        if line is None or line.over:
            return
        own = item.side is self.side
        if isinstance(item, Bytes) and own:
            if self.pipelined or self._is_ready(line):
                self._say(line, item.data)
        elif isinstance(item, Bytes):
            line.recorded.take(item.data)
        elif isinstance(item, Missing) and own:
            self._depart(line, f"bytes of the {self.side}'s are missing: it ends here")
        elif isinstance(item, Missing):
            self._peer_missing(line)
        elif isinstance(item, Ended) and own:
            if self._may_end(line):
                self._end(line, item.how)
        elif isinstance(item, Ended):
            line.recorded.ended = True
            self._peer_ended(line)

    def _open(self, item: Opened) -> None:
        if not item.whole:
            self._differ(item.connection, "its beginning was not recorded: it is not played")
            return
        line = self._connected(item)
        if line is None:
            return
        self._lines[item.connection] = line
        self._selector.register(line.sock, selectors.EVENT_READ, partial(self._read, line))
        self.played += 1

    def _end(self, line: L, how: How) -> None:
        self._send(line, line.said.rest())
        self.tell(Ended(self._now, line.number, self.side, how))
        with suppress(OSError):
            if how is How.RESET:
                line.was_reset = True
                linger = struct.pack("ii", 1, 0)
                line.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                self._close(line)
            else:
                # An SSLSocket's own shutdown would give up TLS, and nothing could be read any more.
                socket.socket.shutdown(line.sock, socket.SHUT_WR)

    def _close(self, line: L) -> None:
        self._forget(line)
        line.sock.close()

    def _forget(self, line: L) -> None:
        """The live peer says nothing more."""
        line.live.ended = True
        with suppress(KeyError, ValueError):
            self._selector.unregister(line.sock)

    def _close_all(self) -> None:
        for line in self._lines.values():
            self._close(line)
        self._selector.close()

    @property
    def _now(self) -> float:
        return self.clock() - self._start

    def _differ(self, number: int, what: str) -> None:
        self.departures.append(Departure(number, what))

    def _depart(self, line: L, what: str) -> None:
        """It differs, and is not played any further."""
        self._differ(line.number, what)
        line.over = True

    # ------------------------------------------------------------- what goes out

    def _say(self, line: L, data: bytes) -> None:
        """Send a recorded write: its frames rewritten."""
        for write in line.said.writes(data, partial(self._rewritten, line)):
            self._send(line, write)

    def _send(self, line: L, data: bytes) -> None:
        if not data:
            return
        self.tell(Bytes(self._now, line.number, self.side, data))
        view = memoryview(data)
        deadline = self.clock() + self.timeout
        while view and self.clock() < deadline:
            try:
                view = view[line.sock.send(view) :]
            except NOT_NOW:
                self._hear(BLOCKED)
            except OSError:
                return  # the peer has ended it; what it sent before is compared

    # ------------------------------------------------------------- what comes

    def _hear(self, timeout: float | None) -> bool:
        """Take what comes in this time. Returns False if nothing came."""
        ready = self._selector.select(timeout) if self._selector.get_map() else []
        for key, _ in ready:
            key.data()
        return bool(ready)

    def _read(self, line: L) -> None:
        how = How.FIN
        try:
            data = line.sock.recv(CHUNK)
        except NOT_NOW:
            return
        except OSError:
            data, how = b"", How.RESET
        if data:
            self.tell(Bytes(self._now, line.number, self.side.other, data))
            line.live.take(data)
            self._peer_came(line)
        else:
            self.tell(Ended(self._now, line.number, self.side.other, how))
            self._forget(line)

    def _until(self, holds: Callable[[], bool]) -> bool:
        """Hear until it holds, or for `timeout` seconds. Returns whether it holds."""
        deadline = self.clock() + self.timeout
        while not holds():
            left = deadline - self.clock()
            if left <= 0:
                return False
            self._hear(left)
        return True
