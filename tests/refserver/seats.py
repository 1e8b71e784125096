"""A room without sockets or time: sessions, and the clients at their other ends.

Rule: a client here says bytes or events and hears events; when something is judged,
taken or timed out is up to the test.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

from eventcodec import Decoder, Event, Limits, Login, Ping, Pong, encode
from eventcodec.limits import MAX_FRAME_CEILING, SENDER_ALLOWANCE
from refserver.auth import Auth, OpenDoor
from refserver.config import Config
from refserver.room import Room
from refserver.session import Peer, Session

ADDRESS = "192.0.2.1"
FIRST_TICKET = 1_001
BARRIER = 999_999_999
"""Number of the Ping that asks for everything before it."""


class Hall:
    """A room, its clock, and who sits in it."""

    def __init__(
        self,
        *,
        capacity: int | None = None,
        auth: Auth | None = None,
        login_at: Callable[[float], float] = lambda now: now,
        **settings: Any,
    ) -> None:
        self.config = Config(**settings)
        self.auth = auth or OpenDoor()
        self.login_at = login_at
        self.now = 1_000.0
        self.room: Room[Session] = Room(
            capacity=capacity or self.config.log_bytes,
            presence=self.config.presence,
            tickets=count(FIRST_TICKET).__next__,
        )

    def sit(self, user: str | None = None, *, certified: str = "") -> Seat:
        """A new connection; with `user`, logged in."""
        session = Session(
            self.room,
            self.auth,
            self.config,
            Peer(ADDRESS, certified),
            self.now,
            login_at=self.login_at,
        )
        seat = Seat(self, session)
        if user is not None:
            seat.ask(Login(user=user, seq=1))
        return seat


class Seat:
    """One connection: its session, and what its client has read."""

    def __init__(self, hall: Hall, session: Session) -> None:
        self.hall = hall
        self.session = session
        self._decoder = Decoder(Limits(max_frame=MAX_FRAME_CEILING + SENDER_ALLOWANCE))

    def say(self, *said: Event | bytes) -> None:
        """Send; nothing is judged yet."""
        data = b"".join(each if isinstance(each, bytes) else encode(each) for each in said)
        self.session.receive(data, self.hall.now)

    def work(self) -> None:
        """Let the server judge all that it has."""
        while self.session.ready:
            self.session.work(self.hall.now, 256)

    def hear(self) -> list[Event]:
        """Read all that there is."""
        events: list[Event] = []
        while data := bytes(self.session.take()):
            events += self._decoder.receive(data)
        return events

    def ask(self, *said: Event | bytes) -> list[Event]:
        """Send, have it judged, and read."""
        self.say(*said)
        self.work()
        return self.hear()

    def heard(self) -> list[Event]:
        """Everything up to now: what stands before the answer to a Ping sent now."""
        *before, pong = self.ask(Ping(seq=BARRIER))
        assert pong == Pong(seq=BARRIER)
        return before

    def tick(self) -> list[Event]:
        """Do what is due by now, and read."""
        if self.session.due <= self.hall.now:
            self.session.tick(self.hall.now)
        self.work()
        return self.hear()
