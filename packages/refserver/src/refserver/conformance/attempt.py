"""Connections of a case: bytes out in pieces, frames back before a deadline.

Rule: nothing here sleeps. What must come is awaited until a deadline; what must not
come is disproved by the reply to a Ping behind it. Whoever else is in the room is
passed over: names and contents of a case are its own.

Layer: above `expect` and `suite`, below the cases.
"""

from __future__ import annotations

import socket
import ssl
import struct
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from random import Random
from typing import Any, TypeVar

from eventcodec.dissect import dissect

from ..readiness import READ, WRITE, ready
from . import expect as e
from . import raw
from .annotate import NOTHING, Begun, summaries, summary
from .deadlines import LastLook
from .expect import Expectation, Lane
from .model import Direction, Step
from .raw import Frame
from .segmentation import Segmentation
from .suite import CaseFailed, NotReached, Unsupported

__all__ = ["HALF_CLOSED", "RESET", "Attempt", "Connection", "Identity", "Setting"]

T = TypeVar("T")
HALF_CLOSED, RESET = "shut down the sending side", "reset the connection"
NOT_NOW = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)
"""What a socket says that does not wait."""
KEPT = 512
"""Bytes of one step that go into a report."""
FIRST, LAST = 40, 160
"""Steps of one case that go into a report."""
CLOSING = 0.5
"""Seconds that a finished case waits for the server to close, so that it has let go."""
AFTER_DEADLINE = 16 << 20
"""Bytes that were there when a deadline passed, and are still read: a flood is more."""
MOST_BYTES, MOST_FRAMES = 256 << 20, 2_000_000
"""What one connection may bring in one case; no case needs half of it."""
LARGEST = (16 << 20) + raw.ALLOWANCE
"""A length above it is no frame's, unless a Welcome announced more (EP-7.1-4)."""
ATTEMPT = 120.0
"""Seconds that an attempt may take, or sixty times what one wait may, if that is more."""


