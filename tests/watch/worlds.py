"""Right conversations by chance: a room, its server, its clients, and one tap between them.

Rule: it is written from docs/protocol.md with the standard library and `tests.support.raw`, and
shares no code with the judge. Both sides keep every rule; whatever is left open is drawn. Bytes
are cut anywhere, each direction is as late as it likes, and what the tap sees is what comes out.
"""

from __future__ import annotations

import struct
from collections import deque
from dataclasses import dataclass, field
from random import Random

from tests.support.raw import (
    ACK,
    ERROR,
    HEADER,
    JOINED,
    LEFT,
    LOGIN,
    LOGOUT,
    MESSAGE,
    PING,
    PONG,
    WELCOME,
    error,
    frame,
    frames_of,
    short,
)

NAMES = ("ann", "bob", "zoë", "")
CLIENT, SERVER = "client", "server"


@dataclass
class Entry:
    frame: bytes
    author: int  # the connection whose request made it, or 0
    seq: int
    is_goodbye: bool = False


@dataclass
class Session:
    user: str
    ticket: int
    begins: int
    holder: int


@dataclass
class Served:
    """A connection as the server has it."""

    number: int
    buffer: bytearray = field(default_factory=bytearray)
    out: bytearray = field(default_factory=bytearray)
    user: str | None = None
    session: Session | None = None
    cursor: int = 0
    replies: deque[tuple[int, bytes, bool]] = field(default_factory=deque)
    """The length of the log when it was made, the frame, and whether it is the last one."""
    draining: bool = False  # handles nothing more
    silent: bool = False  # has sent its last frame, or is to send none
    eof: bool = False
    left_at: int | None = None  # carries no entry behind this one
    last_byte: float = 0.0
    pinged: bool = False
    pings: int = 0
    waits: tuple[float, bytes] | None = None
    """UNAUTHORIZED, held back until then."""
    closed: bool = False
    spoiled: bytearray = field(default_factory=bytearray)
    """What it says, where it is made wrong on its way."""


