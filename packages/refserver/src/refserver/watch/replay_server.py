"""Play the server of a recording again, to live clients, and say where they depart.

Rule: what was recorded goes out as it was, but for what follows from what the live client sends:
numbers, tickets, names and positions. What the client sends is compared, not understood.

Layer: beside `replay`, below `replay_command`.
"""

from __future__ import annotations

import selectors
import socket
import struct
import time
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial

from eventcodec import (
    Ack,
    ApplicationEvent,
    Error,
    Event,
    Joined,
    Left,
    Login,
    Message,
    Pong,
    Welcome,
    encode,
)

from .conversation import Bytes, Ended, How, Item, Missing, Opened, Side
from .cutting import Cutter, Frame
from .outgoing import Outgoing
from .reading import Fault, named, read, told
from .replay import Departure

__all__ = ["ServerReplay"]

ANY = 2**32 - 1
PONG = 0x07


@dataclass(slots=True)
class _Asked:
    """What a client sent on one connection, recorded or live: its frames but Pongs."""

    cutter: Cutter = field(default_factory=Cutter)
    requests: list[Frame] = field(default_factory=list)
    ended: bool = False

    def take(self, data: bytes) -> None:
        self.requests += (each for each in self.cutter.feed(data, 0.0) if each.type != PONG)


class _Line:
    """One connection: what was recorded of its client, and the live one."""

    def __init__(self, number: int, sock: socket.socket, *, pipelined: bool) -> None:
        self.number = number
        self.sock = sock
        self.recorded, self.live = _Asked(), _Asked()
        self.said = Outgoing(apart=pipelined)
        self.replies = 0
        self.compared = 0
        self.shift = 0
        """What is to be added to recorded positions."""
        self.names: dict[str, str] = {}
        """Live names by recorded ones."""
        self.over = False


