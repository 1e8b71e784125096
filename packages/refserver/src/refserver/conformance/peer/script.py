"""The scripted server: one listening socket, and what it says and awaits as it is told.

Rule: nothing here sleeps; what must come is awaited until a deadline. Who wrote the
client, and where it runs, is no matter of these classes.

Layer: above `attempt`, below `peer`.
"""

from __future__ import annotations

import socket
import time
from random import Random

from ...readiness import READ, ready
from .. import raw
from ..annotate import named, summary
from ..attempt import CONNECTING, Attempt, Setting
from ..connection import Connection
from ..model import Direction
from ..raw import Frame
from ..segmentation import Segmentation
from ..streams import Stream, Wrap

__all__ = ["HIGH_TICKET", "OTHER_TICKET", "PLACE", "TICKET", "Accepted", "Script"]

PLACE = 40
"""`Welcome.position`: neither the first nor the last of anything."""
TICKET = 0x7EA5_E1DE_C0DE_CAFE
OTHER_TICKET = 0x5ECD_7EA5_E1DE_CAFE
HIGH_TICKET = 0xFEED_7EA5_E1DE_CAFD
"""No signed number of 64 bits, and no floating-point number."""
TICKETS = (TICKET, OTHER_TICKET, HIGH_TICKET)
START = 10.0
"""Seconds that a program may take to start, or another that tests it to come to it."""
QUIET = 0.4
"""Seconds of silence, where silence itself is what is looked at."""


class Accepted(Connection):
    """The server's end of the client's connection."""

    def __init__(self, script: Script, who: str, stream: Stream) -> None:
        super().__init__(
            who,
            stream,
            transcript=script,
            names=script.names,
            cut=script.cut,
            timeout=script.timeout,
        )
        self._script = script

    def wait(self, deadline: float, events: int) -> bool:
        if events & READ and self.stream.has_data:
            return True
        fd, interest = self.stream.fileno(), self.stream.interest(events)
        return self._script.wait(deadline, fd, interest)


