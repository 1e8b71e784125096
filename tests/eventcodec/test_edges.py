"""Edges between the modules: what no table of frames shows, each found by reading.

Rule: one test for each edge, through public names alone.
"""

from __future__ import annotations

import copy
import pickle
import sys
from collections.abc import Callable
from itertools import pairwise
from random import Random
from typing import Any

import construct
import pytest
from tests.eventcodec.streams import error_of, ready

from eventcodec import (
    Ack,
    ApplicationEvent,
    ClientConnection,
    Codec,
    ConnectionEnded,
    Decoder,
    ErrorCode,
    Event,
    EventCodecError,
    Joined,
    LocalProtocolError,
    Login,
    Logout,
    Message,
    PeerError,
    Ping,
    RemoteProtocolError,
    Unknown,
    Welcome,
    application_event,
    decode,
    encode,
    field,
    wire,
)

ERRORS: list[EventCodecError] = [
    LocalProtocolError("too long", field="user"),
    RemoteProtocolError(ErrorCode.MALFORMED, "not 0", field="reserved", offset=6, seq=7),
    PeerError(ErrorCode.TIMEOUT, "too late"),
]


@application_event(0x80)
class Moved(ApplicationEvent):
    """What the wire's own words are made into straight-line code for."""

    x: int = field(wire.I32)


@application_event(0x81)
class Named(ApplicationEvent):
    """Fields called as parameters of construct's public methods are."""

    stream: int = field(wire.U8)
    obj: int = field(wire.U8)
    last: int = field(construct.VarInt)


@application_event(0x82)
class Counted(ApplicationEvent):
    """A subcon that looks another field up."""

    count: int = field(wire.U8)
    values: list[int] = field(construct.Array(construct.this.count, construct.Byte))


LABELS = construct.Enum(construct.Byte, fault=1, layout=2, complaint=3)


@application_event(0x83)
class Labelled(ApplicationEvent):
    """A subcon that answers to any attribute among its labels."""

    label: object = field(LABELS)


CODEC = Codec([Moved, Named, Counted, Labelled])
MISFIT = encode(ApplicationEvent(type=Moved.type, data=b"\0", seq=5))
PING = encode(Ping(seq=1))
GARBAGE = bytes(1_000_000)


def members_client() -> tuple[ClientConnection, bytes]:
    """A client that said Login and Logout, and what the server answers to both."""
    conn = ClientConnection()
    conn.send(Login(user="ann"))
    conn.send(Logout())
    welcome = Welcome(user="ann", ticket=1, position=0, max_frame=65_536, heartbeat=0)
    return conn, encode(welcome.with_seq(1)) + encode(Ack(position=1, seq=2))


# ---------------------------------------------------------------- errors


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize(
    "again", [copy.copy, copy.deepcopy, lambda e: pickle.loads(pickle.dumps(e))]
)
def test_an_error_survives_a_copy_and_a_pickle(
    error: EventCodecError, again: Callable[[EventCodecError], EventCodecError]
) -> None:
    twin = again(error)

    assert (type(twin), vars(twin), str(twin)) == (type(error), vars(error), str(error))


def test_an_event_with_a_fault_survives_a_pickle() -> None:
    event = CODEC.decode(MISFIT)
    assert isinstance(event, ApplicationEvent)
    assert event.decode_error is not None

    twin = pickle.loads(pickle.dumps(event))

    assert twin == event
    assert vars(twin.decode_error) == vars(event.decode_error)


def test_limits_that_no_length_can_have_are_a_local_error() -> None:
    for refused in (11, 2**32):
        with pytest.raises(LocalProtocolError) as caught:
            Decoder(max_frame=refused)

        assert caught.value.field == "max_frame"


# ---------------------------------------------------------------- decoder


@pytest.mark.parametrize("stream", [GARBAGE, encode(Joined(user="é", seq=1))[:-1] + GARBAGE])
def test_a_failed_decoder_keeps_no_byte_alive_not_even_through_its_error(stream: bytes) -> None:
    decoder = Decoder()
    before = sys.getrefcount(stream)

    assert isinstance(error_of(ready(decoder, stream)), RemoteProtocolError)

    assert decoder.held == 0
    assert sys.getrefcount(stream) == before


def test_a_fault_in_an_event_does_not_keep_the_bytes_around_it_alive() -> None:
    stream = PING + MISFIT
    before = sys.getrefcount(stream)

    events = ready(Decoder(codec=CODEC), stream)

    assert len(events) == 2
    assert sys.getrefcount(stream) == before


def test_the_offset_of_a_fault_in_an_event_does_not_depend_on_the_chunks() -> None:
    def offsets(*chunks: bytes) -> list[int]:
        decoder = Decoder(codec=CODEC)
        events = [event for chunk in chunks for event in ready(decoder, chunk)]
        return [
            e.decode_error.offset
            for e in events
            if isinstance(e, ApplicationEvent) and e.decode_error
        ]

    assert offsets(PING + MISFIT) == offsets(PING, MISFIT) == offsets(MISFIT) == [16 + 1]


