"""A case's connection: what is asked, and what is expected of what comes.

Rule: what must come is awaited until a deadline; what must not come is disproved by the reply
to a Ping behind it. Others in the room are passed over: names and contents of a case are its own.

Layer: above `wire`, `expect` and `names`, below `attempt`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from . import expect as e
from . import raw
from .annotate import summary
from .expect import Expectation, Lane
from .names import Names
from .raw import Frame
from .streams import Stream
from .suite import CaseFailed
from .transcript import Transcript
from .wire import Wire

__all__ = ["Connection", "Cut", "entries"]

Cut = Callable[[bytes], Iterable[bytes]]
"""Cuts what is sent into the pieces in which it is written."""


class Connection(Wire):
    """One connection of a case. `seen` is all that came, in order, strangers' facts too.

    It has more than twenty methods: one for each thing that a case does or expects.
    """

    def __init__(
        self,
        who: str,
        stream: Stream,
        *,
        transcript: Transcript,
        names: Names,
        cut: Cut,
        timeout: float,
    ) -> None:
        super().__init__(transcript, who, stream, timeout)
        self.welcome: Frame | None = None
        self.answers = True
        """Whether a Ping of the server's is answered."""
        self._names = names
        self._cut = cut
        self._seq = 0

    # ------------------------------------------------------------- requests

    @property
    def user(self) -> str:
        return self._names.identity(self.who).name

    def seq(self) -> int:
        """The next number of a request."""
        self._seq += 1
        return self._seq

    def send(self, *frames: bytes) -> None:
        """Send, cut as the segmentation says."""
        self.send_pieces(self._cut(b"".join(frames)))

    def half_close(self, *, quietly: bool = False) -> None:
        """End one's own direction; nothing is answered from now on."""
        self.answers = False
        super().half_close(quietly=quietly)

    def login(self, *, ticket: int = 0, position: int = 0) -> Frame:
        """Log in under one's name, and await the Welcome."""
        identity = self._names.identity(self.who)
        seq = self.seq()
        self.send(raw.login(seq, identity.name, identity.credential, ticket, position))
        return self.welcomed(seq)

    def welcomed(self, seq: int) -> Frame:
        """Await the Welcome to a Login that was sent."""
        self.welcome = self.expect(e.welcome(seq))
        self.largest = max(self.largest, self.max_frame + raw.ALLOWANCE)
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
        """Send a Message; returns its seq."""
        seq = self.seq()
        self.send(raw.message(seq, content))
        return seq

    def said(self, content: bytes | str) -> int:
        """Send a Message and await its Ack; returns its position."""
        return self.expect(e.ack(self.say(content))).number("position")

    def log_out(self) -> Frame:
        """Send a Logout and await its Ack."""
        seq = self.seq()
        self.send(raw.logout(seq))
        return self.expect(e.ack(seq))

    # ------------------------------------------------------------- expectations

    def expect(self, *expectations: Expectation) -> Frame:
        """Await these, one after the other; returns the last. Raises CaseFailed."""
        frame: Frame | None = None
        for expectation in expectations:
            frame = self.expect_by(expectation, self.deadline())
        return frame or Frame(b"")

    def expect_by(self, wanted: Expectation, deadline: float) -> Frame | None:
        """Await this until a deadline of the case's own; None is the end. Raises CaseFailed."""
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
        if wanted.lane is Lane.REPLY or not self._names.is_ours(frame):
            return True
        if wanted.lane is Lane.PRESENCE:
            return not wanted.about(frame)
        return frame.is_presence

    def answer(self, ping: Frame) -> None:
        """Answer a Ping of the server's."""
        if self.answers:
            self.send_piece(raw.pong(ping.seq))

    def sync(self) -> list[Frame]:
        """Everything that came until now, proved by a Ping: what stands before its Pong."""
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
        came = [f for f in self.sync() if not f.is_fact or self._names.is_ours(f)]
        if came:
            raise CaseFailed(("nothing",), summary(came[0].raw))

    def ends(self, code: int) -> None:
        """Await the last frame, an Error of this code with seq 0, and then the end."""
        self.expect(e.fatal(code), e.END)

    def ends_unbroken(self) -> None:
        """Await the end of the stream: a reset, whichever side of ours notices it, is none."""
        self.expect(e.END)
        self.transcript.check(not self.broken, "no reset", self.broken)

    def nothing_more(self) -> None:
        """The end comes, and nothing of this case before it."""
        self.expect(e.END)

    def to_the_end(self) -> None:
        """Read all that comes, whatever it is, to the end or until nothing comes in time."""
        while self.next(self.deadline()) is not None:
            pass


def entries(frames: Iterable[Frame]) -> list[int]:
    """The positions that these frames give, in their order."""
    return [frame.entry for frame in frames if frame.entry]
