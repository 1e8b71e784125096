"""The same bytes through every reader there is: they may not differ.

Rule: what is asserted here holds for any bytes. Three readers judge them (the compiled
functions, construct itself from the same declarations, and the oracle, which shares
nothing with either), and a relay's fast path is held against the slow one.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from itertools import takewhile

import construct
from tests.eventcodec import oracle
from tests.eventcodec.declared import CODEC
from tests.eventcodec.streams import (
    END_OF_STREAM,
    Fault,
    Host,
    Outcome,
    fault,
    feed,
    member,
    read,
    whole,
)

from eventcodec import (
    Ack,
    ApplicationEvent,
    ConnectionEnded,
    Decoder,
    Event,
    InvalidRequest,
    Message,
    ServerConnection,
    Unknown,
    encode,
    wire,
)
from eventcodec.codec import relay
from eventcodec.limits import DEFAULT_MAX_FRAME, HEADER_SIZE, LENGTH_SIZE
from eventcodec.reference import reference

LIMIT = DEFAULT_MAX_FRAME
CLASSES: tuple[type[Event], ...] = (*CODEC.events.values(), ApplicationEvent, Unknown)
REFERENCES = {event: reference(event) for event in CLASSES}
HEADER = ("length", "version", "reserved", "seq")

SENDER = "guest"
PLACE = 41
MOST_RELAYED = 3


def check(stream: bytes) -> None:
    """Assert that all readers find the same in these bytes, and that all write it the same."""
    outcome = read(Decoder(codec=CODEC), [*whole(stream), END_OF_STREAM])

    assert verdicts(outcome) == list(oracle.judge_stream(stream, LIMIT))
    at = 0
    for event in outcome.events:
        assert isinstance(event, Event)
        stop = at + LENGTH_SIZE + int.from_bytes(stream[at : at + LENGTH_SIZE], "big")
        check_accepted(stream[at:stop], event)
        at = stop
    if outcome.fault is not None and outcome.fault.code and outcome.fault.field not in HEADER:
        check_refused(stream[at:])
    check_relay(stream, [event for event in outcome.events if isinstance(event, Event)])


def verdicts(outcome: Outcome) -> list[oracle.Verdict]:
    """What came out, in the oracle's words."""
    found: list[oracle.Verdict] = [("event", form(event)) for event in outcome.events]
    if outcome.fault is None:
        return found
    code = outcome.fault.code
    return [*found, ("incomplete",) if code is None else ("error", int(code))]


def form(event: object) -> oracle.Form:
    """An event in the oracle's form: u64 as digits, bytes as hex, its own data unread."""
    assert isinstance(event, Event)
    kind = ApplicationEvent if isinstance(event, ApplicationEvent) else type(event)
    made: oracle.Form = {"event": kind.__name__}
    if kind in (ApplicationEvent, Unknown):
        made["type"] = event.type
    made["seq"] = str(event.seq)
    for part in kind.parts:
        value = getattr(event, part.name)
        if isinstance(value, bytes):
            value = value.hex()
        made[part.name] = str(value) if part.subcon is wire.U64 else value
    return made


def check_accepted(frame: bytes, event: Event) -> None:
    """This frame is the one encoding of this event, for every reader and every writer."""
    body = frame[HEADER_SIZE:]
    values = {part.name: getattr(event, part.name) for part in event.parts}

    assert encode(event) == frame
    assert CODEC.decode(frame) == event
    assert by_construct(type(event), body) == values
    assert REFERENCES[type(event)].build(values) == body
    if isinstance(event, ApplicationEvent):
        misfit = type(event) is ApplicationEvent and event.type in CODEC.events
        assert (event.decode_error is not None) == misfit
        if misfit:
            assert by_construct(CODEC.events[event.type], body) is None


def check_refused(rest: bytes) -> None:
    """construct refuses the body of the frame that stands first in `rest`."""
    stop = LENGTH_SIZE + int.from_bytes(rest[:LENGTH_SIZE], "big")
    kind = CODEC.events[rest[5]] if rest[5] < 0x80 else ApplicationEvent

    assert by_construct(kind, rest[HEADER_SIZE:stop]) is None


def by_construct(kind: type[Event], body: bytes) -> dict[str, object] | None:
    """The fields as construct finds them, or None where it refuses, or reads an encoding
    that it would not write."""
    parser = REFERENCES[kind] if kind in REFERENCES else reference(kind)
    try:
        found = parser.parse(body)
    except construct.ConstructError:
        return None
    values = {part.name: found[part.name] for part in kind.parts}
    return values if parser.build(values) == body else None


def check_relay(stream: bytes, events: list[Event]) -> None:
    """The fast path takes what the slow path would, and makes the same bytes of it."""
    run = list(takewhile(lambda event: as_fact(event, 0) is not None, events))[:MOST_RELAYED]
    facts = [encode(fact) for n, event in enumerate(run) if (fact := as_fact(event, PLACE + n))]
    acks = [encode(Ack(seq=event.seq, position=PLACE + n)) for n, event in enumerate(run)]

    name = SENDER.encode()
    sender = bytes([len(name)]) + name
    relayed, replies, stop = relay(stream, 0, LIMIT, sender, PLACE, MOST_RELAYED)

    assert relayed == facts
    assert replies == b"".join(acks)
    assert stop == sum(len(encode(event)) for event in run)


def as_fact(event: Event, position: int, *, sender: str = SENDER) -> Event | None:
    """The entry that a server makes of a request; None where it relays none."""
    if not isinstance(event, Message | ApplicationEvent) or event.sender:
        return None
    if type(event) is ApplicationEvent:
        return ApplicationEvent(type=event.type, sender=sender, data=event.data, seq=position)
    return dataclasses.replace(event, sender=sender, seq=position)


def check_room(chunks: Sequence[bytes]) -> None:
    """A server that relays finds and writes the same as one that replies to each request."""
    assert _room(chunks, fast_path=True) == _room(chunks, fast_path=False)


def _room(chunks: Sequence[bytes], *, fast_path: bool) -> tuple[list[bytes], bytes, Fault | None]:
    """The facts, the replies and the error of a room of one."""
    host = Host(member(ServerConnection(codec=CODEC)))
    server = host.server
    server.data_to_send()
    facts: list[bytes] = []
    for chunk in chunks:
        feed(server, chunk)
        while True:
            if fast_path:
                relayed = server.relay(host.position + 1, MOST_RELAYED)
                facts += relayed
                host.position += len(relayed)
            request = server.next_event()
            if isinstance(request, ConnectionEnded):
                error = None if request.error is None else fault(request.error)
                return facts, server.data_to_send(), error
            if request is None:
                break
            reply = host.answer(request)
            fact = None if isinstance(request, InvalidRequest) else as_fact(request, host.position)
            facts += [] if fact is None else [encode(fact)]
            server.reply(request, reply)
    return facts, server.data_to_send(), None