@dataclass(frozen=True, slots=True)
class Identity:
    """A name that may log in, and what proves it."""

    name: str
    credential: bytes = field(repr=False, default=b"")


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What a case is told about where and how it runs."""

    address: tuple[str, int]
    timeout: float
    capabilities: frozenset[str]
    identities: tuple[Identity, ...] = ()
    """Who may log in, where not everybody may."""
    wrap: Callable[[socket.socket], ssl.SSLSocket] | None = None
    """Makes a connection speak TLS."""
    stop: Callable[[], str] | None = None
    """Makes the server shut down; gives what went wrong, or "" where nothing did."""
    seen: dict[object, tuple[Any, list[Step], int]] = field(default_factory=dict, compare=False)
    """What is looked at once in a run, by who looks at it, and the evidence."""


class Attempt:
    """One attempt of a case: its connections, its names, its clock, its evidence."""

    def __init__(
        self, setting: Setting, segmentation: Segmentation, rng: Random, token: str
    ) -> None:
        self.setting = setting
        self.segmentation = segmentation
        self.rng = rng
        self.steps: list[Step] = []
        self.secrets: set[bytes] = {i.credential for i in setting.identities if i.credential}
        self._token = token
        self._names: dict[str, Identity] = {}
        self._conns: list[Connection] = []
        self._left_out = 0
        self._start = time.monotonic()
        self._last = self._start + max(ATTEMPT, 60 * setting.timeout)

    @property
    def timeout(self) -> float:
        return self.setting.timeout

    # ------------------------------------------------------------- names

    def identity(self, who: str) -> Identity:
        """Who `who` is in this attempt: a name that nobody else has. Raises Unsupported."""
        if who not in self._names:
            given = self.setting.identities
            if given and len(self._names) >= len(given):
                need = len(self._names) + 1
                raise Unsupported(f"needs {need} name:credential pairs, {len(given)} given")
            self._names[who] = (
                given[len(self._names)] if given else Identity(f"{who}-{self._token}")
            )
        return self._names[who]

    def name(self, who: str) -> str:
        return self.identity(who).name

    def is_ours(self, frame: Frame) -> bool:
        """Whether a fact is about somebody of this case, or about nobody that it could be."""
        author = frame.author
        known = {identity.name.encode() for identity in self._names.values()}
        return author is None or author in known

    def text(self, text: str) -> str:
        """A content that is this attempt's own."""
        return f"{text} {self._token}"

    def once(self, look: Callable[[Attempt], T]) -> T:
        """What `look` gives: the first attempt of a run that asks looks, the others recall it."""
        if look not in self.setting.seen:
            self.setting.seen[look] = look(self), list(self.steps), self._left_out
        seen, steps, self._left_out = self.setting.seen[look]
        self.steps[:] = steps
        result: T = seen
        return result

    # ------------------------------------------------------------- connections

    def connect(self, who: str = "ann", *, receive_buffer: int = 0) -> Connection:
        """A connection, not logged in. Raises NotReached."""
        sock = socket.socket(_family(self.setting.address), socket.SOCK_STREAM)
        if receive_buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.settimeout(self.timeout)
        try:
            sock.connect(self.setting.address)
            sock = sock if self.setting.wrap is None else self.setting.wrap(sock)
        except OSError as error:
            sock.close()
            raise NotReached(f"cannot connect: {error.strerror or error}") from error
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        conn = Connection(self, who, sock)
        self._conns.append(conn)
        self.step(who, Direction.NOTE, note="connected")
        return conn

    def member(self, who: str = "ann", *, receive_buffer: int = 0) -> Connection:
        """A connection that is logged in afresh."""
        conn = self.connect(who, receive_buffer=receive_buffer)
        conn.login()
        return conn

    def members(self, *names: str) -> list[Connection]:
        return [self.member(name) for name in names]

    def liveness_check(self) -> None:
        """A new connection is served as if nothing had been. Raises CaseFailed."""
        expected = ("a new connection is served as before",)
        conn = self.connect("liveness-check")
        try:
            conn.login()
        except CaseFailed as failure:
            raise CaseFailed(expected, failure.actual) from failure

    def close(self) -> None:
        """End all connections, and wait a little until the server has ended them too."""
        deadline = time.monotonic() + min(CLOSING, self.timeout)
        for conn in self._conns:
            conn.half_close(quietly=True)
        for conn in self._conns:
            conn.close(deadline)

    def validate_streams(self) -> None:
        """All that came on each connection was frames, to its end. Raises CaseFailed."""
        for conn in self._conns:
            conn.validate_stream()

    # ------------------------------------------------------------- evidence

    @property
    def now(self) -> float:
        return time.monotonic() - self._start

    def step(
        self,
        who: str,
        direction: Direction,
        data: bytes = b"",
        note: str = "",
        begun: Begun = NOTHING,
    ) -> None:
        before = len(begun.data)
        shown = begun.data + data[:KEPT]
        for secret in self.secrets:
            shown = shown.replace(secret, b"*" * len(secret))
        self.steps.append(
            Step(
                at=self.now,
                who=who,
                direction=direction,
                data=shown[before:],
                size=len(data),
                note=note,
                begun=Begun(shown[:before], begun.size),
            )
        )
        if len(self.steps) > 2 * (FIRST + LAST):
            self._left_out += len(self.steps) - FIRST - LAST
            del self.steps[FIRST:-LAST]

    @property
    def evidence(self) -> tuple[Step, ...]:
        """The steps, without the middle of very many."""
        last = max(FIRST, len(self.steps) - LAST)
        left_out = self._left_out + last - FIRST
        if left_out <= 0 or len(self.steps) <= FIRST:
            return tuple(self.steps)
        at = self.steps[FIRST].at
        gap = Step(at=at, who="kit", direction=Direction.NOTE, note=f"{left_out} steps left out")
        return (*self.steps[:FIRST], gap, *self.steps[last:])

    def fail(self, expected: str, actual: str) -> CaseFailed:
        return CaseFailed((expected,), actual)

    def go_on(self) -> None:
        """Raise CaseFailed where the attempt has taken far too long, whatever still comes."""
        if time.monotonic() > self._last:
            seconds = self._last - self._start
            raise self.fail("the case comes to its end", f"it went on for {seconds:.0f} s")

    def check(self, holds: bool, expected: str | tuple[str, ...], actual: object) -> None:
        """Raise CaseFailed unless it holds."""
        if not holds:
            any_of = (expected,) if isinstance(expected, str) else expected
            raise CaseFailed(any_of, actual if isinstance(actual, str) else ascii(actual))


