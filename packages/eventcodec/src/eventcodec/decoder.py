"""Any chunks -> events, in order.

Rule: how the stream was cut into chunks changes nothing: not the events, not the
error, not its place. A decoder fails once and stays failed; it holds less than one
frame when its events were taken, and nothing after an error.

Layer: above `codec`, below `states`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from copy import copy
from operator import length_hint

from .codec import LAST_ERROR, STANDARD, Codec, Relayed, encode, relay
from .errors import ConnectionLost, EventError, LocalError, ProtocolError
from .events import Event
from .framing import HEADER, LENGTH, WORD, judge_header, judge_length
from .limits import HEADER_SIZE, LENGTH_SIZE, Limits

__all__ = ["Decoder"]

_HEADER = HEADER.unpack_from

MADE_AT_ONCE = 64
"""Events of one kind that are made in one go. Measured with 1,000 messages: one by one a
fourth slower; more at once is no faster, and holds more."""


class Decoder:
    """Cut a byte stream into events, whatever the chunks.

    `limits.max_frame` is the greatest `length` accepted, judged when the four bytes of
    the length are in. A decoder never opens, reads or waits for anything: give it what
    came, take what is whole.

    >>> decoder = Decoder()
    >>> list(decoder.receive(bytes.fromhex("0000000c01060000")))
    []
    >>> list(decoder.receive(bytes.fromhex("0000000000000007")))
    [Ping(seq=7)]
    """

    def __init__(self, limits: Limits | None = None, codec: Codec = STANDARD) -> None:
        self.unnumbered: int | None = LAST_ERROR  # the word that may stand with seq 0
        self.max_frame = (limits or Limits()).max_frame
        self._codec = codec
        self._data = b""  # what is being cut, from _at on
        self._at = 0
        self._later = bytearray()  # what came behind _data
        self._made: Iterator[Event] = iter(())  # events that nobody has taken yet
        self._need = LENGTH_SIZE  # so many bytes from _at on are worth another look
        self._before = 0  # bytes of the stream before _data
        self._eof = False
        self._error: EventError | None = None

    @property
    def held(self) -> int:
        """Bytes held whose events nobody has taken yet."""
        return len(self._data) - self._at + len(self._later) + self._untaken

    @property
    def error(self) -> EventError | None:
        """What this decoder failed with, if it did."""
        return self._error

    @property
    def offset(self) -> int:
        """Bytes of the stream whose events were taken."""
        return self._before + self._at - self._untaken

    @property
    def _untaken(self) -> int:
        """Bytes of the events that were made already, ahead of whoever takes them."""
        if not length_hint(self._made):
            return 0
        return sum(len(encode(event)) for event in copy(self._made))

    def receive(self, data: bytes) -> Iterator[Event]:
        """Store what came, at once, and return the iterator of the events that are whole.

        `b""` is the end of the stream. The iterator gives the good events first and then
        ends, or raises: ProtocolError where the peer broke the frame, ConnectionLost where
        the stream ended inside a frame. What was raised once is raised again by every
        later iterator, and what comes after it is not kept. Raises LocalError for data
        behind the end. EP-2.1-5, EP-2.1-6, EP-8.3-5.
        """
        ended = len(data) == 0  # a TypeError for None, which some readers give for "not now"
        if self._error is None:
            if self._eof and not ended:
                raise LocalError("data behind the end of the stream")
            if ended:
                self._eof = True
            elif self._at == len(self._data) and not self._later:
                whole = bytes(data)
                self._before += self._at
                self._data, self._at = whole, 0
            else:
                self._later += data
        return self._events()

    def fail(self, error: EventError) -> EventError:
        """Hold nothing more and raise `error` from now on; gives it back.

        What is kept is a copy that is never raised itself: with its traceback it would
        hold every frame that it passed, and the bytes in them.
        """
        if self._error is None:
            self._error = copy(error)
            deque(self._made, maxlen=0)  # whoever is in the middle of them gets no more either
            self._before += self._at
            self._data, self._at = b"", 0
            self._later = bytearray()
            return error
        return copy(self._error)

    def relay(self, sender: bytes, position: int, count: int) -> Relayed:
        """Take the run of good messages that is next, see `codec.relay`."""
        if self._error is not None or length_hint(self._made):
            return Relayed([], b"")
        self._refill()
        relayed, self._at = relay(self._data, self._at, self.max_frame, sender, position, count)
        return relayed

    def _events(self) -> Iterator[Event]:
        many = self._codec.many_by_word.get
        while True:
            yield from self._made
            if length_hint(self._made):  # another iterator made them while this one stood
                continue
            data, at = self._data, self._at
            if at + HEADER_SIZE <= len(data):
                word = WORD.unpack_from(data, at + LENGTH_SIZE)[0]
                decode_many = many(word)
                if decode_many is not None:
                    made, self._at = decode_many(data, at, word, self.max_frame, MADE_AT_ONCE)
                    self._made = iter(made)
                    if made:
                        continue
            if self._error is not None:
                raise copy(self._error)
            if self._refill():
                continue
            try:
                rare = self._look()
            except EventError as error:
                self._failed(error)
                continue
            if rare is None:
                return
            yield rare

    def _failed(self, error: EventError) -> None:
        """Keep the error, with its place in the stream."""
        if isinstance(error, ProtocolError):
            error.offset += self._before
        self.fail(error)

    def _refill(self) -> bool:
        """Join what came later, if it makes a difference; True if it was."""
        rest = len(self._data) - self._at
        if not self._later or rest + len(self._later) < self._need:
            return False
        self._before += self._at
        self._data, self._at = b"".join((self._data[self._at :], self._later)), 0
        self._later = bytearray()
        self._need = LENGTH_SIZE
        return True

    def _look(self) -> Event | None:
        """Judge what the fast road leaves: pieces, faults, and the last Error."""
        data, at = self._data, self._at
        rest = len(data) - at
        if rest < LENGTH_SIZE:
            self._wait(LENGTH_SIZE)
            return None
        (length,) = LENGTH.unpack_from(data, at)
        judge_length(length, self.max_frame, at)
        if rest < HEADER_SIZE:
            self._wait(HEADER_SIZE)
            return None
        _, word, seq = _HEADER(data, at)
        judge_header(word, seq, at, unnumbered=self.unnumbered)
        stop = at + LENGTH_SIZE + length
        if stop > len(data):
            self._wait(LENGTH_SIZE + length)
            return None
        event = self._codec.decode_at(data, at, stop)
        self._at = stop
        return event

    def _wait(self, need: int) -> None:
        """Keep only the piece of a frame, until `need` bytes of it are in."""
        self._need = need
        if self._at:
            self._before += self._at
            self._data, self._at = self._data[self._at :], 0
        if self._eof and self.held:
            raise ConnectionLost("the stream ended inside a frame")
