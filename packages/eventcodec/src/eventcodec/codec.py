"""A set of event types; one frame <-> one event.

Rule: an accepted frame encodes to the same bytes again. The content of an application event is
never an error of the frame. Only this module chooses an event class by a number.

Layer: above `events`, below `decoder`.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from copy import copy
from functools import cached_property, lru_cache
from struct import Struct

from .compiler import decode_many_with
from .errors import ErrorCode, LocalProtocolError, RemoteProtocolError, counted
from .events import (
    APPLICATION_TYPES,
    STANDARD_EVENTS,
    Ack,
    ApplicationEvent,
    Error,
    Event,
    Message,
    Unknown,
    check_event,
)
from .framing import HEADER, LENGTH, validate_header, validate_length, word_of
from .limits import ANY_FRAME, HEADER_SIZE, LENGTH_SIZE, MAX_SHORT_TEXT, MIN_LENGTH
from .speedups import native

__all__ = ["STANDARD", "Buffer", "Codec", "decode", "encode", "relay", "relay_pure"]

Buffer = bytes | bytearray | memoryview
"""The types that received bytes can have."""

Decode = Callable[[bytes, int, int, int], Event]
DecodeMany = Callable[[bytes, int, int, int, int, int, int], tuple[list[Event], int]]


class Codec:
    """The standard events, and the application events that you declare.

    An application event without a declared class decodes to the general `ApplicationEvent`. So does
    one with bytes that do not fit its class. Raises LocalProtocolError where two of the classes
    have one type.

    >>> Codec().decode(bytes.fromhex("0000000c 0106 0000 0000000000000007"))
    Ping(seq=7)
    """

    def __init__(self, events: Iterable[type[ApplicationEvent]] = ()) -> None:
        self.events: dict[int, type[Event]] = {event.type: event for event in STANDARD_EVENTS}
        for event in events:
            if event is ApplicationEvent:
                raise LocalProtocolError(
                    "the general ApplicationEvent has none of its own", field="type"
                )
            if "compiled" not in getattr(event, "__dict__", ()):
                reason = f"{event!r} is no class with the decorator application_event"
                raise LocalProtocolError(reason, field="events")
            if event.type in self.events:
                raise LocalProtocolError(f"{event.type:#04x} has a class already", field="type")
            self.events[event.type] = event

    @cached_property
    def by_word(self) -> dict[int, Decode]:
        """The function for one body, by a header's word; made at the first frame."""
        return {word_of(type): self._decode_of(type) for type in range(0x100)}

    @cached_property
    def many_by_word(self) -> dict[int, DecodeMany]:
        """The function for many frames of one kind, or None."""
        generals = {word_of(type): _general_many(type) for type in APPLICATION_TYPES}
        events = self.events.items()
        return generals | {word_of(type): event.compiled.decode_many for type, event in events}

    def _decode_of(self, type: int) -> Decode:
        event = self.events.get(type)
        if type not in APPLICATION_TYPES:
            return _unknown(type) if event is None else event.compiled.decode
        return _general(type) if event is None else _declared(type, event)

    def encode(self, event: Event) -> bytes:
        """The event's frame, all of it. Raises LocalProtocolError, see `encode`."""
        return encode(event)

    def decode(self, frame: Buffer, *, max_frame: int = ANY_FRAME) -> Event:
        """The event that one whole frame holds.

        `max_frame` is the greatest `length` accepted, in bytes. Raises RemoteProtocolError for
        bytes that are no frame of this protocol, or not exactly one, and TypeError if `frame` is
        not bytes.
        """
        # A bytearray would live on, changeable, in the event's fields.
        frame = bytes(frame if isinstance(frame, bytes) else memoryview(frame))
        if len(frame) < LENGTH_SIZE:
            raise RemoteProtocolError(ErrorCode.MALFORMED, "shorter than a length", field="length")
        (length,) = LENGTH.unpack_from(frame)
        validate_length(length, max_frame, 0)
        if length != len(frame) - LENGTH_SIZE:
            reason = (
                f"{length}, and the frame has {counted(len(frame) - LENGTH_SIZE, 'byte')} behind it"
            )
            raise RemoteProtocolError(ErrorCode.MALFORMED, reason, field="length")
        return self.decode_at(frame, 0, len(frame))

    def decode_at(self, data: bytes, start: int, stop: int) -> Event:
        """The event in `data[start:stop]`, a whole frame with a validated length."""
        _, word, seq = HEADER.unpack_from(data, start)
        validate_header(word, seq, start, unnumbered=LAST_ERROR)
        return self.by_word[word](data, start + HEADER_SIZE, stop, seq)


