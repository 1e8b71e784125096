"""Play the server of a recording again, to live clients, and say where they depart.

Rule: what was recorded goes out as it was, but for what follows from what the live client sends:
numbers, tickets, names and positions. What the client sends is compared, not understood.

Layer: above `playing`, below `replay_command`.
"""

from __future__ import annotations

import selectors
import socket
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field, replace

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

from .conversation import Opened, Side
from .cutting import Frame
from .outgoing import Outgoing
from .playing import Line, Peer, Player
from .reading import Fault, named, read, told

__all__ = ["ServerReplay"]

ANY = 2**32 - 1
PONG = 0x07


@dataclass(slots=True)
class _Client(Peer):
    """What a client sent on one connection: its frames but Pongs."""

    requests: list[Frame] = field(default_factory=list)

    def said(self, frame: Frame) -> None:
        if frame.type != PONG:
            self.requests.append(frame)


class _Line(Line[_Client]):
    def __init__(self, number: int, sock: socket.socket, *, pipelined: bool) -> None:
        super().__init__(number, sock, _Client(), _Client())
        self.said = Outgoing(apart=pipelined)
        self.replies = 0
        self.compared = 0
        self.shift = 0
        """What is to be added to recorded positions."""
        self.names: dict[str, str] = {}
        """Live names by recorded ones."""


@dataclass(eq=False)
class ServerReplay(Player[_Line]):
    """Plays the server's side of a recording to the clients that connect to `listener`.

    Recorded connections are given to clients in their order. What the server said waits for as
    many requests as had passed before; `pipelined`, only for the request that it answers. What
    does not come is awaited for `timeout` seconds, the first client without an end. `tell` gets
    the live conversation, for a judge. The listener is closed at the end, too.
    """

    side = Side.SERVER
    listener: socket.socket

    def __post_init__(self) -> None:
        super().__post_init__()
        self._arrived: deque[socket.socket] = deque()
        self.listener.setblocking(False)
        self._selector.register(self.listener, selectors.EVENT_READ, self._accept)

    # ------------------------------------------------------------- items

    def _connected(self, opened: Opened) -> _Line | None:
        first = not self._lines
        while first and not self._arrived:
            self._hear(None)
        if not self._until(lambda: bool(self._arrived)):
            self._differ(opened.connection, "no client came for it")
            return None
        self.tell(Opened(self._now, opened.connection, "live", ""))
        return _Line(opened.connection, self._arrived.popleft(), pipelined=self.pipelined)

    def _is_ready(self, line: _Line) -> bool:
        return self._asked(line, len(line.recorded.requests))

    def _peer_ended(self, line: _Line) -> None:
        if not self._until(lambda: line.live.ended):
            self._differ(line.number, "the client does not end its stream, as was recorded")

    def _close_all(self) -> None:
        for sock in (self.listener, *self._arrived):
            sock.close()
        super()._close_all()

    # ------------------------------------------------------------- what goes out

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

    # ------------------------------------------------------------- what comes

    def _accept(self) -> None:
        with suppress(OSError):
            sock, _ = self.listener.accept()
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._arrived.append(sock)

    def _asked(self, line: _Line, count: int) -> bool:
        """Wait until the client has sent so many requests, each of the recorded kind."""
        live = line.live
        self._until(lambda: len(live.requests) >= count or live.ended)
        while line.compared < min(count, len(live.requests)):
            was, came = line.recorded.requests[line.compared], live.requests[line.compared]
            line.compared += 1
            if was.type != came.type:
                self._depart(line, f"{told(came)} came where {told(was)} was recorded")
                return False
        if len(live.requests) < count:
            was = line.recorded.requests[len(live.requests)]
            self._depart(line, f"no {named(was.type)} came where {told(was)} was recorded")
            return False
        return True

    def _compare(self, line: _Line) -> None:
        """What has come to the end, and was not asked for before."""
        recorded, live = line.recorded.requests, line.live.requests
        if not line.over and self._asked(line, len(recorded)) and len(live) > len(recorded):
            self._differ(line.number, f"{told(live[len(recorded)])} came, and was not recorded")