class Connection:
    """One connection of a case. `seen` is all that came, in order, strangers' facts too."""

    def __init__(self, attempt: Attempt, who: str, sock: socket.socket) -> None:
        self.attempt = attempt
        self.who = who
        self.seen: list[Frame] = []
        self.ended = ""
        """How the stream ended, empty while it has not."""
        self.residue = 0
        """Bytes of a frame that the end of the stream cut."""
        self.broken = ""
        """What went wrong where the connection was reset, in reading or in writing."""
        self.welcome: Frame | None = None
        self._sock = sock
        self.failure = ""
        """What came that is no frame, or far too much; nothing is read into frames after it."""
        self._buffer = bytearray()
        self._frames: deque[Frame] = deque()
        self._came = self._count = 0
        self._last_look = LastLook(AFTER_DEADLINE)
        self._seq = 0
        self._begun = NOTHING  # of what is sent; what comes is told frame by frame
        self.recording = True
        self.answers = True
        """Whether a Ping of the server's is answered."""

    # ------------------------------------------------------------- sending

    @property
    def user(self) -> str:
        return self.attempt.name(self.who)

    def seq(self) -> int:
        """The next number of a request."""
        self._seq += 1
        return self._seq

    def send(self, *frames: bytes) -> None:
        """Send, cut as the segmentation says."""
        data = b"".join(frames)
        self._note(data)
        for piece in self.attempt.segmentation.cut(data, self.attempt.rng):
            self._write(piece)

    def send_piece(self, data: bytes) -> None:
        """Send in one piece, whatever the segmentation."""
        self._note(data)
        self._write(data)

    def _note(self, data: bytes) -> None:
        self.attempt.step(self.who, Direction.SENT, data, summaries(data, self._begun), self._begun)
        self._begun = self._begun.after(data)

    def _write(self, data: bytes) -> None:
        left = self.write_some(data, self.attempt.timeout)
        # The peer may have closed meanwhile, and what it said before is still to be read.
        now = time.monotonic()
        while left and not self.ended and self._wait(now, READ) and self._read(now):
            pass
        if left and not self.ended:
            raise self.attempt.fail("what is sent is taken", f"{left} bytes not taken")

    def write_some(self, data: bytes, timeout: float, *, reading: bool = True) -> int:
        """Write, reading meanwhile; gives how many bytes were not taken for so long."""
        view = memoryview(data)
        deadline = time.monotonic() + timeout
        while view:
            self.attempt.go_on()
            try:
                sent = self._sock.send(view)
            except NOT_NOW:
                if not self._wait(deadline, WRITE | (READ if reading else 0)):
                    break
                if reading and not self._read(deadline):
                    break
                continue
            except OSError as error:
                # The server ended the connection while we wrote: what it said is still to read.
                self.broken = f"sending: {error.strerror}"
                self.attempt.step(self.who, Direction.NOTE, note=self.broken)
                break
            view = view[sent:]
            deadline = time.monotonic() + timeout
        return len(view)

    def half_close(self, *, quietly: bool = False) -> None:
        """End one's own stream; nothing is answered from now on. Raises Unsupported over TLS."""
        self.answers = False
        if not quietly:
            if self.attempt.setting.wrap is not None:
                raise Unsupported("needs half-closed connections, which TLS does not have")
            self.attempt.step(self.who, Direction.NOTE, note=HALF_CLOSED)
        try:
            # An SSLSocket's own would give up TLS, and what comes could not be read any more.
            socket.socket.shutdown(self._sock, socket.SHUT_WR)
        except OSError as error:
            if not quietly:
                self.attempt.step(self.who, Direction.NOTE, note=f"{error.strerror}")

    def reset(self) -> None:
        """Break the connection: the server gets a TCP reset."""
        self.attempt.step(self.who, Direction.NOTE, note=RESET)
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._sock.close()
        self.ended = "reset by the kit"

    def close(self, deadline: float) -> None:
        """Read to the end or the deadline, and close."""
        while not self.ended and self._wait(deadline, READ) and self._read(deadline):
            pass
        self._sock.close()

    def validate_stream(self) -> None:
        """Raise CaseFailed where what came is no sequence of frames."""
        if self.failure:
            raise self.attempt.fail("frames, and nothing else", self.failure)

    # ------------------------------------------------------------- requests

    def login(self, *, ticket: int = 0, position: int = 0) -> Frame:
        """Log in under one's name, and await the Welcome."""
        identity = self.attempt.identity(self.who)
        seq = self.seq()
        self.send(raw.login(seq, identity.name, identity.credential, ticket, position))
        return self.welcomed(seq)

    def welcomed(self, seq: int) -> Frame:
        """Await the Welcome to a Login that was sent."""
        self.welcome = self.expect(e.welcome(seq))
        return self.welcome

    @property
    def place(self) -> int:
        """`Welcome.position`."""
        return self._welcomed("position")

    @property
    def ticket(self) -> int:
        return self._welcomed("ticket")

    @property
    def max_frame(self) -> int:
        return self._welcomed("max_frame")

    @property
    def heartbeat(self) -> int:
        return self._welcomed("heartbeat")

    def _welcomed(self, name: str) -> int:
        assert self.welcome is not None, "the case asks before it has logged in"
        return self.welcome.number(name)

    def say(self, content: bytes | str) -> int:
        """Send a Message; gives its seq."""
        seq = self.seq()
        self.send(raw.message(seq, content))
        return seq

    def said(self, content: bytes | str) -> int:
        """Send a Message and await its Ack; gives its position."""
        return self.expect(e.ack(self.say(content))).number("position")

    def log_out(self) -> Frame:
        """Send a Logout and await its Ack."""
        seq = self.seq()
        self.send(raw.logout(seq))
        return self.expect(e.ack(seq))

    # ------------------------------------------------------------- receiving

    def expect(self, *expectations: Expectation) -> Frame:
        """Await these, one after the other; gives the last. Raises CaseFailed."""
        frame: Frame | None = None
        for expectation in expectations:
            frame = self._expect(expectation, self.deadline())
        return frame or Frame(b"")

    def expect_by(self, expectation: Expectation, deadline: float) -> Frame | None:
        """Await this until a deadline of the case's own."""
        return self._expect(expectation, deadline)

    def deadline(self) -> float:
        """When what is awaited from now on must have come."""
        return time.monotonic() + self.attempt.timeout

    def ends(self, code: int) -> None:
        """Await the last frame, an Error of this code with seq 0, and then the end."""
        self.expect(e.fatal(code), e.END)

    def sync(self) -> list[Frame]:
        """Everything that came until now, proved by a Ping: gives what stands before its Pong."""
        start = len(self.seen)
        seq = self.seq()
        self.send(raw.ping(seq))
        wanted = e.pong(seq)
        deadline = self.deadline()
        while True:
            frame = self.next(deadline)
            if wanted.fits(frame):
                return self.seen[start:-1]
            if frame is None:
                raise CaseFailed(wanted.says, self.silence)

    def expect_silence(self) -> None:
        """Nothing comes for this connection but what strangers do: proved by a Ping."""
        came = [f for f in self.sync() if not f.is_fact or self.attempt.is_ours(f)]
        if came:
            raise CaseFailed(("nothing",), summary(came[0].raw))

    def ends_unbroken(self) -> None:
        """Await the end of the stream: a reset, whichever side of ours notices it, is none."""
        self.expect(e.END)
        self.attempt.check(not self.broken, "no reset", self.broken)

    def to_the_end(self) -> None:
        """Read all that comes, whatever it is, to the end or until nothing comes in time."""
        while self.next(self.deadline()) is not None:
            pass

    def nothing_more(self) -> None:
        """The end comes, and nothing of this case before it."""
        self._expect(e.END, self.deadline())

    def next(self, deadline: float) -> Frame | None:
        """The next frame, whatever it is; None at the end or the deadline. Raises CaseFailed."""
        self.attempt.go_on()
        while not self._frames and not self.ended and not self.failure:
            if not self._wait(deadline, READ) or not self._read(deadline):
                break
        if not self._frames:
            self.validate_stream()
            return None
        frame = self._frames.popleft()
        self.seen.append(frame)
        return frame

    @property
    def silence(self) -> str:
        """Why there is no frame, for people."""
        return (self.ended or "nothing came in time") + self._hint

    def _expect(self, wanted: Expectation, deadline: float) -> Frame | None:
        while True:
            frame = self.next(deadline)
            if frame is None and not self.ended:
                raise CaseFailed(wanted.says, self.silence)
            if wanted.fits(frame):
                return frame
            if frame is None:
                raise CaseFailed(wanted.says, self.silence)
            if not self._passes(frame, wanted):
                raise CaseFailed(wanted.says, summary(frame.raw))

    def _passes(self, frame: Frame, wanted: Expectation) -> bool:
        """Whether this frame may come before what is wanted."""
        if frame.type == raw.PING:
            self.answer(frame)
            return True
        if not frame.is_fact:
            return False
        if wanted.lane is Lane.REPLY or not self.attempt.is_ours(frame):
            return True
        if wanted.lane is Lane.PRESENCE:
            return not wanted.about(frame)
        return frame.is_presence

    def answer(self, ping: Frame) -> None:
        """Answer a Ping of the server's."""
        if self.answers:
            self.send_piece(raw.pong(ping.seq))

    def _wait(self, deadline: float, events: int) -> bool:
        if isinstance(self._sock, ssl.SSLSocket) and events & READ and self._sock.pending():
            return True  # it has been read, and only not been given
        left = max(0.0, deadline - time.monotonic())
        return bool(ready({self._sock.fileno(): events}, left))

    def _read(self, deadline: float) -> bool:
        """Take what has come; False where that was more than the last look at a deadline."""
        try:
            data = self._sock.recv(1 << 18)
        except NOT_NOW:
            return time.monotonic() <= deadline
        except OSError as error:
            self.broken = f"the connection failed: {error.strerror}"
            self._end(self.broken)
            return True
        if not data:
            self._end("the end of the stream")
            return True
        self._came += len(data)
        if not self.failure:
            self._buffer += data
            self._take_frames()
        return not self._last_look.is_over(deadline, len(data))

    def _take_frames(self) -> None:
        start = 0
        failure = ""
        while len(self._buffer) - start >= 4:
            length = int.from_bytes(self._buffer[start : start + 4], "big")
            failure = self._error_in(length)
            if failure or len(self._buffer) - start < 4 + length:
                break
            self._take(Frame(bytes(self._buffer[start : start + 4 + length])))
            start += 4 + length
        del self._buffer[:start]
        if failure:
            self._give_up(failure)

    def _error_in(self, length: int) -> str:
        """Why no frame of this length is awaited, empty where one is."""
        largest = LARGEST if self.welcome is None else max(LARGEST, self.max_frame + raw.ALLOWANCE)
        if not 12 <= length <= largest:
            return f"a length of {length}"
        if self._came > MOST_BYTES or self._count >= MOST_FRAMES:
            return f"{self._came} bytes in {self._count} frames, without an end"
        return ""

    def _give_up(self, failure: str) -> None:
        """Read no more frames out of what comes."""
        self.failure = failure + self._hint
        self.attempt.step(self.who, Direction.RECEIVED, bytes(self._buffer), note=failure)
        self._buffer.clear()

    def _take(self, frame: Frame) -> None:
        self._count += 1
        if self.recording:
            self._hide(frame)
            self.attempt.step(self.who, Direction.RECEIVED, frame.raw)
        self._frames.append(frame)

    @property
    def _hint(self) -> str:
        """What the bytes that are no frame look like."""
        hint = dissect(bytes(self._buffer[:KEPT])).hint
        return "" if hint is None else f"; perhaps: {hint}"

    def _hide(self, frame: Frame) -> None:
        ticket = frame.number("ticket")
        if frame.type == raw.WELCOME and ticket > 0:
            self.attempt.secrets.add(ticket.to_bytes(8, "big"))

    def _end(self, how: str) -> None:
        self.residue = len(self._buffer)
        if self._buffer:
            how += f", {len(self._buffer)} bytes into a frame"
        self.ended = how
        self.attempt.step(self.who, Direction.NOTE, note=how)


def entries(frames: Iterable[Frame]) -> list[int]:
    """The positions that these frames give, in their order."""
    return [frame.entry for frame in frames if frame.entry]


def _family(address: tuple[str, int]) -> Any:
    return socket.getaddrinfo(*address, type=socket.SOCK_STREAM)[0][0]