LAST_ERROR = word_of(Error.type)
"""The word of the only frame that may have seq 0."""


def _unknown(type: int) -> Decode:
    def decode(data: bytes, start: int, stop: int, seq: int) -> Event:
        return Unknown(type=type, body=data[start:stop], seq=seq)

    return decode


def _general(type: int) -> Decode:
    decode_body = ApplicationEvent.compiled.decode

    def decode(data: bytes, start: int, stop: int, seq: int) -> Event:
        return _as_general(decode_body(data, start, stop, seq), type, None)

    return decode


def _general_many(type: int) -> DecodeMany:
    native_many = decode_many_with(ApplicationEvent, [("_number", type), ("decode_error", None)])
    if native_many is not None:
        return native_many
    decode_bodies = ApplicationEvent.compiled.decode_many

    def decode_many(
        data: bytes, at: int, stop: int, word: int, seq: int, limit: int, count: int
    ) -> tuple[list[Event], int]:
        events, at = decode_bodies(data, at, stop, word, seq, limit, count)
        return [_as_general(event, type, None) for event in events], at

    return decode_many


def _declared(type: int, event: type[Event]) -> Decode:
    """The event of the declared class. Bytes that do not fit it become the general event with its
    error.

    The error's offset counts from the start of the frame: the event must not depend on what
    stood before it. It is a copy, since a traceback would hold all the bytes around.
    """
    decode_declared = event.compiled.decode
    decode_body = ApplicationEvent.compiled.decode

    def decode(data: bytes, start: int, stop: int, seq: int) -> Event:
        try:
            return decode_declared(data, start, stop, seq)  # type: ignore[no-any-return]
        except RemoteProtocolError as error:
            cause = copy(error)
            cause.offset -= start - HEADER_SIZE
            return _as_general(decode_body(data, start, stop, seq), type, cause)

    return decode


def _as_general(event: ApplicationEvent, type: int, error: RemoteProtocolError | None) -> Event:
    object.__setattr__(event, "_number", type)
    object.__setattr__(event, "decode_error", error)
    return event


STANDARD = Codec()


def decode(frame: Buffer) -> Event:
    """Returns the standard event in one whole frame. Application events become the general one.

    `encode(decode(frame)) == frame` for every frame that is accepted. `frame` begins with its four
    bytes of length and ends with its body. Raises RemoteProtocolError if the frame is not valid;
    its `offset` counts from the first byte of the frame. EP-8.3-4.

    >>> decode(bytes.fromhex("00000012 0102 0000 0000000000000007 00 68656c6c6f"))
    Message(seq=7, sender='', content='hello')
    """
    return STANDARD.decode(frame)


_encode: Callable[[Event], bytes] | None = None if native is None else native.Encoder().encode


def encode(event: Event) -> bytes:
    """Returns the frame of an event, from the length to the end of the body.

    `decode(encode(event)) == event`. Raises LocalProtocolError if the event has no number, if the
    frame is longer than 2^32 - 1 bytes, or if the argument is not an event of the wire. Only an
    `Error` that ends the connection has seq 0. EP-2.1-1, EP-2.2-7.

    >>> encode(Message(content="hi", seq=7)).hex()
    '0000000f010200000000000000000007006869'
    """
    try:
        return event.compiled.encode(event) if _encode is None else _encode(event)
    except AttributeError:
        check_event(event)
        raise
    except struct.error as error:
        check_event(event)
        raise LocalProtocolError(f"the frame would be longer than {ANY_FRAME} bytes") from error


