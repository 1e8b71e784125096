"""Random lives of a room, and what every connection in it must read.

Rule: the log itself is kept whole, beside the room; what a connection reads is held
to it frame by frame, with no word of how the server keeps its places. Sockets and
time are the model's: one `Random` decides everything.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from random import Random

from tests.support import raw
from tests.support.raw import Frame, Frames

from eventcodec import ErrorCode
from refserver.server.auth import AllowAll
from refserver.server.config import Config
from refserver.session.context import Context, Peer
from refserver.session.log import Log
from refserver.session.outbox import EntriesGone
from refserver.session.room import Room
from refserver.session.sequencer import LocalSequencer, Submitter
from refserver.session.session import Session

NAMES = ("ann", "bob", "eve", "Ann", "", "guest-7", "b\u202eb")
KEYS = {"Ann": "ann"}
"""Names that are the same as another of NAMES."""
FORBIDDEN = ("guest-7", "b\u202eb")
STRANGE = (0x00, 0x0B, 0x7F)
SERVERS_OWN = (raw.ACK, raw.ERROR, raw.WELCOME, raw.JOINED, raw.LEFT)
SERVERS_BODIES = {raw.ACK: bytes(8), raw.ERROR: bytes(3), raw.WELCOME: bytes(25)}
SERVERS_BODIES |= {raw.JOINED: bytes(1), raw.LEFT: bytes(2)}
BROKEN = -1
"""Stands for a frame that no server takes."""
ASKED = {raw.MESSAGE: 30, 0x80: 10, 0xFF: 5, raw.PING: 8, raw.LOGOUT: 1, raw.PONG: 1, BROKEN: 1}
ASKED |= dict.fromkeys((*STRANGE, *SERVERS_OWN), 1)
"""What is asked for, beside logins, and how often."""


class Unlimited:
    """Everybody may log in, and be replayed anything, at once."""

    def login_at(self, address: str, now: float) -> float:
        return now

    def replay_at(self, user: str, size: int, now: float) -> float:
        return now


class WholeLog(Log):
    """A log that forgets like any other, and a list beside it that forgets nothing."""

    def __init__(self, capacity: int) -> None:
        super().__init__(capacity)
        self.all: list[Frame] = []

    def extend(self, frames: Iterable[bytes]) -> None:
        entered = list(frames)
        self.all += Frames().receive(b"".join(entered))
        super().extend(entered)

    def fact(self, position: int) -> Frame:
        """The entry of this number, gone from the room or not."""
        return self.all[position - 1]


@dataclass(slots=True)
class Asked:
    """A request on its way."""

    frame: Frame
    position: int = 0
    """In a resume, where to go on."""
    floor: int = 0
    """The end of the log when its last byte came."""
    wanted: tuple[int, ...] | None = None
    """The codes that a Login must be answered with, 0 for Welcome; None: not foreseen."""


@dataclass(slots=True)
class Identity:
    """What a client knows of its session."""

    user: str
    ticket: int
    since: int


@dataclass(slots=True, eq=False)
class Client:
    """One connection, seen from its client: what it asked, and what it was told."""

    session: Session
    log: WholeLog
    presence: bool
    seen: Counter[str]
    asked: deque[Asked] = field(default_factory=deque)
    unsent: bytes = b""
    coming: deque[tuple[int, Asked]] = field(default_factory=deque)
    """Requests not yet whole on the server's side, each with its place in the stream."""
    written: int = 0
    arrived: int = 0
    said: set[bytes] = field(default_factory=set)
    frames: Frames = field(default_factory=Frames)
    identity: Identity | None = None
    place: int | None = None
    seq: int = 0
    over: bool = False
    """The last frame was read: nothing may follow."""
    cut: bool = False
    """The client sends no more."""

    # ------------------------------------------------------------- writing

    def write(self, type: int, body: bytes = b"", position: int = 0) -> Asked:
        """Ask for something; it is sent later, in pieces."""
        self.seq += 1
        asked = Asked(Frame(type, self.seq, body), position)
        self.asked.append(asked)
        self._append(raw.frame(type, self.seq, body))
        self.coming.append((self.written, asked))
        return asked

    def write_unasked(self, data: bytes) -> None:
        """Send what gets no reply."""
        self._append(data)

    def _append(self, data: bytes) -> None:
        self.unsent += data
        self.written += len(data)

    def deliver(self, size: int, now: float) -> None:
        """Bring some of what was written to the server."""
        data, self.unsent = self.unsent[:size], self.unsent[size:]
        self.arrived += len(data)
        while self.coming and self.coming[0][0] <= self.arrived:
            self.coming.popleft()[1].floor = self.log.end
        if data:
            self.session.receive(data, now)

    # ------------------------------------------------------------- reading

    def read(self, data: bytes) -> None:
        """Hold what came to the log and to the requests."""
        for frame in self.frames.receive(data):
            assert not self.over, f"{frame} behind the last frame"
            self.read_frame(frame)

    def read_frame(self, frame: Frame) -> None:
        if frame.type == raw.PING:
            assert self.place is not None
            if not self.cut:
                self.write_unasked(raw.frame(raw.PONG, frame.seq))
        elif frame.type == raw.ERROR and frame.seq == 0:
            self.read_last(raw.error_of(frame).code)
        elif frame.type in (raw.ACK, raw.ERROR, raw.PONG, raw.WELCOME):
            self.read_reply(frame)
        else:
            self.read_fact(frame)

    def read_fact(self, frame: Frame) -> None:
        assert self.place is not None, "a fact before the Welcome"
        assert frame.seq == self.place + 1
        assert frame == self.log.fact(frame.seq)
        if frame.type not in (raw.JOINED, raw.LEFT):
            assert raw.said(frame)[1] not in self.said, "its own entry as a fact"
        self.place = frame.seq

    def read_last(self, code: int) -> None:
        self.over = True
        self.seen[ErrorCode(code).name] += 1
        ends_alone = code not in (raw.SLOW_CONSUMER, raw.SHUTTING_DOWN)
        if ends_alone and self.identity is not None and self.presence:
            assert self.place is not None
            assert self.log.fact(self.place + 1) == self.left(reason=1)
        if code == raw.SLOW_CONSUMER:
            assert self.session.member is not None, "nobody is slow before the Welcome"
            gone = raw.short(self.session.member.user)
            entered = {entry.body[:-1] for entry in self.log.all if entry.type == raw.LEFT}
            assert not self.presence or gone in entered

    def left(self, reason: int) -> Frame:
        """The `Left` that must stand behind the last entry that was read."""
        assert self.identity is not None
        body = raw.short(self.identity.user) + bytes([reason])
        return Frame(raw.LEFT, (self.place or 0) + 1, body)

    def read_reply(self, frame: Frame) -> None:
        asked = self.asked.popleft()
        assert frame.seq == asked.frame.seq, "a reply out of turn"
        if frame.type == raw.ACK and raw.acked(frame):
            self.read_ack(asked, raw.acked(frame))
        elif self.place is not None:
            assert self.place >= asked.floor, "a reply before entries that were there"
        if asked.frame.type == raw.LOGIN:
            self.read_login(asked, frame)
        elif frame.type == raw.ERROR:
            assert raw.error_of(frame).code == self.refusal(asked.frame.type)
        else:
            assert self.refusal(asked.frame.type) is None
            assert (frame.type == raw.PONG) == (asked.frame.type == raw.PING)
        if asked.frame.type == raw.LOGOUT and frame.type == raw.ACK:
            self.seen["logout"] += 1
            assert bool(raw.acked(frame)) == self.presence
            self.over = True

    def refusal(self, type: int) -> int | None:
        """The code that the state has for an event that is no Login."""
        if type in STRANGE:
            return raw.UNKNOWN_TYPE
        if type in SERVERS_OWN:
            return raw.UNEXPECTED_EVENT
        return raw.LOGIN_REQUIRED if self.place is None and type != raw.PING else None

    def read_ack(self, asked: Asked, position: int) -> None:
        assert self.identity is not None and self.place is not None
        assert position == self.place + 1
        entry = self.log.fact(position)
        if asked.frame.type == raw.LOGOUT:
            assert entry == self.left(reason=0)
        else:
            assert entry.type == asked.frame.type
            assert raw.said(entry) == (self.identity.user, asked.frame.body[1:])
        self.place = position

    def read_login(self, asked: Asked, frame: Frame) -> None:
        code = raw.error_of(frame).code if frame.type == raw.ERROR else 0
        if self.identity is not None:
            assert code == raw.ALREADY_LOGGED_IN
            return
        self.seen[ErrorCode(code).name if code else "login"] += 1
        assert asked.wanted is None or code in asked.wanted
        if not code:
            self.read_welcome(asked, raw.welcomed(frame))

    def read_welcome(self, asked: Asked, welcome: raw.Welcomed) -> None:
        self.place = welcome.position
        self.identity = Identity(welcome.user, welcome.ticket, welcome.position)
        if asked.position:
            self.seen["resume"] += 1
            assert welcome.position == asked.position
            return
        assert welcome.position >= asked.floor
        if self.presence:
            joined = Frame(raw.JOINED, welcome.position, raw.short(welcome.user))
            assert self.log.fact(welcome.position) == joined