class Room:
    """A server that keeps every rule."""

    def __init__(self, rng: Random) -> None:
        self.rng = rng
        self.presence = rng.random() < 0.6
        self.heartbeat = rng.choice((0, 1, 20))
        self.max_frame = rng.choice((4096, 5000, 65_536))
        self.strict = rng.random() < 0.3
        self.log: list[Entry] = []
        self.dropped = 0
        self.sessions: dict[int, Session] = {}
        self.conns: dict[int, Served] = {}
        self.stopping = False
        for n in range(rng.choice((0, 0, 1, 7))):
            said = frame(MESSAGE, n + 1, short("old") + b"before")
            self.log.append(Entry(said, 0, 0))

    # ------------------------------------------------------------- the log

    def enter(self, type: int, body: bytes, author: int, seq: int, goodbye: bool = False) -> None:
        position = len(self.log) + 1
        self.log.append(Entry(frame(type, position, body), author, seq, goodbye))

    def reply(self, conn: Served, data: bytes, *, last: bool = False) -> None:
        conn.replies.append((len(self.log), data, last))

    def leave(self, conn: Served, reason: int, *, seq: int | None = None) -> None:
        """The member leaves; with `seq` by the Logout of that number."""
        assert conn.user is not None
        conn.draining = True
        if self.presence and not self.stopping:
            author = conn.number if seq is not None else 0
            self.enter(LEFT, short(conn.user) + bytes([reason]), author, seq or 0, seq is not None)
            conn.left_at = len(self.log) - (seq is None)
        else:
            conn.left_at = len(self.log)
            if seq is not None:
                self.reply(conn, frame(ACK, seq, struct.pack(">Q", 0)), last=True)
        conn.user = None

    def end(self, conn: Served, code: int, reason: int = 1) -> None:
        """End it with an Error with seq 0."""
        self.reply(conn, error(0, code, self.rng.choice(("", "why"))), last=True)
        conn.draining = True
        if conn.user is not None:
            self.leave(conn, reason)

    def evict(self, conn: Served) -> None:
        """It is too slow: what is due is dropped."""
        conn.replies.clear()
        conn.replies.append((0, error(0, 21), True))
        conn.cursor = len(self.log)
        self.leave(conn, 2)
        conn.cursor = len(self.log)

    def write(self, conn: Served) -> None:
        """Put some of what is due into the stream."""
        budget = self.rng.choice((1, 2, 5, 100))
        while budget and not conn.silent:
            budget -= 1
            if conn.replies and conn.replies[0][0] <= conn.cursor:
                _, data, last = conn.replies.popleft()
                conn.out += data
                conn.silent = conn.silent or last
                continue
            end = len(self.log) if conn.left_at is None else conn.left_at
            if conn.session is None or conn.cursor >= end:
                break
            if conn.cursor < self.dropped:
                if conn.user is None:
                    conn.silent = True
                else:
                    self.evict(conn)
                continue
            entry = self.log[conn.cursor]
            conn.cursor += 1
            if entry.author == conn.number:
                conn.out += frame(ACK, entry.seq, struct.pack(">Q", conn.cursor))
                conn.silent = conn.silent or entry.is_goodbye
            else:
                conn.out += entry.frame

    @property
    def members(self) -> dict[str, Served]:
        return {conn.user: conn for conn in self.conns.values() if conn.user is not None}

    # ------------------------------------------------------------- what comes

    def read(self, conn: Served, data: bytes, now: float) -> None:
        conn.last_byte, conn.pinged = now, False
        if conn.draining:
            return
        conn.buffer += data
        self.handle_some(conn, now)

    def handle_some(self, conn: Served, now: float) -> None:
        while not conn.draining and conn.waits is None:
            if len(conn.buffer) >= 4:
                length = int.from_bytes(conn.buffer[:4], "big")
                limit = 4096 if conn.user is None else self.max_frame
                if length < 12 or length > limit:
                    self.end(conn, 1 if length < 12 else 2)
                    return
            if len(conn.buffer) >= 16:
                _, version, _, reserved, seq = HEADER.unpack_from(conn.buffer)
                if version != 1 or reserved or not seq:
                    self.end(conn, 3 if version != 1 else 1)
                    return
            if len(conn.buffer) < 4 or len(conn.buffer) < 4 + length:
                return
            whole = bytes(conn.buffer[: 4 + length])
            del conn.buffer[: 4 + length]
            self.handle(conn, whole, now)

    def handle(self, conn: Served, whole: bytes, now: float) -> None:
        type, seq, body = whole[5], int.from_bytes(whole[8:16], "big"), whole[16:]
        if type == 0 or 0x0B <= type < 0x80:
            self.reply(conn, error(seq, 4))
        elif type in (PING, PONG, LOGOUT) and body:
            self.end(conn, 1)
        elif type == PONG:
            pass
        elif type == PING:
            self.reply(conn, frame(PONG, seq))
        elif type == LOGIN:
            self.log_in(conn, seq, body, now)
        elif type in (ACK, ERROR, WELCOME, JOINED, LEFT):
            self.reply(conn, error(seq, 5))  # clients of these worlds give them a right body
        elif type != LOGOUT and body[:1] != b"\0":
            self.reply(conn, error(seq, 5))
        elif conn.user is None:
            self.reply(conn, error(seq, 10))
        elif type == LOGOUT:
            self.leave(conn, 0, seq=seq)
        else:
            self.enter(type, short(conn.user) + body[1:], conn.number, seq)

    def log_in(self, conn: Served, seq: int, body: bytes, now: float) -> None:
        user = body[1 : 1 + body[0]].decode()
        at = 1 + body[0]
        credential = body[at + 2 : at + 2 + int.from_bytes(body[at : at + 2], "big")]
        ticket, position = struct.unpack(">QQ", body[-16:])
        if conn.user is not None:
            self.reply(conn, error(seq, 11))
            return
        if credential == b"wrong":
            conn.waits = now + 0.1 + self.rng.random(), error(0, 12)
            return
        session = self.sessions.get(ticket)
        older = None if session is None else self.conns.get(session.holder)
        if older is not None and older.user is None:
            older = None
        name = user or (session.user if session else f"guest{self.rng.randrange(10**9)}")
        refusal = 0
        if "\u200b" in user or (self.strict and user == "zoë"):
            refusal = 14
        elif ticket or position:
            good = (
                session is not None
                and session.user == name
                and session.begins <= position <= len(self.log)
                and position >= self.dropped
                and self.rng.random() < 0.95
            )
            refusal = 0 if good else 15
        holder = self.members.get(name)
        if not refusal and holder is not None and holder is not older:
            refusal = 13
        if refusal:
            self.reply(conn, error(seq, refusal))
            return
        if session is None:
            ticket = self.rng.randrange(1, 2**64)
        if older is not None:
            self.end(older, 13)
        if session is None and self.presence:
            self.enter(JOINED, short(name), 0, 0)
        place = len(self.log) if session is None else position
        conn.user, conn.cursor, conn.left_at = name, place, None
        if session is None:
            session = Session(name, ticket, place, conn.number)
            self.sessions[ticket] = session
        elif self.presence:
            self.enter(JOINED, short(name), 0, 0)
        session.holder = conn.number
        conn.session = session
        numbers = struct.pack(">QQIH", ticket, place, self.max_frame, self.heartbeat)
        self.flush_replies(conn)
        conn.out += frame(WELCOME, seq, short(name) + numbers + short("worlds"))

    def flush_replies(self, conn: Served) -> None:
        """The replies to earlier requests stand before the Welcome: nothing is due before them."""
        for _, data, _ in conn.replies:
            conn.out += data
        conn.replies.clear()

    def read_eof(self, conn: Served) -> None:
        conn.eof = True
        if not conn.draining and conn.waits is None:
            if conn.user is not None:
                self.leave(conn, 1)
            conn.draining = True

    # ------------------------------------------------------------- by itself

    def turn(self, now: float) -> None:
        """What a server may do at any time."""
        for conn in list(self.conns.values()):
            if conn.closed:
                continue
            if conn.waits is not None and now >= conn.waits[0]:
                self.reply(conn, conn.waits[1], last=True)
                conn.waits, conn.draining = None, True
            self.watch_the_clock(conn, now)
            if self.rng.random() < 0.7:
                self.write(conn)
        if self.rng.random() < 0.01 and self.log:
            self.dropped = self.rng.randrange(self.dropped, len(self.log) + 1)

    def watch_the_clock(self, conn: Served, now: float) -> None:
        if conn.draining or conn.silent or conn.waits is not None:
            return
        roll = self.rng.random()
        if roll < 0.002:
            self.end(conn, self.rng.choice((30, 24 if self.stopping else 30)))
        elif conn.user is None:
            if roll < 0.004:
                self.end(conn, self.rng.choice((22, 23)))
        elif roll < 0.003:
            self.evict(conn)
        elif self.heartbeat and now - conn.last_byte >= 2 * self.heartbeat:
            self.end(conn, 22)
        elif self.heartbeat and now - conn.last_byte >= self.heartbeat and not conn.pinged:
            conn.pinged = True
            conn.pings += 1
            conn.out += frame(PING, self.rng.choice((conn.pings, 7)))
        elif roll > 0.99:
            conn.out += frame(self.rng.choice((0x0B, 0x7F)), self.rng.randrange(1, 9), b"later")

    def stop(self) -> None:
        self.stopping = True
        for conn in self.conns.values():
            if not conn.draining and not conn.closed:
                self.reply(conn, error(0, 24), last=True)
                conn.draining = True
                if conn.user is not None:
                    conn.left_at = len(self.log)
                    conn.user = None


