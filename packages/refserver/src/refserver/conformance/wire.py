"""One end of a connection: bytes out, frames in, before a deadline.

Rule: nothing here sleeps, and nothing here knows what a frame means. What comes and is no
frame, or has no end, is kept as a failure and read into frames no more.

Layer: above `transcript` and `streams`, below `connection`.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable

from eventcodec.dissect import dissect

from ..readiness import READ, WRITE
from ..wording import counted
from . import raw
from .annotate import NOTHING, summaries
from .deadlines import LastLook
from .model import Direction
from .raw import Frame
from .streams import NOT_NOW, Stream
from .suite import Unsupported
from .transcript import KEPT, Transcript

__all__ = ["HALF_CLOSED", "RESET", "Wire"]

HALF_CLOSED, RESET = "shut down the sending side", "reset the connection"
AFTER_DEADLINE = 16 << 20
"""Bytes that were there when a deadline passed, and are still read: a flood is more."""
MOST_BYTES, MOST_FRAMES = 256 << 20, 2_000_000
"""What one connection may bring in one case; no case needs half of it."""
LARGEST = (16 << 20) + raw.ALLOWANCE
"""A length above it is no frame's, unless a Welcome announced more (EP-7.1-4)."""


class Wire:
    """One end of a connection. `seen` is every frame that was taken, in order.

    It has more than twenty methods and fifteen attributes: what came, how it ended, and what goes
    out are one transcript.
    """

    def __init__(self, transcript: Transcript, who: str, stream: Stream, timeout: float) -> None:
        self.transcript = transcript
        self.who = who
        self.timeout = timeout
        """Seconds that one wait may take."""
        self.seen: list[Frame] = []
        self.ended = ""
        """How the stream ended, empty while it has not."""
        self.residue = 0
        """Bytes of a frame that the end of the stream cut."""
        self.broken = ""
        """What went wrong where the connection was reset, in reading or in writing."""
        self.failure = ""
        """What came that is no frame, or far too much."""
        self.recording = True
        """Whether frames that come are steps of the transcript."""
        self.largest = LARGEST
        """A greater length is no frame's."""
        self.stream = stream
        self._buffer = bytearray()
        self._frames: deque[Frame] = deque()
        self._came = self._count = 0
        self._last_look = LastLook(AFTER_DEADLINE)
        self._begun = NOTHING  # of what is sent; what comes is told frame by frame

    def deadline(self) -> float:
        """When what is awaited from now on must have come."""
        return time.monotonic() + self.timeout

    # ------------------------------------------------------------- out

    def send_pieces(self, pieces: Iterable[bytes]) -> None:
        """Send these pieces one by one; the transcript has them as one step."""
        pieces = list(pieces)
        data = b"".join(pieces)
        told = summaries(data, self._begun)
        self.transcript.step(self.who, Direction.SENT, data, told, self._begun)
        self._begun = self._begun.after(data)
        for piece in pieces:
            self._write(piece)

    def send_piece(self, data: bytes) -> None:
        """Send in one piece."""
        self.send_pieces([data])

    def _write(self, data: bytes) -> None:
        left = self.write_some(data, self.timeout)
        # The peer may have closed meanwhile, and what it said before is still to be read.
        now = time.monotonic()
        while left and not self.ended and self.wait(now, READ) and self._read(now):
            pass
        if left and not self.ended:
            raise self.transcript.fail(
                "what is sent is taken", f"{counted(left, 'byte')} not taken"
            )

    def write_some(self, data: bytes, timeout: float, *, reading: bool = True) -> int:
        """Write, reading meanwhile; returns how many bytes were not taken for so long."""
        view = memoryview(data)
        deadline = time.monotonic() + timeout
        while view:
            self.transcript.check_time()
            try:
                sent = self.stream.send(view)
            except NOT_NOW:
                if not self.wait(deadline, WRITE | (READ if reading else 0)):
                    break
                if reading and not self._read(deadline):
                    break
                continue
            except OSError as error:
                # The server ended the connection while we wrote: what it said is still to read.
                self.broken = f"sending: {error.strerror}"
                self.transcript.step(self.who, Direction.NOTE, note=self.broken)
                break
            view = view[sent:]
            deadline = time.monotonic() + timeout
        return len(view)

    def half_close(self, *, quietly: bool = False) -> None:
        """End one's own direction. Raises Unsupported where the transport cannot."""
        if not quietly:
            if not self.stream.half_closes:
                transport = self.stream.transport
                raise Unsupported(f"needs half-closed connections, which {transport} does not have")
            self.transcript.step(self.who, Direction.NOTE, note=HALF_CLOSED)
        try:
            self.stream.end()
        except OSError as error:
            if not quietly:
                self.transcript.step(self.who, Direction.NOTE, note=f"{error.strerror}")

    def reset(self) -> None:
        """Break the connection: the server gets a TCP reset."""
        self.transcript.step(self.who, Direction.NOTE, note=RESET)
        self.stream.reset()
        self.ended = "reset by the kit"

    def close(self, deadline: float) -> None:
        """Read to the end or the deadline, and close."""
        while not self.ended and self.wait(deadline, READ) and self._read(deadline):
            pass
        self.stream.close()

    # ------------------------------------------------------------- in

    def next(self, deadline: float) -> Frame | None:
        """The next frame, whatever it is; None at the end or the deadline. Raises CaseFailed."""
        self.transcript.check_time()
        while not self._frames and not self.ended and not self.failure:
            if not self.wait(deadline, READ) or not self._read(deadline):
                break
        if not self._frames:
            self.validate_stream()
            return None
        frame = self._frames.popleft()
        self.seen.append(frame)
        return frame

    def validate_stream(self) -> None:
        """Raise CaseFailed where what came is no sequence of frames."""
        if self.failure:
            raise self.transcript.fail("frames, and nothing else", self.failure)

    @property
    def silence(self) -> str:
        """Why there is no frame, for people."""
        return (self.ended or "nothing came in time") + self._hint

    def wait(self, deadline: float, events: int) -> bool:
        """Wait until the stream is ready for one of these; False at the deadline."""
        return self.stream.wait(deadline, events)

    def _read(self, deadline: float) -> bool:
        """Take what has come; False where that was more than the last look at a deadline."""
        try:
            data = self.stream.receive()
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
        size = len(self._buffer)
        failure = ""
        while size - start >= 4:
            length = int.from_bytes(self._buffer[start : start + 4], "big")
            failure = self._error_in(length)
            end = start + 4 + length
            if failure or end > size:
                break
            self._take(Frame(bytes(self._buffer[start:end])))
            start = end
        del self._buffer[:start]
        if failure:
            self._give_up(failure)

    def _error_in(self, length: int) -> str:
        """Why no frame of this length is awaited, empty where one is."""
        if not 12 <= length <= self.largest:
            return f"a length of {length}"
        if self._came > MOST_BYTES or self._count >= MOST_FRAMES:
            return (
                f"{counted(self._came, 'byte')} in {counted(self._count, 'frame')}, without an end"
            )
        return ""

    def _give_up(self, failure: str) -> None:
        """Read no more frames out of what comes."""
        self.failure = failure + self._hint
        self.transcript.step(self.who, Direction.RECEIVED, bytes(self._buffer), note=failure)
        self._buffer.clear()

    def _take(self, frame: Frame) -> None:
        self._count += 1
        if self.recording:
            if frame.type == raw.WELCOME:
                self._hide_ticket(frame)
            self.transcript.step(self.who, Direction.RECEIVED, frame.raw)
        self._frames.append(frame)

    def _hide_ticket(self, frame: Frame) -> None:
        ticket = frame.number("ticket")
        if ticket > 0:
            self.transcript.hide(ticket.to_bytes(8, "big"))

    @property
    def _hint(self) -> str:
        """What the bytes that are no frame look like."""
        hint = dissect(bytes(self._buffer[:KEPT])).hint
        return "" if hint is None else f"; perhaps: {hint}"

    def _end(self, how: str) -> None:
        self.residue = len(self._buffer)
        if self._buffer:
            how += f", {counted(len(self._buffer), 'byte')} into a frame"
        self.ended = how
        self.transcript.step(self.who, Direction.NOTE, note=how)