class Life:
    """One room, and what a `Random` lets happen in it."""

    def __init__(self, random: Random, seen: Counter[str]) -> None:
        self.random = random
        self.seen = seen
        self.now = 0.0
        self.presence = random.random() < 0.6
        self.config = Config(heartbeat=random.choice((0, 20)), log_bytes=65_536)
        self.context = Context(
            settings=self.config,
            authenticator=AllowAll(),
            quotas=Unlimited(),
            log_event=lambda kind, **fields: None,
        )
        self.log = WholeLog(random.choice((2_000, 6_000, 40_000)))
        self.room: Room[Submitter] = Room(
            capacity=0, presence=self.presence, new_ticket=lambda: random.getrandbits(64)
        )
        self.room.log = self.log
        self.sequencer = LocalSequencer(self.room)
        self.clients: list[Client] = []
        self.identities: dict[int, Identity] = {}
        self.lost: list[Client] = []
        self.shut = False
        self.said = 0

    # ------------------------------------------------------------- what can happen

    def live(self, steps: int) -> None:
        """Let so many things happen, then let everybody read to the end."""
        deeds: list[tuple[Callable[[], None], int]] = [
            (self.connect, 2),
            (self.ask, 10),
            (self.log_in, 4),
            (self.resume, 3),
            (self.deliver, 12),
            (self.work, 12),
            (self.take, 12),
            (self.fan_out, 6),
            (self.pass_time, 1),
            (self.lose, 1),
            (self.end_input, 1),
            (self.stall, 1),
        ]
        acts, weights = zip(*deeds, strict=True)
        for _ in range(steps):
            self.random.choices(acts, weights)[0]()
        if self.random.random() < 0.3:
            self.shut_down()
        self.run_until_idle()
        self.check()

    def client(self) -> Client:
        if not self.clients:
            self.connect()
        return self.random.choice(self.clients)

    def connect(self) -> None:
        if len(self.clients) < 8:
            session = Session(self.sequencer, self.context, Peer("127.0.0.1"), self.now)
            self.clients.append(Client(session, self.log, self.presence, self.seen))

    def ask(self) -> None:
        """Any request but a Login, good or bad, or what is no request at all."""
        client = self.client()
        if client.cut:
            return
        type = self.random.choices(list(ASKED), list(ASKED.values()))[0]
        if type == BROKEN:
            client.write_unasked(raw.frame(raw.PING, 0))
        elif type == raw.PONG:
            client.write_unasked(raw.frame(raw.PONG, 9))
        elif type in STRANGE:
            client.write(type, b"?")
        elif type in SERVERS_OWN:
            client.write(type, SERVERS_BODIES[type])
        elif type in (raw.PING, raw.LOGOUT):
            client.write(type)
        else:
            self.said += 1
            content = b"%d" % self.said + bytes(self.random.randrange(200))
            client.said.add(content)
            client.write(type, b"\0" + content)

    def log_in(self) -> None:
        user = self.random.choice(NAMES)
        self.send_login(self.client(), user, 0, 0, self.foreseen(user))

    def resume(self) -> None:
        """Go on with a session, somewhere: where it may, or where it may not."""
        if not self.identities:
            return
        known = self.random.choice(list(self.identities.values()))
        places = [client.place for client in self.clients + self.lost if client.place is not None]
        position = self.random.choice(
            [*places, known.since, known.since - 1, self.log.end, self.log.end + 1, self.log.first]
        )
        ticket = known.ticket if self.random.random() < 0.9 else known.ticket ^ 1
        user = self.random.choice((known.user, known.user, "", "bob"))
        if position > 0:
            wanted = self.foreseen_resume(user, ticket, position)
            self.send_login(self.client(), user, ticket, position, wanted)

    def send_login(
        self, client: Client, user: str, ticket: int, position: int, wanted: tuple[int, ...]
    ) -> None:
        """Write a Login; where nothing is before it, it is judged now and so is foreseen."""
        if client.cut:
            return
        alone = not client.unsent and not client.asked and client.place is None and not client.over
        body = raw.login(user, ticket=ticket, position=position)[raw.HEADER.size :]
        asked = client.write(raw.LOGIN, body, position)
        if alone and client.session.reading:
            asked.wanted = wanted
            client.deliver(len(client.unsent), self.now)
            client.session.work(self.now, 1)
            self.learn(client)

    def foreseen(self, user: str) -> tuple[int, ...]:
        if user in FORBIDDEN:
            return (raw.BAD_USER,)
        key = KEYS.get(user, user)
        return (raw.USER_TAKEN,) if key in self.room.members else (0,)

    def foreseen_resume(self, user: str, ticket: int, position: int) -> tuple[int, ...]:
        known = self.identities.get(ticket)
        fits = known is not None and user in ("", known.user)
        if known is None or not fits or not known.since <= position <= self.log.end:
            return (raw.HISTORY_GONE,)
        if position < self.log.first - 1:
            return (raw.HISTORY_GONE,)
        holder = self.room.members.get(KEYS.get(known.user, known.user))
        return (raw.USER_TAKEN,) if holder is not None and holder.ticket != ticket else (0,)

    def learn(self, client: Client) -> None:
        """Remember a ticket as soon as it was given, read by its client or not."""
        member = client.session.member
        if member is not None and member.ticket not in self.identities:
            self.identities[member.ticket] = Identity(member.user, member.ticket, member.since)

    def deliver(self) -> None:
        client = self.client()
        if client.session.reading:
            client.deliver(self.random.choice((1, 7, 40, 300, 10_000)), self.now)

    def work(self) -> None:
        client = self.client()
        if client.session.has_work:
            client.session.work(self.now, self.random.choice((1, 2, 5)))
            self.learn(client)

    def take(self) -> None:
        self.read(self.client(), self.random.choice((1, 2, 1_000)))

    def fan_out(self) -> None:
        """The same bytes for all who stand at one place and have nothing of their own."""
        start = self.log.end - self.random.choice((1, 1, 2, 5))
        if start < 0 or not self.log.holds(start):
            return
        data, behind = self.log.segment(start)
        for client in list(self.clients):
            if client.session.outbox.follows and client.session.outbox.cursor == start:
                client.session.outbox.cursor = behind
                client.read(data)
            if client.session.outbox.finished:
                self.finish(client)

    def read(self, client: Client, times: int) -> None:
        for _ in range(times):
            try:
                data = client.session.outbox.next_chunk()
            except EntriesGone:
                client.session.evict()
                continue
            if not data:
                break
            client.read(bytes(data))
        if client.session.outbox.finished:
            self.finish(client)

    def finish(self, client: Client) -> None:
        """All was read that there will ever be."""
        assert client.frames.held == 0
        if not client.over and client.identity is not None and self.presence and not self.shut:
            assert client.place is not None
            assert self.log.fact(client.place + 1) == client.left(reason=1)
        self.clients.remove(client)
        self.lost.append(client)

    def pass_time(self) -> None:
        self.now += self.random.choice((0.1, 1.0, 21.0))
        for client in self.clients:
            if client.session.due <= self.now:
                client.session.tick(self.now)

    def lose(self) -> None:
        client = self.client()
        client.session.lost()
        self.clients.remove(client)
        self.lost.append(client)
        self.seen["lost"] += 1

    def end_input(self) -> None:
        client = self.client()
        if not client.cut and client.session.reading:
            client.deliver(len(client.unsent), self.now)
            client.cut = True
            client.session.receive_eof()
            self.seen["end of input"] += 1

    def stall(self) -> None:
        """Somebody takes no byte for longer than is borne."""
        client = self.client()
        client.session.deadlines.write_blocked(self.now)
        self.now += self.config.write_timeout
        client.session.tick(self.now)
        client.session.deadlines.write_unblocked()

    def shut_down(self) -> None:
        self.shut = True
        self.room.shut()
        for client in self.clients:
            client.session.goodbye(ErrorCode.SHUTTING_DOWN)

    # ------------------------------------------------------------- the end

    def run_until_idle(self) -> None:
        """Bring everything to the server and everybody to the end of the log."""
        busy = True
        while busy:
            busy = False
            for client in list(self.clients):
                before = client.session, len(client.unsent), client.place, len(client.asked)
                if client.session.reading:
                    client.deliver(len(client.unsent), self.now)
                if client.session.has_work:
                    client.session.work(self.now, 1_000)
                self.read(client, 1_000_000)
                after = client.session, len(client.unsent), client.place, len(client.asked)
                busy |= before != after or client not in self.clients

    def check(self) -> None:
        """Who is still here has read everything and has every reply; the log tells who that is."""
        for client in self.clients:
            assert not client.asked and not client.unsent and not client.frames.held
            assert client.place in (None, self.log.end)
        here: set[str] = set()
        for position, entry in enumerate(self.log.all, 1):
            assert entry.seq == position
            if entry.type == raw.JOINED:
                assert entry.body[1:].decode() not in here
                here.add(entry.body[1:].decode())
            elif entry.type == raw.LEFT:
                here.remove(entry.body[1:-1].decode())
            else:
                assert not self.presence or raw.said(entry)[0] in here
        if self.presence and not self.shut:
            assert here == {member.user for member in self.room.members.values()}
        present = {client.session for client in self.clients if client.place is not None}
        assert {member.session for member in self.room.members.values()} == present


def live(random: Random, steps: int, seen: Counter[str]) -> None:
    """One life; `seen` counts what happened in it."""
    Life(random, seen).live(steps)