_MESSAGE = word_of(Message.type)
_ACK = word_of(Ack.type)
_ACK_LENGTH = MIN_LENGTH + 8
_LEAST_RELAYED = MIN_LENGTH + 1
_RELAYED_WORDS = frozenset(word_of(type) for type in (Message.type, *APPLICATION_TYPES))
_request = Struct(">IIQB").unpack_from

assert [part.name for part in Message.parts] == ["sender", "content"]
assert [part.name for part in ApplicationEvent.parts] == ["sender", "data"]

_RELAYED: dict[int, type[Event]] = {
    Message.type: Message,
    **dict.fromkeys(APPLICATION_TYPES, ApplicationEvent),
}
_RELAYED_KINDS = bytes(
    0 if type not in _RELAYED else 1 if _RELAYED[type].parts[1].subcon.text else 2
    for type in range(0x100)
)
"""For the native module, a number for each type: 0 is not relayed, 1 has a text, 2 has bytes."""


def relay_pure(
    data: bytes, at: int, limit: int, sender: bytes, position: int, count: int
) -> tuple[list[bytes], bytes, int]:
    """Turn the run of good messages that begins at `data[at]` into facts and Acks.

    This is the fast path of a relaying server. It validates each request as `decode` does, and
    makes the same fact as `encode`, without an event in between. `sender` is a short text in its
    wire form. Facts are numbered from `position`; at most `count` are taken. The run ends, without
    an error, before the first frame that is not whole, above `limit`, not a message, or not good:
    the slow path takes that one.

    Returns the facts as frames, their Acks as one piece of bytes, and the index of the byte after
    the run.
    """
    facts: list[bytes] = []
    seqs: list[int] = []
    add, note = facts.append, seqs.append
    stamp = _stamp(len(sender))
    added = len(sender) - 1
    first, last = position, position + count
    size = len(data)
    short, head, message = LENGTH_SIZE, HEADER_SIZE + 1, _MESSAGE
    behind = size - HEADER_SIZE
    while position < last and at < behind:
        length, word, seq, named = _request(data, at)
        stop = at + short + length
        if named or not seq or length < _LEAST_RELAYED or length > limit or stop > size:
            break
        content = data[at + head : stop]
        if word == message:
            if not content.isascii():
                try:
                    content.decode()
                except UnicodeDecodeError:
                    break
        elif word not in _RELAYED_WORDS:
            break
        add(stamp(length + added, word, position, sender) + content)
        note(seq)
        position += 1
        at = stop
    return facts, _acks(seqs, first) if seqs else b"", at


def _acks(seqs: list[int], position: int) -> bytes:
    """The Acks of these requests, entered from `position` on, in one pack."""
    many = len(seqs)
    fields = [_ACK_LENGTH, _ACK, 0, 0] * many
    fields[2::4] = seqs
    fields[3::4] = range(position, position + many)
    return struct.pack(">" + "IIQQ" * many, *fields)


def _relay_native(
    data: bytes, at: int, limit: int, sender: bytes, position: int, count: int
) -> tuple[list[bytes], bytes, int]:
    assert native is not None
    relayed: tuple[list[bytes], bytes, int] = native.relay(
        data, at, limit, sender, position, count, _RELAYED_KINDS, _ACK
    )
    return relayed


relay = relay_pure if native is None else _relay_native


@lru_cache(maxsize=MAX_SHORT_TEXT + 1)
def _stamp(size: int) -> Callable[[int, int, int, bytes], bytes]:
    """Pack a fact's header and a sender of `size` bytes at once: an eighth faster than apart."""
    return Struct(f"{HEADER.format}{size}s").pack
