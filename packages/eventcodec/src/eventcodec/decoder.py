"""A stream in any chunks -> its events in order, then its end.

Rule: the chunks of a stream change neither the events nor the error nor its byte position. Each
event is returned once. An event that was not taken stays.

Layer: above `codec`, below `states`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass
from itertools import chain
from operator import length_hint
from typing import Generic, TypeVar

from .codec import LAST_ERROR, STANDARD, Buffer, Codec, relay
from .errors import ConnectionLostError, EventCodecError, LocalProtocolError, RemoteProtocolError
from .events import Event
from .framing import HEADER, LENGTH, validate_header, validate_length
from .limits import DEFAULT_MAX_FRAME, HEADER_SIZE, LENGTH_SIZE, MIN_LENGTH, frame_limit
from .value import Value

__all__ = ["ConnectionEnded", "Decoder", "Receiver", "Stream"]

AT_ONCE = 256
"""Events of one kind that are decoded in one go. Measured with 1,000 messages in pure Python: 64 at
once take 5 % more time; more than 256 take no less, and are held longer."""

_header = HEADER.unpack_from

E = TypeVar("E")


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ConnectionEnded(Value):
    """The last event; no other event follows it.

    `error` is None for a clean end. Otherwise its class says which side caused the end:
    `RemoteProtocolError`, `PeerError` or `ConnectionLostError`. The package does not raise it; you
    can raise it to treat the end as an exception.
    """

    error: EventCodecError | None = None
    """The cause of the end, or None."""


class Receiver(ABC, Generic[E]):
    """Data in, events out: what a `Decoder` and both ends of a connection have in common.

    `receive_data` and `receive_eof` take data. `next_event` and `events` return the events. Each
    event is returned once and in order, and `ConnectionEnded` is the last.
    """

    _stream: Stream
    _ended = False

    @property
    def ended(self) -> bool:
        """True when `ConnectionEnded` was returned. No other event follows."""
        return self._ended

    def receive_data(self, data: Buffer) -> None:
        """Takes received bytes; `next_event` and `events` return their events.

        A `bytearray` or `memoryview` is copied, so you can fill it again. Data after the last frame
        or after an error is dropped. Raises LocalProtocolError if `data` is empty (call
        `receive_eof` at the end of the stream), and for data after `receive_eof`. Raises TypeError
        if `data` is not bytes, for example text.
        """
        self._stream.feed(data)

    def receive_eof(self) -> None:
        """Ends the stream. The events before the end are still returned, then the end."""
        self._stream.eof = True

    @abstractmethod
    def next_event(self) -> E | ConnectionEnded | None:
        """The next event, or None."""

    def events(self) -> Iterator[E | ConnectionEnded]:
        """Iterate over the events that are ready.

        Each event is taken when the loop asks for it, as by `next_event`. A loop that is left
        early, by `break` or by an exception, leaves the other events where they are.
        """
        while (event := self.next_event()) is not None:
            yield event

    def _end(self) -> ConnectionEnded | None:
        """The end if it is reached; returned once."""
        end = self._stream.end
        if end is None or self._ended:
            return None
        self._ended = True
        return end


class Decoder(Receiver[Event]):
    """Reads events from a byte stream that arrives in chunks of any size.

    `codec` has the events of the application. `max_frame` is the greatest `length` in bytes that is
    accepted. A decoder does not check the order of events and sends no replies; connections do. A
    stream that ends between two frames has a clean end. Raises LocalProtocolError if no frame can
    have this `max_frame`.

    >>> decoder = Decoder()
    >>> decoder.receive_data(bytes.fromhex("0000000c01060000"))
    >>> list(decoder.events())
    []
    >>> decoder.receive_data(bytes.fromhex("0000000000000007"))
    >>> decoder.receive_eof()
    >>> list(decoder.events())
    [Ping(seq=7), ConnectionEnded(error=None)]
    """

    def __init__(self, *, codec: Codec = STANDARD, max_frame: int = DEFAULT_MAX_FRAME) -> None:
        self._stream = Stream(codec, max_frame, unnumbered=LAST_ERROR)

    @property
    def held(self) -> int:
        """Bytes held whose events were not given yet."""
        return self._stream.held()

    @property
    def offset(self) -> int:
        """Bytes of the stream whose events were given, from its beginning."""
        return self._stream.offset

    def next_event(self) -> Event | ConnectionEnded | None:
        """Returns the next event. Returns None if more data is needed, and after `ConnectionEnded`.

        The error of `ConnectionEnded` is a `RemoteProtocolError` for bytes that are no valid frame,
        and a `ConnectionLostError` for a stream that ended inside a frame.
        """
        run = self._next_run()
        return None if run is None else next(run)

    def events(self) -> Iterator[Event | ConnectionEnded]:
        # As a generator it takes 25 ns more for each event.
        return chain.from_iterable(iter(self._next_run, None))

    def _next_run(self) -> Iterator[Event | ConnectionEnded] | None:
        """The events that are decoded, or the end. None if more data is needed."""
        stream = self._stream
        if length_hint(stream.run) or stream.decode_run():  # another loop may have left some
            return stream.run
        end = self._end()
        return None if end is None else iter((end,))


class Stream:
    """The bytes of one direction, and the events in them.

    `run` iterates over events that are decoded and not returned yet; `decode_run` fills it.
    `unnumbered` is the header's word that may have seq 0, or None. `lost` is the error text if the
    stream ends between two frames; None means that this is a clean end.
    """

    def __init__(
        self, codec: Codec, max_frame: int, *, unnumbered: int | None, lost: str | None = None
    ) -> None:
        if not isinstance(codec, Codec):
            raise LocalProtocolError("not a Codec, which has the events: Codec([…])", field="codec")
        self.max_frame = frame_limit(max_frame)
        self.run: Iterator[Event] = iter(())
        self.eof = False
        self.end: ConnectionEnded | None = None
        self._decode_by_word = codec.by_word
        self._decode_many_by_word = codec.many_by_word
        self._unnumbered = unnumbered
        self._lost = lost
        self._data = b""  # what is being cut, from _at on
        self._at = 0
        self._later = bytearray()  # what came behind _data
        self._need = LENGTH_SIZE  # so many bytes from _at on are worth a look
        self._before = 0  # bytes of the stream before _data
        self._run_at = self._run_size = 0  # where the run begins in _data, and its events

    def feed(self, data: Buffer) -> None:
        """Keep these bytes. They are copied once, or not at all if they are `bytes` and no others
        wait."""
        if data.__class__ is not bytes:
            view = memoryview(data)
            data = view if view.c_contiguous else bytes(view)
            size = view.nbytes
        else:
            size = len(data)
        if not size:
            raise LocalProtocolError("no byte; the end of the stream is receive_eof()")
        if self.eof:
            raise LocalProtocolError("data behind the end of the stream")
        if self.end is not None:
            return
        rest = len(self._data) - self._at
        if self._later or rest >= self._need or 0 < rest < self._need - size:
            self._later += data
        elif rest:
            self._join(data)
        else:
            self._before += self._at
            self._data, self._at = bytes(data), 0

    def _join(self, data: Buffer) -> None:
        """Append the later bytes to the part of a frame that waits for them."""
        self._before += self._at
        self._data, self._at = b"".join((self._data[self._at :], data)), 0
        self._need = LENGTH_SIZE

    def held(self) -> int:
        """Bytes held whose events were not given yet."""
        return len(self._data) - self._given() + len(self._later)

    @property
    def offset(self) -> int:
        """Bytes of the stream whose events were given."""
        return self._before + self._given()

    @property
    def start_of_last(self) -> int:
        """The position in the stream of the first byte of the last returned event."""
        return self._before + self._place(self._run_size - length_hint(self.run) - 1)

    def _given(self) -> int:
        """The index in `_data` after the last returned event."""
        left = length_hint(self.run)
        return self._place(self._run_size - left) if left else self._at

    def _place(self, count: int) -> int:
        """The index in `_data` after so many events of the run."""
        at = self._run_at
        for _ in range(count):
            at += LENGTH_SIZE + LENGTH.unpack_from(self._data, at)[0]
        return at

    def decode_run(self) -> bool:
        """Decode the events of one kind that are next into `run`; False if there is none.

        The run before must have been taken to its end.
        """
        frame = self._frame()
        if frame is None:
            return False
        at, stop, word, seq = frame
        data = self._data
        decode_many = self._decode_many_by_word.get(word)
        if decode_many is not None and stop < len(data):
            made, end = decode_many(data, at, stop, word, seq, self.max_frame, AT_ONCE)
            if made:
                self._at, self._run_at, self._run_size = end, at, len(made)
                self.run = iter(made)
                return True
        event = self._decode(at, stop, word, seq)
        if event is None:
            return False
        self._run_at, self._run_size = at, 1
        self.run = iter((event,))
        return True

    def next_word(self) -> int | None:
        """Version, type and reserved of the next frame; None if none is whole."""
        frame = self._frame()
        return None if frame is None else frame[2]

    def decode_one(self) -> Event | None:
        """Decode the event that is next; None where there is none. It is not in `run`."""
        frame = self._frame()
        return None if frame is None else self._decode(*frame)

    def _decode(self, at: int, stop: int, word: int, seq: int) -> Event | None:
        try:
            event = self._decode_by_word[word](self._data, at + HEADER_SIZE, stop, seq)
        except RemoteProtocolError as error:
            self._fail(error)
            return None
        self._at = stop
        return event

    def relay(self, sender: bytes, position: int, count: int) -> tuple[list[bytes], bytes]:
        """Take the run of good messages that is next, see `codec.relay`."""
        if self._later:
            self._frame()
        if self.end is not None:
            return [], b""
        facts, acks, self._at = relay(self._data, self._at, self.max_frame, sender, position, count)
        return facts, acks

    def _frame(self) -> tuple[int, int, int, int] | None:
        """The next whole frame: place, end, word and seq. None where there is none.

        Its header is unpacked and validated here, once; a piece is looked at again only when
        the bytes that it lacks are there.
        """
        while self.end is None:
            data, at = self._data, self._at
            rest = len(data) - at
            if rest < self._need:
                if rest + len(self._later) < self._need:
                    self._wait(rest)
                    return None
                self._join(self._later)
                self._later = bytearray()
                continue
            try:
                if rest < HEADER_SIZE:
                    validate_length(LENGTH.unpack_from(data, at)[0], self.max_frame, at)
                    self._need = HEADER_SIZE
                    continue
                length, word, seq = _header(data, at)
                if not MIN_LENGTH <= length <= self.max_frame:
                    validate_length(length, self.max_frame, at)
                if not seq or word not in self._decode_by_word:
                    validate_header(word, seq, at, unnumbered=self._unnumbered)
            except RemoteProtocolError as error:
                self._fail(error)
                return None
            stop = at + LENGTH_SIZE + length
            if stop <= len(data):
                return at, stop, word, seq
            self._need = LENGTH_SIZE + length
        return None

    def _wait(self, rest: int) -> None:
        """Keep only the part of a frame that is not whole; end the stream if no more bytes can
        arrive."""
        if self.eof:
            inside = rest or self._later
            lost = "the stream ended inside a frame" if inside else self._lost
            self.finish(None if lost is None else ConnectionLostError(lost))
        elif self._at:
            self._before += self._at
            self._data, self._at = self._data[self._at :], 0

    def _fail(self, error: RemoteProtocolError) -> None:
        """End with this error; its position is in `_data`."""
        error.offset += self._before
        self.finish(error)

    def finish(self, error: EventCodecError | None) -> None:
        """From now on return only the end, and keep no data.

        The error is copied: with its traceback it would hold every frame that it passed, and
        the bytes in them.
        """
        if self.end is not None:
            return
        self._before = self.offset
        deque(self.run, maxlen=0)  # a loop that is still iterating over them also stops
        self.end = ConnectionEnded(copy(error))
        self._data, self._at = b"", 0
        self._later = bytearray()