@dataclass
class Talker:
    """A client on one connection, as far as it has read."""

    number: int
    name: str
    buffer: bytearray = field(default_factory=bytearray)
    out: bytearray = field(default_factory=bytearray)
    asked: deque[tuple[int, int]] = field(default_factory=deque)
    logins: int = 0
    waits_for_login: bool = False
    member: bool = False
    logged_out: bool = False
    ended: bool = False
    done: bool = False  # sends nothing more
    limit: int = 4096
    ticket: int = 0
    place: int = 0
    seq: int = 0
    pings: list[int] = field(default_factory=list)
    resumed_from: int | None = None


LAYOUTS = {
    **dict.fromkeys((LOGOUT, PING, PONG), ""),
    LOGIN: "sc88",
    MESSAGE: "st",
    ACK: "8",
    ERROR: "2s",
    WELCOME: "s8842s",
    JOINED: "s",
    LEFT: "s1",
}
"""s: short text, c: bytes behind two of length, t: text to the end, r: bytes to the end."""


def is_right(type: int, body: bytes) -> bool:
    """Whether a body is as its type's layout says."""
    layout = "sr" if type >= 0x80 else LAYOUTS.get(type, "r")
    at = 0
    for field_ in layout:
        size = int(field_) if field_.isdigit() else len(body) - at
        if field_ in "sc":
            prefix = 1 if field_ == "s" else 2
            if at + prefix > len(body):
                return False
            size = int.from_bytes(body[at : at + prefix], "big")
            at += prefix
        if at + size > len(body):
            return False
        if field_ in "st":
            try:
                body[at : at + size].decode()
            except UnicodeDecodeError:
                return False
        at += size
    return at == len(body)