def test_a_frame_given_as_a_bytearray_makes_an_event_that_cannot_change() -> None:
    frame = bytearray(encode(ApplicationEvent(type=0x90, data=b"up", seq=1)))

    event = decode(frame)

    frame[-1] = 0
    assert event == ApplicationEvent(type=0x90, data=b"up", seq=1)
    assert hash(event) == hash(ApplicationEvent(type=0x90, data=b"up", seq=1))


def stream_of(random: Random) -> list[Event]:
    """Runs of one kind, as they are made in one go, and single ones between them."""
    runs: list[list[Event]] = [
        [random.choice(KINDS)] * random.choice((1, 1, 2, 5, 70))
        for _ in range(random.randint(1, 6))
    ]
    events = [event for run in runs for event in run]
    return [event.with_seq(seq) for seq, event in enumerate(events, 1)]


KINDS: tuple[Event, ...] = (Ping(), Joined(user="é"), Unknown(type=0x20), Moved(x=1))


@pytest.mark.parametrize("seed", range(50))
def test_iterators_taken_in_turns_give_every_event_once_and_in_order(seed: int) -> None:
    """As somebody does who waits for one event inside the loop over all."""
    random = Random(seed)
    events = stream_of(random)
    stream = b"".join(map(encode, events)) + bytes(4)
    cuts = sorted(random.choices(range(len(stream)), k=8))
    decoder = Decoder(codec=CODEC)

    for a, b in pairwise([0, *cuts, len(stream)]):
        if a < b:
            decoder.receive_data(stream[a:b])
    begun = [decoder.events() for _ in range(5)]
    taken: list[object] = []
    while not decoder.ended:
        taken.append(next(random.choice(begun)))

    error = error_of(taken)
    assert taken[:-1] == events
    assert isinstance(error, RemoteProtocolError)
    assert error.offset == len(stream) - 4


# ---------------------------------------------------------------- declarations


def test_a_field_without_a_wire_type_is_refused_when_declared() -> None:
    with pytest.raises(LocalProtocolError) as caught:

        @application_event(0x90)
        class Bare(ApplicationEvent):
            x: int = 3

    assert caught.value.field == "x"


def test_a_codec_refuses_the_general_event_which_has_no_type_of_its_own() -> None:
    with pytest.raises(LocalProtocolError) as caught:
        Codec([ApplicationEvent])

    assert caught.value.field == "type"


def test_a_type_that_is_no_int_is_refused_at_birth() -> None:
    makers: list[tuple[Any, float]] = [(Unknown, 11.0), (ApplicationEvent, 200.0)]
    for make, number in makers:
        with pytest.raises(LocalProtocolError) as caught:
            make(type=number)

        assert caught.value.field == "type"


@pytest.mark.parametrize(
    "event",
    [
        Named(stream=1, obj=2, last=300, seq=4),
        Counted(count=2, values=[3, 4], seq=4),
        Labelled(label="fault", seq=4),
    ],
    ids=lambda event: type(event).__name__,
)
def test_foreign_subcons_carry_what_was_declared(event: Event) -> None:
    assert CODEC.decode(encode(event)) == event


def test_a_value_that_fits_its_field_but_not_its_count_is_refused_at_birth() -> None:
    with pytest.raises(LocalProtocolError) as caught:
        Counted(count=3, values=[3, 4])

    assert caught.value.field == "values"


def test_a_class_derived_for_a_method_encodes_as_the_declared_one_does() -> None:
    @application_event(0x90)
    class Counter(ApplicationEvent):
        count: int = field(wire.U8)

    class Doubled(Counter):
        def double(self) -> int:
            return 2 * self.count

    frame = encode(Doubled(count=3, seq=1))

    assert Codec([Counter]).decode(frame) == Counter(count=3, seq=1)
    assert Doubled.compiled is Counter.compiled


# ---------------------------------------------------------------- the client's end


def test_after_the_clean_end_nothing_comes_not_even_from_a_loop_that_was_begun() -> None:
    conn, replies = members_client()
    conn.receive_data(replies)
    conn.receive_data(encode(Joined(user="bob", seq=2)) + bytes(4))
    begun = conn.events()
    next(begun)

    given = list(conn.events())

    assert given[1:] == [ConnectionEnded()]
    assert conn.ended
    assert [*begun, *conn.events()] == []


def test_what_may_be_sent_follows_from_what_is_on_its_way() -> None:
    conn = ClientConnection()
    conn.send(Login(user="ann"))
    conn.send(Message(content="x"))
    conn.send(Logout())
    with pytest.raises(LocalProtocolError):
        conn.send(Ping())
    refusal = bytes.fromhex("0000000f 0105 0000 0000000000000001 000d 00")

    ready(conn, refusal)
    with pytest.raises(LocalProtocolError):
        conn.send(Ping())
    for seq in (2, 3):
        ready(conn, refusal[:15] + bytes([seq]) + refusal[16:])

    assert isinstance(conn.send(Login(user="bob")), Login)
    assert isinstance(conn.send(Message(content="x")), Message)