class ServerReplay:
    """Plays the server's side of a recording to the clients that connect to `listener`.

    Recorded connections are given to clients in their order. What the server said waits for as
    many requests as had passed before; `pipelined`, only for the request that it answers. What
    does not come is awaited for `timeout` seconds, the first client without an end. `tell` gets
    the live conversation, for a judge.
    """

    def __init__(
        self,
        listener: socket.socket,
        *,
        timeout: float = 5.0,
        pipelined: bool = False,
        tell: Callable[[Item], None] = lambda item: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.departures: list[Departure] = []
        self.played = 0
        """Connections that were played."""
        self._listener = listener
        self._timeout = timeout
        self._pipelined = pipelined
        self._tell = tell
        self._clock = clock
        self._start = clock()
        self._lines: dict[int, _Line] = {}
        self._arrived: deque[socket.socket] = deque()
        self._selector = selectors.DefaultSelector()
        listener.setblocking(False)
        self._selector.register(listener, selectors.EVENT_READ, None)

    def run(self, items: Iterable[Item]) -> None:
        """Play all of it, and compare; the connections are closed at the end."""
        try:
            for item in items:
                self._play(item)
            for line in self._lines.values():
                self._compare(line)
        finally:
            for line in self._lines.values():
                line.sock.close()
            for sock in self._arrived:
                sock.close()
            self._selector.close()

    @property
    def _now(self) -> float:
        return self._clock() - self._start

    def _depart(self, number: int, what: str) -> None:
        self.departures.append(Departure(number, what))

    # ------------------------------------------------------------- items

    def _play(self, item: Item) -> None:
        if isinstance(item, Opened):
            self._open(item)
            return
        line = self._lines.get(item.connection)
        if line is None or line.over:
            return
        if isinstance(item, Bytes) and item.side is Side.CLIENT:
            line.recorded.take(item.data)
        elif isinstance(item, Bytes):
            if self._pipelined or self._asked(line, len(line.recorded.requests)):
                self._say(line, item.data)
        elif isinstance(item, Missing) and item.side is Side.SERVER:
            self._depart(line.number, "bytes of the server's are missing: it ends here")
            line.over = True
        elif isinstance(item, Ended) and item.side is Side.CLIENT:
            line.recorded.ended = True
            if not self._until(lambda: line.live.ended):
                self._depart(line.number, "the client does not end its stream, as was recorded")
        elif isinstance(item, Ended):
            self._end(line, item.how)

    def _open(self, item: Opened) -> None:
        if not item.whole:
            self._depart(item.connection, "its beginning was not recorded: it is not played")
            return
        first = not self._lines
        while first and not self._arrived:
            self._hear(None)
        if not self._until(lambda: bool(self._arrived)):
            self._depart(item.connection, "no client came for it")
            return
        sock = self._arrived.popleft()
        line = self._lines[item.connection] = _Line(
            item.connection, sock, pipelined=self._pipelined
        )
        self._tell(Opened(self._now, item.connection, "live", ""))
        self._selector.register(sock, selectors.EVENT_READ, line)
        self.played += 1

    def _end(self, line: _Line, how: How) -> None:
        if not self._asked(line, len(line.recorded.requests)):
            return
        self._send(line, line.said.rest())
        self._tell(Ended(self._now, line.number, Side.SERVER, how))
        with suppress(OSError):
            if how is How.RESET:
                linger = struct.pack("ii", 1, 0)
                line.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                self._forget(line)
                line.sock.close()
            else:
                line.sock.shutdown(socket.SHUT_WR)

    # ------------------------------------------------------------- what goes out

    def _say(self, line: _Line, data: bytes) -> None:
        for write in line.said.writes(data, partial(self._rewritten, line)):
            self._send(line, write)

    def _rewritten(self, line: _Line, frame: Frame, whole: bytes) -> bytes:
        if line.over:
            return b""
        event = read(frame, ANY, unnumbered=True)
        if event is None or isinstance(event, Fault):
            return whole
        if isinstance(event, Ack | Pong | Welcome) or (isinstance(event, Error) and event.seq):
            return self._reply(line, event)
        name = getattr(event, "user", "") or getattr(event, "sender", "")
        name = line.names.get(name, name)
        if isinstance(event, Joined | Left):
            return encode(replace(event, user=name, seq=event.seq + line.shift))
        if isinstance(event, Message):
            return encode(replace(event, sender=name, seq=event.seq + line.shift))
        if isinstance(event, ApplicationEvent):
            seq = event.seq + line.shift
            return encode(ApplicationEvent(type=event.type, sender=name, data=event.data, seq=seq))
        return whole

    def _reply(self, line: _Line, event: Event) -> bytes:
        """A reply under the number of the live request; a wrong number stays as wrong."""
        at = line.replies
        line.replies += 1
        if at >= len(line.recorded.requests):
            return encode(event)  # nothing was asked: that is how it was
        if not self._asked(line, at + 1):
            return b""
        asked, live = line.recorded.requests[at], line.live.requests[at]
        seq = event.seq + (live.seq - asked.seq if event.seq == asked.seq else 0)
        if isinstance(event, Welcome):
            event = self._welcome(line, event, asked, live)
        elif isinstance(event, Ack) and event.position:
            event = replace(event, position=event.position + line.shift)
        return encode(replace(event, seq=seq))

    def _welcome(self, line: _Line, event: Welcome, asked: Frame, live: Frame) -> Welcome:
        was = read(asked, ANY, unnumbered=False)
        now = read(live, ANY, unnumbered=False)
        if not isinstance(was, Login) or not isinstance(now, Login):
            return event
        user, ticket, position = event.user, event.ticket, event.position
        if was.user == user and now.user:
            user = line.names[was.user] = now.user
        if was.ticket and ticket == was.ticket:
            ticket = now.ticket
        if was.ticket and position == was.position:
            position = now.position
        line.shift = position - event.position
        return replace(event, user=user, ticket=ticket, position=position)

    def _send(self, line: _Line, data: bytes) -> None:
        if not data:
            return
        self._tell(Bytes(self._now, line.number, Side.SERVER, data))
        view = memoryview(data)
        deadline = self._clock() + self._timeout
        while view and self._clock() < deadline:
            try:
                view = view[line.sock.send(view) :]
            except BlockingIOError:
                self._hear(0.01)
            except OSError:
                return  # the client has ended it; what it sent before is compared

    # ------------------------------------------------------------- what comes

    def _hear(self, timeout: float | None) -> None:
        for key, _ in self._selector.select(timeout):
            line: _Line | None = key.data
            if line is None:
                self._accept()
                continue
            try:
                data = line.sock.recv(1 << 16)
                how = How.FIN
            except BlockingIOError:
                continue
            except OSError:
                data, how = b"", How.RESET
            if data:
                self._tell(Bytes(self._now, line.number, Side.CLIENT, data))
                line.live.take(data)
                continue
            self._forget(line)
            line.live.ended = True
            self._tell(Ended(self._now, line.number, Side.CLIENT, how))

    def _accept(self) -> None:
        with suppress(OSError):
            sock, _ = self._listener.accept()
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._arrived.append(sock)

    def _forget(self, line: _Line) -> None:
        with suppress(KeyError, ValueError):
            self._selector.unregister(line.sock)

    def _until(self, holds: Callable[[], bool]) -> bool:
        """Hear until it holds, or for `timeout` seconds. Returns whether it holds."""
        deadline = self._clock() + self._timeout
        while not holds():
            left = deadline - self._clock()
            if left <= 0:
                return False
            self._hear(left)
        return True

    def _asked(self, line: _Line, count: int) -> bool:
        """Wait until the client has sent so many requests, each of the recorded kind."""
        live = line.live
        self._until(lambda: len(live.requests) >= count or live.ended)
        while line.compared < min(count, len(live.requests)):
            was, came = line.recorded.requests[line.compared], live.requests[line.compared]
            line.compared += 1
            if was.type != came.type:
                self._depart(line.number, f"{told(came)} came where {told(was)} was recorded")
                line.over = True
                return False
        if len(live.requests) < count:
            was = line.recorded.requests[len(live.requests)]
            self._depart(line.number, f"no {named(was.type)} came where {told(was)} was recorded")
            line.over = True
            return False
        return True

    def _compare(self, line: _Line) -> None:
        """What has come to the end, and was not asked for before."""
        recorded, live = line.recorded.requests, line.live.requests
        if not line.over and self._asked(line, len(recorded)) and len(live) > len(recorded):
            self._depart(line.number, f"{told(live[len(recorded)])} came, and was not recorded")