class Script(Attempt):
    """A server that only knows its orders, and the next position.

    It has more than twenty methods: one for each step that a case can take.
    """

    def __init__(
        self, setting: Setting, segmentation: Segmentation = Segmentation.WHOLE, seed: str = ""
    ) -> None:
        super().__init__(setting, segmentation, Random(seed), "")
        self.hide(*(each.to_bytes(8, "big") for each in TICKETS))
        self.listener = socket.create_server(setting.address)
        self.address: tuple[str, int] = self.listener.getsockname()[:2]
        self.place = PLACE
        """The last position that was given."""
        self._accepted: list[Accepted] = []

    @property
    def connection(self) -> Accepted:
        """The client's newest connection."""
        return self._accepted[-1]

    def close(self) -> None:
        """End everything at once."""
        for connection in self._accepted:
            connection.stream.close()
        self.listener.close()

    def wait(self, deadline: float, fd: int, events: int) -> bool:
        """Wait until `fd` is ready; False at the deadline."""
        return bool(ready({fd: events}, max(0.0, deadline - time.monotonic())))

    def why_not(self, otherwise: str) -> str:
        """What is known of a client that does not do what it is to do."""
        return otherwise

    def deadline(self) -> float:
        """Until when something must come that is awaited from now on."""
        return time.monotonic() + self.timeout

    def soon(self) -> float:
        """A deadline for what may come, and most often does not."""
        return time.monotonic() + min(QUIET, self.timeout)

    # ------------------------------------------------------------- the client comes in

    def accept(self, wrap: Wrap | None = None) -> None:
        """Await a connection; from now on it is the one that is spoken on. `wrap` replaces that of
        the setting."""
        timeout = self.timeout if self._accepted else max(START, self.timeout)
        if not self.wait(time.monotonic() + timeout, self.listener.fileno(), READ):
            raise self.fail("the client connects", self.why_not("nobody came in time"))
        self._take_in(wrap)

    def turn_away(self, seconds: float, most: int) -> int:
        """Close each connection, for so long or so often; returns how often that was."""
        deadline = time.monotonic() + seconds
        count = 0
        while count < most and self.wait(deadline, self.listener.fileno(), READ):
            if time.monotonic() > deadline:
                break
            self._take_in()
            self.connection.stream.close()
            count += 1
        return count

    def _take_in(self, wrap: Wrap | None = None) -> None:
        sock, _ = self.listener.accept()
        sock.settimeout(max(self.timeout, CONNECTING))  # a handshake is part of it
        try:
            stream = (wrap or self.setting.wrap or Stream)(sock)
        except OSError as error:
            sock.close()
            raise self.fail("a handshake of WebSocket", f"{error.strerror or error}") from error
        number = len(self._accepted) + 1
        who = "client" if number == 1 else f"client {number}"
        self._accepted.append(Accepted(self, who, stream))
        self.step(self.connection.who, Direction.NOTE, note="connected")

    def login(self) -> Frame:
        """Await a connection and the Login on it."""
        self.accept()
        return self.asked(raw.LOGIN)

    def welcome(
        self,
        *,
        user: str = "ann",
        position: int = PLACE,
        max_frame: int = 65_536,
        heartbeat: int = 0,
    ) -> Frame:
        """Await a connection and its Login, and let it in; returns the Welcome."""
        frame = self.welcome_to(
            self.login(), user=user, position=position, max_frame=max_frame, heartbeat=heartbeat
        )
        self.tell(frame)
        return frame

    def welcome_to(
        self,
        login: Frame,
        *,
        user: str = "ann",
        ticket: int = TICKET,
        position: int = PLACE,
        max_frame: int = 65_536,
        heartbeat: int = 0,
    ) -> Frame:
        """The Welcome to a Login, not sent yet."""
        self.place = position
        numbers = (ticket, position, max_frame, heartbeat)
        return Frame(raw.welcome(login.seq, user, *numbers, server="refserver peer"))

    # ------------------------------------------------------------- frames in their place

    def _next(self) -> int:
        self.place += 1
        return self.place

    def message(self, sender: str, content: bytes | str) -> Frame:
        """The next entry, a Message."""
        return Frame(raw.message(self._next(), content, sender))

    def application(self, type: int, sender: str, data: bytes) -> Frame:
        """The next entry, an application event."""
        return Frame(raw.application(self._next(), type, data, sender))

    def joined(self, user: str) -> Frame:
        """The next entry: somebody comes in."""
        return Frame(raw.joined(self._next(), user))

    def left(self, user: str, reason: int = raw.LEFT_REASON) -> Frame:
        """The next entry: somebody leaves."""
        return Frame(raw.left(self._next(), user, reason))

    def ack(self, request: Frame, position: int | None = None) -> Frame:
        """The Ack of a request, whose entry is the next unless told otherwise."""
        return Frame(raw.ack(request.seq, self._next() if position is None else position))

    # ------------------------------------------------------------- to the client

    def send(self, *frames: Frame | bytes) -> None:
        """Send, cut as the segmentation says."""
        self.connection.send(*map(_bytes, frames))

    def send_whole(self, *frames: Frame | bytes) -> None:
        """Send in one piece, whatever the segmentation."""
        self.connection.send_piece(b"".join(map(_bytes, frames)))

    def tell(self, *frames: Frame) -> None:
        """Send what the client is to hand on to its user."""
        self.send(*frames)

    def finish(self) -> None:
        """End the server's stream; over WebSocket that is a Close, which ends both."""
        self.connection.half_close(quietly=not self.connection.stream.half_closes)

    # ------------------------------------------------------------- from the client

    def asked(self, *types: int) -> Frame:
        """Await a frame of one of these types; a Ping that is not awaited is answered."""
        deadline = self.deadline()
        while True:
            frame = self.connection.next(deadline)
            if frame is not None and frame.type in types:
                return frame
            if frame is None or frame.type != raw.PING:
                raise self.fail(f"a {named(types[0])} from the client", self._instead(frame))
            self.connection.answer(frame)

    def _instead(self, frame: Frame | None) -> str:
        if frame is not None:
            return summary(frame.raw)
        return self.why_not(self.connection.silence)

    def answers(self, seq: int) -> None:
        """Await the Pong to a Ping of the server's."""
        pong = self.asked(raw.PONG)
        self.check(pong.seq == seq, f"a Pong with seq {seq}", f"seq {pong.seq}")


def _bytes(frame: Frame | bytes) -> bytes:
    return frame.raw if isinstance(frame, Frame) else frame
