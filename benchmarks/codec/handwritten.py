"""The best that we can write by hand for a stream of messages: the floor in Python.

Rule: makes the same frozen events as eventcodec and refuses the same bytes, and
is otherwise free of every layer: one loop, one struct, the two texts inline. What
is no good message goes to eventcodec, which finds the fault or the other event.
"""

from __future__ import annotations

from io import BytesIO
from struct import Struct

from eventcodec import ConnectionEnded, Decoder, Event, Message
from eventcodec.compiler import draft_of
from eventcodec.framing import word_of
from eventcodec.limits import DEFAULT_MAX_FRAME, HEADER_SIZE, LENGTH_SIZE

_head = Struct(">IIQB").unpack  # length, word, seq, and the sender's size behind them
_HEAD_SIZE = HEADER_SIZE + 1
_MESSAGE = word_of(Message.type)
_Draft = draft_of(Message)
assert (LENGTH_SIZE, _HEAD_SIZE) == (4, 17)  # stand as numbers below: a global costs 2 %


def decode(data: bytes, max_frame: int = DEFAULT_MAX_FRAME) -> tuple[list[Event], bytes]:
    """The whole events, and the bytes behind them; RemoteProtocolError as eventcodec has it."""
    events: list[Event] = []
    head, draft, message, its_word = _head, _Draft, Message, _MESSAGE
    read = BytesIO(data).read
    at, end = 0, len(data)
    last = end - 17
    while at <= last:
        length, word, seq, sender_size = head(read(17))
        size = length - 13 - sender_size
        if word != its_word or not seq or size < 0 or length > max_frame:
            break
        event = draft()
        event.seq = seq
        try:
            event.sender = read(sender_size).decode()
            event.content = read(size).decode()
        except UnicodeDecodeError:
            break
        event.__class__ = message
        events.append(event)
        at += length + 4
    if at > end:  # the last one is not whole
        events.pop()
        at -= length + 4
    return _rest(events, data[at:], max_frame) if at < end else (events, b"")


def _rest(events: list[Event], data: bytes, max_frame: int) -> tuple[list[Event], bytes]:
    decoder = Decoder(max_frame=max_frame)
    decoder.receive_data(data)
    for event in decoder.events():
        if isinstance(event, ConnectionEnded):
            assert event.error is not None
            raise event.error
        events.append(event)
    return events, data[len(data) - decoder.held :]
