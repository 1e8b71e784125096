"""A room without sockets or time: sessions, and the clients at their other ends.

Rule: a client here sends bytes or events, and reads events; when something is judged,
taken or timed out is up to the test.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

from eventcodec import Decoder, Error, ErrorCode, Event, Login, Ping, Pong, Welcome, encode
from eventcodec.limits import MAX_FRAME_CEILING, SENDER_ALLOWANCE
from refserver.server.auth import AllowAll, Auth
from refserver.server.config import Config
from refserver.session.context import Context, Peer
from refserver.session.outbox import EntriesGone
from refserver.session.room import Room
from refserver.session.sequencer import LocalSequencer, Submitter
from refserver.session.session import Session

ADDRESS = "192.0.2.1"
FIRST_TICKET = 1_001
BARRIER = 999_999_999
"""Number of the Ping that asks for everything before it."""


class BareRoom:
    """A room, its clock, and who sits in it."""

    def __init__(
        self,
        *,
        capacity: int | None = None,
        auth: Auth | None = None,
        login_at: Callable[[float], float] = lambda now: now,
        replay_at: Callable[[float], float] = lambda now: now,
        **settings: Any,
    ) -> None:
        self.config = Config(**settings)
        self.auth = auth or AllowAll()
        self.address_may_log_in = login_at
        self.user_may_replay = replay_at
        self.now = 1_000.0
        self.clients: list[Client] = []
        self.shared: Room[Submitter] = Room(
            capacity=capacity or self.config.log_bytes,
            presence=self.config.presence,
            new_ticket=count(FIRST_TICKET).__next__,
        )
        self.sequencer = LocalSequencer(self.shared)
        self.context = Context(
            settings=self.config,
            authenticator=self.auth,
            quotas=self,
            log_event=lambda kind, **fields: None,
        )

    def login_at(self, address: str, now: float) -> float:
        """When this address may log in, as the test says."""
        return self.address_may_log_in(now)

    def replay_at(self, user: str, size: int, now: float) -> float:
        """When a user may be replayed so many bytes, as the test says."""
        return self.user_may_replay(now)

    def enter(self, user: str | None = None, *, certified: str = "") -> Client:
        """A new connection; with `user`, logged in."""
        session = Session(self.sequencer, self.context, Peer(ADDRESS, certified), self.now)
        client = Client(self, session)
        self.clients.append(client)
        if user is not None:
            client.ask(Login(user=user, seq=1))
        return client


class Client:
    """One connection: its session, and what its client has read."""

    def __init__(self, room: BareRoom, session: Session) -> None:
        self.room = room
        self.session = session
        self.received: list[Event] = []
        self._decoder = Decoder(max_frame=MAX_FRAME_CEILING + SENDER_ALLOWANCE)

    def say(self, *said: Event | bytes) -> None:
        """Send; nothing is judged yet."""
        data = b"".join(each if isinstance(each, bytes) else encode(each) for each in said)
        if data:
            self.session.receive(data, self.room.now)

    def work(self) -> None:
        """Let the server judge all that it has."""
        while self.session.has_work:
            self.session.work(self.room.now, 256)

    def take(self) -> bytes:
        """The next bytes. As a server, evict a client that the log has left behind."""
        try:
            return bytes(self.session.outbox.next_chunk())
        except EntriesGone:
            self.session.evict()
            return self.take()

    def read(self) -> list[Event]:
        """Read all that there is."""
        events: list[Event] = []
        while data := self.take():
            self._decoder.receive_data(data)
            for event in self._decoder.events():
                assert isinstance(event, Event)
                events.append(event)
        self.received += events
        return events

    def ask(self, *said: Event | bytes) -> list[Event]:
        """Send, have it judged, and read."""
        self.say(*said)
        self.work()
        return self.read()

    def sync(self) -> list[Event]:
        """Everything up to now: what stands before the answer to a Ping sent now."""
        *before, pong = self.ask(Ping(seq=BARRIER))
        assert pong == Pong(seq=BARRIER)
        return before

    def tick(self) -> list[Event]:
        """Do what is due by now, and read."""
        if self.session.due <= self.room.now:
            self.session.tick(self.room.now)
        self.work()
        return self.read()


def code_of(event: Event) -> tuple[int, ErrorCode | None]:
    """Number and code of an Error; its text is for people."""
    assert isinstance(event, Error), event
    return event.seq, ErrorCode.known(event.code)


def welcome_of(event: Event) -> Welcome:
    """This event, which must be a Welcome."""
    assert isinstance(event, Welcome), event
    return event


def in_short(event: Event) -> object:
    """What an event is, without an Error's text."""
    return code_of(event) if isinstance(event, Error) else event


def resume(ticket: int, position: int, user: str = "ann", seq: int = 1) -> Login:
    """A Login that goes on with a session."""
    return Login(user=user, ticket=ticket, position=position, seq=seq)