class World:
    """Plays one room; `items` is what the tap saw: (at, connection, what, side, data)."""

    def __init__(self, seed: int, *, faults: bool = False, wrong_server: bool = False) -> None:
        self.rng = Random(seed)
        self.faults = faults
        self.wrong_server = wrong_server
        self.room = Room(self.rng)
        self.now = 0.0
        self.items: list[tuple[float, int, str, str, bytes]] = []
        self.talkers: dict[int, Talker] = {}
        self.to_tap: dict[tuple[int, str], bytearray] = {}
        self.from_tap: dict[tuple[int, str], bytearray] = {}
        self.finished: dict[tuple[int, str], str] = {}
        self.known: list[tuple[str, int, int]] = []
        self.quick = self.rng.random()
        for _ in range(self.rng.choice((20, 60, 150))):
            self.step()
        if self.rng.random() < 0.3:
            self.room.stop()
        for _ in range(30):
            self.step(coming=False)

    # ------------------------------------------------------------- one moment

    def step(self, *, coming: bool = True) -> None:
        rng = self.rng
        self.now += rng.choice((0.0, 0.0, 0.001, 0.02, 0.3)) + (rng.random() < 0.02) * rng.choice(
            (1.0, 2.5, 45.0)
        )
        if coming and len(self.talkers) < 6 and rng.random() < (0.3 if not self.talkers else 0.05):
            self.connect()
        for number, talker in self.talkers.items():
            if rng.random() < 0.5:
                self.act(talker)
            for side in (CLIENT, SERVER):
                if rng.random() < 0.3 + 0.7 * self.quick:
                    self.move(number, side)
        self.room.turn(self.now)

    def connect(self) -> None:
        number = len(self.talkers) + 1
        talker = Talker(number, self.rng.choice(NAMES))
        self.talkers[number] = talker
        self.room.conns[number] = Served(number, last_byte=self.now)
        for side in (CLIENT, SERVER):
            self.to_tap[number, side] = bytearray()
            self.from_tap[number, side] = bytearray()
        self.items.append((self.now, number, "open", "", b""))

    def some(self, pool: bytearray) -> bytes:
        size = self.rng.choice((1, 3, 15, 16, 17, 40, 10**6, 10**6))
        data = bytes(pool[:size])
        del pool[:size]
        return data

    def move(self, number: int, side: str) -> None:
        """From the sender to the tap, and from the tap to the reader."""
        key = number, side
        talker, conn = self.talkers[number], self.room.conns[number]
        source = talker.out if side == CLIENT else conn.out
        if side == SERVER and self.wrong_server:
            source = self.spoiled(conn)
        self.to_tap[key] += self.some(source)
        if self.to_tap[key] and self.rng.random() < 0.8:
            data = self.some(self.to_tap[key])
            self.items.append((self.now, number, "bytes", side, data))
            self.from_tap[key] += data
        if self.from_tap[key] and self.rng.random() < 0.8:
            data = self.some(self.from_tap[key])
            if side == CLIENT and not conn.closed:
                self.room.read(conn, data, self.now)
            elif side == SERVER and not talker.ended:
                self.hear(talker, data)
        self.finish(key, source)

    def spoiled(self, conn: Served) -> bytearray:
        """What the server says, some of it wrong."""
        rng = self.rng
        for whole in frames_of(conn.out):
            roll = rng.random()
            data = bytearray(whole)
            if roll < 0.02:
                data = bytearray()
            elif roll < 0.04:
                data *= 2
            elif roll < 0.09:
                at = rng.randrange(len(data))
                data[at] = rng.choice((0, 1, 255, data[at] ^ 1 << rng.randrange(8)))
            elif roll < 0.10:
                data += frame(rng.choice((MESSAGE, ACK, PONG, LOGIN)), rng.randrange(5), bytes(8))
            elif roll < 0.12:
                data += frame(PING, rng.randrange(1, 9))
            conn.spoiled += data
        return conn.spoiled

    def finish(self, key: tuple[int, str], source: bytearray) -> None:
        """An end of a stream passes behind its bytes."""
        number, side = key
        talker, conn = self.talkers[number], self.room.conns[number]
        over = talker.done if side == CLIENT else self.is_done(conn)
        rests = not source and not self.to_tap[key]
        if key not in self.finished and over and rests:
            self.finished[key] = "fin" if self.rng.random() < 0.8 else "reset"
            self.items.append((self.now, number, self.finished[key], side, b""))
        if key in self.finished and not self.from_tap[key] and self.rng.random() < 0.5:
            if side == CLIENT and not conn.eof:
                self.room.read_eof(conn)
            elif side == SERVER:
                talker.ended = talker.done = True

    @staticmethod
    def is_done(conn: Served) -> bool:
        """Whether the server closes its stream now."""
        due = conn.replies or (
            conn.session is not None and conn.left_at is not None and conn.cursor < conn.left_at
        )
        if conn.silent or (conn.eof and conn.draining and not due):
            conn.closed = True
        return conn.closed

    # ------------------------------------------------------------- the client

    def next_seq(self, talker: Talker) -> int:
        talker.seq += 1
        wild = self.rng.random() < 0.1
        return self.rng.choice((1, 2**64 - 1, talker.seq)) if wild else talker.seq

    def ask(self, talker: Talker, type: int, body: bytes = b"") -> None:
        seq = self.next_seq(talker)
        talker.asked.append((type, seq))
        talker.out += frame(type, seq, body)

    def act(self, talker: Talker) -> None:
        rng = self.rng
        if talker.ended or talker.done:
            return
        while talker.pings and rng.random() < 0.7:
            at = rng.randrange(len(talker.pings))
            talker.out += frame(PONG, talker.pings.pop(at))
        roll = rng.random()
        asking = talker.waits_for_login or talker.member
        if talker.logged_out:
            talker.done = roll < 0.05
        elif roll < 0.01:
            talker.done = True
        elif self.faults and roll < 0.05:
            talker.out += self.fault(talker)
        elif roll < 0.15:
            self.ask(talker, PING)
        elif not asking:
            self.log_in(talker)
        elif roll < 0.2:
            self.ask(talker, LOGOUT)
            talker.logged_out = True
        elif roll < 0.7:
            self.speak(talker)

    def log_in(self, talker: Talker) -> None:
        rng = self.rng
        user, ticket, place = talker.name, 0, 0
        if self.known and rng.random() < 0.5:
            user, ticket, place = rng.choice(self.known)
            user = rng.choice((user, ""))
        elif rng.random() < 0.1:
            user, ticket, place = rng.choice((("a\u200b", 0, 0), ("ann", 77, 1), ("bob", 0, 3)))
        credential = rng.choice((b"", b"", b"pw")) if rng.random() < 0.97 else b"wrong"
        numbers = struct.pack(">QQ", ticket, place)
        body = short(user) + struct.pack(">H", len(credential)) + credential + numbers
        self.ask(talker, LOGIN, body)
        talker.waits_for_login = True
        talker.resumed_from = place if ticket else None

    def speak(self, talker: Talker) -> None:
        rng = self.rng
        size = min(rng.choice((0, 1, 5, 5, talker.limit - 13)), talker.limit - 13)
        if rng.random() < 0.8:
            self.ask(talker, MESSAGE, b"\0" + bytes(rng.choice((b"a", b"b")) * size))
        else:
            self.ask(talker, rng.choice((0x80, 0xFF)), b"\0" + rng.randbytes(min(size, 9)))

    def fault(self, talker: Talker) -> bytes:
        """What a client may not send, and a server must know how to refuse."""
        seq = self.next_seq(talker)
        soft = (
            frame(0x0B, seq, b"?"),
            frame(ACK, seq, bytes(8)),
            frame(MESSAGE, seq, b"\x03anna"),
            frame(LOGIN, seq, bytes(19)),
            frame(PONG, seq),
            frame(LOGOUT, seq),
            frame(MESSAGE, seq, b"\0hello"),
        )
        hard = (
            struct.pack(">I", 11),
            struct.pack(">I", 2**31),
            HEADER.pack(12, 2, PING, 0, 1),
            HEADER.pack(12, 1, PING, 1, 1),
            frame(PING, 0),
            frame(PING, seq, b"!"),
        )
        return self.rng.choice(hard if self.rng.random() < 0.1 else soft)

    def hear(self, talker: Talker, data: bytes) -> None:
        """Handle what came; at a server's fault (8.3, 4.2, 4.4, 5.2, 7.1) end the connection."""
        talker.buffer += data
        buffer = talker.buffer
        while len(buffer) >= 4 and not talker.ended:
            length = int.from_bytes(buffer[:4], "big")
            limit = max(4351, talker.limit + 255) if talker.member else 4351
            good = 12 <= length <= limit
            if good and len(buffer) >= 16:
                _, version, type, reserved, seq = HEADER.unpack_from(buffer)
                good = version == 1 and not reserved and (seq != 0 or type == ERROR)
            if good and len(buffer) < 4 + length:
                return
            whole = bytes(buffer[: 4 + length])
            del buffer[: 4 + length]
            if not good or not is_right(whole[5], whole[16:]) or not self.last_byte(talker, whole):
                talker.ended = talker.done = True
                talker.pings.clear()

    def last_byte(self, talker: Talker, whole: bytes) -> bool:
        """Handle a frame that is right in itself; False at a server's fault."""
        type, seq, body = whole[5], int.from_bytes(whole[8:16], "big"), whole[16:]
        if type == PING:
            talker.pings.append(seq)
        elif type == ERROR and seq == 0:
            talker.ended = True
            talker.done = self.rng.random() < 0.8 or talker.done
        elif type in (LOGIN, LOGOUT):
            return False
        elif type in (MESSAGE, JOINED, LEFT) or type >= 0x80:
            if not talker.member or seq != talker.place + 1:
                return False
            talker.place = seq
            self.keep(talker)
        elif type in (ACK, ERROR, PONG, WELCOME):
            return self.replied(talker, type, seq, body)
        return True

    def replied(self, talker: Talker, type: int, seq: int, body: bytes) -> bool:
        if self.faults and (not talker.asked or talker.asked[0][1] != seq):
            return True  # the reply to a fault of its own
        if not talker.asked:
            return False
        asked, number = talker.asked.popleft()
        if number != seq:
            return False
        if type != ERROR and type != {LOGIN: WELCOME, PING: PONG}.get(asked, ACK):
            return False
        if type == WELCOME:
            at = 1 + body[0]
            ticket, place, limit = struct.unpack_from(">QQI", body, at)
            if talker.resumed_from is not None and place != talker.resumed_from:
                return False
            talker.name = body[1:at].decode()
            talker.ticket, talker.place, talker.limit = ticket, place, max(limit, 13)
            talker.member, talker.waits_for_login = True, False
            self.keep(talker)
        elif type == ACK:
            position = int.from_bytes(body, "big")
            if position and position != talker.place + 1:
                return False
            talker.place = position or talker.place
            self.keep(talker)
            if asked == LOGOUT:
                talker.ended = talker.done = True
        elif type == ERROR and asked == LOGIN:
            talker.waits_for_login = False
        elif type == ERROR and asked == LOGOUT:
            talker.logged_out = False
        return True

    def keep(self, talker: Talker) -> None:
        """What it could resume from, by now or later."""
        if talker.ticket and self.rng.random() < 0.5:
            self.known.append((talker.name, talker.ticket, talker.place))
            del self.known[:-8]
