"""Any chunks -> the same events, the same error at the same byte, and little memory."""

from __future__ import annotations

from itertools import accumulate
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.eventcodec.cases import CASES, EACH_CASE, Case
from tests.eventcodec.declared import CODEC
from tests.eventcodec.mutations import mutate
from tests.eventcodec.strategies import FRAMES
from tests.eventcodec.streams import (
    EACH_CHUNKING,
    END_OF_STREAM,
    Chunking,
    Fault,
    byte_by_byte,
    cut_by,
    read,
    whole,
)

from eventcodec import (
    ClientConnection,
    ConnectionLost,
    Decoder,
    ErrorCode,
    EventError,
    Limits,
    LocalError,
    Message,
    Ping,
    ProtocolError,
    RemoteError,
    ServerConnection,
    encode,
)
from eventcodec.limits import HEADER_SIZE, LENGTH_SIZE

PING = encode(Ping(seq=7))
MESSAGE = encode(Message(content="hello", seq=8))
BEFORE = (Ping(seq=7), Message(content="hello", seq=8))
PREFIX = PING + MESSAGE

FAULTS = [
    ("00000000", 4, ErrorCode.MALFORMED, "length", 0),
    ("0000000b", 4, ErrorCode.MALFORMED, "length", 0),
    ("00010100", 4, ErrorCode.FRAME_TOO_LARGE, "length", 0),
    ("ffffffff", 4, ErrorCode.FRAME_TOO_LARGE, "length", 0),
    ("00001000 00 01 0000 0000000000000001", 16, ErrorCode.UNSUPPORTED_VERSION, "version", 4),
    ("00001000 02 99 ffff 0000000000000000", 16, ErrorCode.UNSUPPORTED_VERSION, "version", 4),
    ("00001000 01 01 0001 0000000000000001", 16, ErrorCode.MALFORMED, "reserved", 6),
    ("00001000 01 01 8000 0000000000000000", 16, ErrorCode.MALFORMED, "reserved", 6),
    ("00001000 01 02 0000 0000000000000000", 16, ErrorCode.MALFORMED, "seq", 8),
    ("00001000 01 0b 0000 0000000000000000", 16, ErrorCode.MALFORMED, "seq", 8),
    ("0000000d 01 03 0000 0000000000000001 00", 17, ErrorCode.MALFORMED, None, 16),
    ("0000000e 01 02 0000 0000000000000001 00 ff", 18, ErrorCode.MALFORMED, "content", 17),
    ("00000010 01 09 0000 0000000000000001 04 616e6e", 20, ErrorCode.MALFORMED, "user", 16),
    ("0000000d 01 80 0000 0000000000000001 01", 17, ErrorCode.MALFORMED, "sender", 16),
]
"""A frame, how many of its bytes say that it is wrong, and how."""

EACH_FAULT = pytest.mark.parametrize(("frame", "known_at", "code", "field", "place"), FAULTS)


def feed(decoder: Decoder, data: bytes) -> EventError | None:
    """Give bytes in which no event may be; the error that they raise, if any."""
    try:
        assert list(decoder.receive(data)) == []
    except EventError as error:
        return error
    return None


# ---------------------------------------------------------------- any chunks


@EACH_CASE
@EACH_CHUNKING
@pytest.mark.proves("EP-2.1-1", "EP-2.1-5")
def test_a_frame_in_any_chunks_is_its_event(case: Case, chunking: Chunking) -> None:
    decoder = Decoder(codec=CODEC)

    outcome = read(decoder, chunking(case.frame))

    assert outcome.events == [case.event]
    assert outcome.fault is None
    assert decoder.held == 0
    assert decoder.offset == len(case.frame)


@EACH_CASE
@pytest.mark.proves("EP-2.1-1")
def test_the_bytes_behind_a_frame_are_the_next_one(case: Case) -> None:
    decoder = Decoder(codec=CODEC)

    outcome = read(decoder, whole(case.frame + PING + MESSAGE[:-1]))

    assert outcome.events == [case.event, Ping(seq=7)]
    assert decoder.held == len(MESSAGE) - 1


@EACH_CHUNKING
@pytest.mark.proves("EP-2.1-5")
def test_all_cases_in_one_stream_come_in_order(chunking: Chunking) -> None:
    stream = b"".join(case.frame for case in CASES)

    outcome = read(Decoder(codec=CODEC), chunking(stream))

    assert outcome.events == [case.event for case in CASES]
    assert outcome.fault is None


def test_an_event_comes_with_its_last_byte_and_not_before() -> None:
    decoder = Decoder()

    for byte in byte_by_byte(MESSAGE[:-1]):
        assert list(decoder.receive(byte)) == []

    assert list(decoder.receive(MESSAGE[-1:])) == [Message(content="hello", seq=8)]


@given(
    frames=st.lists(FRAMES, min_size=1, max_size=6),
    broken=st.booleans(),
    random=st.randoms(use_true_random=False),
)
@pytest.mark.proves("EP-2.1-5", "EP-4.2-13")
def test_chunks_change_neither_events_nor_error_nor_its_place(
    frames: list[bytes], broken: bool, random: Random
) -> None:
    if broken:
        at = random.randrange(len(frames))
        frames[at] = mutate(frames[at], random)
    stream = b"".join(frames)

    outcomes = [
        read(Decoder(codec=CODEC), [*chunking(stream), END_OF_STREAM])
        for chunking in (whole, byte_by_byte, cut_by(random), cut_by(random), cut_by(random))
    ]

    assert outcomes == [outcomes[0]] * len(outcomes)


@given(data=st.binary(max_size=200), random=st.randoms(use_true_random=False))
def test_for_any_bytes_only_the_documented_errors_come_out(data: bytes, random: Random) -> None:
    decoder = Decoder(Limits(max_frame=64), CODEC)

    outcome = read(decoder, [*cut_by(random)(data), END_OF_STREAM])

    assert outcome.fault is None or outcome.fault.kind in (ProtocolError, ConnectionLost)
    assert decoder.held == 0


@given(
    frames=st.lists(FRAMES.filter(lambda frame: len(frame) <= 500), max_size=5),
    random=st.randoms(use_true_random=False),
)
@pytest.mark.proves("EP-7.2-1")
def test_less_than_one_frame_is_held_once_the_events_are_taken(
    frames: list[bytes], random: Random
) -> None:
    decoder = Decoder(codec=CODEC)
    ends = list(accumulate(map(len, frames), initial=0))
    stream = b"".join(frames)
    got = 0

    for chunk in cut_by(random)(stream):
        list(decoder.receive(chunk))
        got += len(chunk)

        assert decoder.held == got - max(end for end in ends if end <= got)
        assert decoder.offset + decoder.held == got


def test_iterators_share_one_stream() -> None:
    decoder = Decoder()

    first = decoder.receive(PING[:5])
    second = decoder.receive(PING[5:] + MESSAGE)

    assert next(first) == Ping(seq=7)
    assert next(second) == Message(content="hello", seq=8)
    assert list(first) == list(second) == []


def test_what_is_received_is_kept_at_once_and_given_when_asked_for() -> None:
    decoder = Decoder()

    decoder.receive(PING[:5])
    decoder.receive(PING[5:])

    assert decoder.held == len(PING)
    assert list(decoder.receive(MESSAGE)) == [*BEFORE]


@pytest.mark.parametrize("buffer", [bytearray, memoryview])
def test_a_buffer_that_changes_afterwards_changes_no_event(buffer: type) -> None:
    data = bytearray(MESSAGE * 2)
    decoder = Decoder()

    events = decoder.receive(buffer(data))
    data[:] = bytes(len(data))

    assert list(events) == [Message(content="hello", seq=8)] * 2


# ---------------------------------------------------------------- faults


@EACH_FAULT
@EACH_CHUNKING
@pytest.mark.proves(
    "EP-2.1-2",
    "EP-2.1-4",
    "EP-2.2-2",
    "EP-2.2-4",
    "EP-2.2-8",
    "EP-2.3-3",
    "EP-2.4-2",
    "EP-2.4-3",
    "EP-2.4-4",
    "EP-8.3-4",
)
def test_a_fault_is_found_at_its_byte_behind_the_good_events(
    frame: str,
    known_at: int,
    code: ErrorCode,
    field: str | None,
    place: int,
    chunking: Chunking,
) -> None:
    decoder = Decoder()

    outcome = read(decoder, chunking(PREFIX + bytes.fromhex(frame) + PING))

    assert outcome.events == [*BEFORE]
    assert outcome.fault is not None
    assert outcome.fault[:3] == (ProtocolError, code, field)
    assert outcome.fault.offset == len(PREFIX) + place
    assert decoder.held == 0


@EACH_FAULT
@pytest.mark.proves("EP-2.1-3", "EP-2.2-9", "EP-2.2-10")
def test_a_fault_is_found_when_its_last_byte_is_in_and_not_before(
    frame: str, known_at: int, code: ErrorCode, field: str | None, place: int
) -> None:
    data = bytes.fromhex(frame)
    decoder = Decoder()

    before = feed(decoder, data[: known_at - 1])
    error = feed(decoder, data[known_at - 1 : known_at])

    assert before is None
    assert isinstance(error, ProtocolError)
    assert (error.code, error.field, error.offset) == (code, field, place)


@EACH_FAULT
@pytest.mark.proves("EP-7.2-1", "EP-8.3-5")
def test_a_decoder_fails_once_and_stays_failed_and_holds_nothing(
    frame: str, known_at: int, code: ErrorCode, field: str | None, place: int
) -> None:
    decoder = Decoder()

    for data in (bytes.fromhex(frame), PING, MESSAGE, END_OF_STREAM, PING):
        error = feed(decoder, data)

        assert isinstance(error, ProtocolError)
        assert (error.code, error.field, error.offset) == (code, field, place)
        assert decoder.held == 0
    assert isinstance(decoder.error, ProtocolError)


@pytest.mark.proves("EP-2.1-4", "EP-7.1-5")
@pytest.mark.parametrize("limit", [12, 18, 300, 65_791])
def test_a_frame_may_be_as_long_as_the_limit_and_no_longer(limit: int) -> None:
    message = encode(Message(content="m" * (limit - 13), seq=1)) if limit > 12 else PING
    longer = (limit + 1).to_bytes(LENGTH_SIZE, "big")

    taken = read(Decoder(Limits(max_frame=limit)), whole(message))
    refused = read(Decoder(Limits(max_frame=limit)), whole(longer))

    assert len(taken.events) == 1
    assert refused.fault is not None
    assert refused.fault.code is ErrorCode.FRAME_TOO_LARGE


def test_a_new_limit_holds_from_the_next_frame_on() -> None:
    decoder = Decoder(Limits(max_frame=12))
    events = decoder.receive(PING + MESSAGE)

    assert next(events) == Ping(seq=7)
    decoder.max_frame = 100

    assert list(events) == [Message(content="hello", seq=8)]


def test_an_error_given_from_outside_ends_the_stream() -> None:
    decoder = Decoder()
    events = decoder.receive(PREFIX)
    assert next(events) == Ping(seq=7)

    given = decoder.fail(RemoteError(24, "bye"))
    later = decoder.fail(RemoteError(1, "never"))

    assert isinstance(given, RemoteError) and isinstance(later, RemoteError)
    assert given.code == later.code == 24
    assert decoder.held == 0
    with pytest.raises(RemoteError) as caught:
        next(events)
    assert caught.value.code == 24


# ---------------------------------------------------------------- the end of the stream


@pytest.mark.proves("EP-2.1-6")
@pytest.mark.parametrize("size", range(1, len(MESSAGE)))
@EACH_CHUNKING
def test_a_frame_that_the_end_cuts_short_has_no_effect(size: int, chunking: Chunking) -> None:
    decoder = Decoder()

    outcome = read(decoder, [*chunking(PING + MESSAGE[:size]), END_OF_STREAM])

    assert outcome.events == [Ping(seq=7)]
    assert outcome.fault == Fault(ConnectionLost)
    assert decoder.held == 0


@EACH_CHUNKING
def test_an_end_between_two_frames_is_no_error_of_the_stream(chunking: Chunking) -> None:
    outcome = read(Decoder(), [*chunking(PREFIX), END_OF_STREAM, END_OF_STREAM])

    assert outcome.events == [*BEFORE]
    assert outcome.fault is None


def test_a_fault_comes_before_the_end_that_cuts_it() -> None:
    outcome = read(Decoder(), [bytes.fromhex("00000100 02"), bytes(11), END_OF_STREAM])

    assert outcome.fault is not None
    assert outcome.fault.code is ErrorCode.UNSUPPORTED_VERSION


def test_there_is_nothing_behind_the_end() -> None:
    decoder = Decoder()
    assert list(decoder.receive(END_OF_STREAM)) == []

    with pytest.raises(LocalError):
        decoder.receive(PING)

    assert list(decoder.receive(END_OF_STREAM)) == []
    assert decoder.error is None


# ---------------------------------------------------------------- relaying


def test_a_relayed_run_is_taken_out_of_the_stream() -> None:
    decoder = Decoder()
    decoder.receive(MESSAGE * 2 + PING)

    relayed = decoder.relay(b"\x03ann", 5, 10)

    assert relayed.facts == [
        encode(Message(sender="ann", content="hello", seq=position)) for position in (5, 6)
    ]
    assert decoder.offset == 2 * len(MESSAGE)
    assert list(decoder.receive(MESSAGE)) == [*BEFORE]


def test_a_message_in_pieces_is_relayed_when_it_is_whole() -> None:
    decoder = Decoder()

    found = []
    for chunk in byte_by_byte(MESSAGE + PING[: HEADER_SIZE - 1]):
        decoder.receive(chunk)
        found += decoder.relay(b"\x03ann", 5, 10).facts

    assert found == [encode(Message(sender="ann", content="hello", seq=5))]
    assert decoder.held == HEADER_SIZE - 1


def test_a_failed_decoder_relays_nothing() -> None:
    decoder = Decoder()
    assert feed(decoder, bytes(4)) is not None
    with pytest.raises(ProtocolError):
        list(decoder.receive(MESSAGE))

    assert decoder.relay(b"\x03ann", 5, 10).facts == []


def test_an_error_from_outside_stops_an_iterator_that_was_begun() -> None:
    decoder = Decoder()
    events = decoder.receive(encode(Ping(seq=1)) + encode(Ping(seq=2)))
    next(events)

    decoder.fail(ConnectionLost("gone"))

    with pytest.raises(ConnectionLost):
        next(events)


def test_the_offset_counts_what_was_taken_and_not_what_was_made() -> None:
    decoder = Decoder()
    frame = encode(Ping(seq=1))
    events = decoder.receive(frame * 3)

    next(events)

    assert decoder.offset == len(frame)


def test_nothing_is_relayed_before_what_came_first_was_taken() -> None:
    decoder = Decoder()
    ping, message = encode(Ping(seq=1)), encode(Message(content="hello", seq=2))
    events = decoder.receive(ping + ping + message)
    next(events)

    relayed = decoder.relay(b"\x03ann", 1, 10)

    assert relayed.facts == []
    assert [type(event) for event in events] == [Ping, Message]


@pytest.mark.parametrize("wrong", [None, 5, "text"])
@pytest.mark.parametrize("begun", [0, 2])
@pytest.mark.parametrize("make", [Decoder, ClientConnection, ServerConnection])
def test_what_is_no_bytes_is_refused_and_changes_nothing(make: Any, begun: int, wrong: Any) -> None:
    """None is what some readers give for "nothing now": it is not the end of the stream."""
    one, other = make(), make()
    if begun:
        for end in (one, other):
            assert told(end, BROKEN[:begun]) == []

    with pytest.raises(TypeError):
        one.receive(wrong)

    assert told(one, BROKEN[begun:]) == told(other, BROKEN[begun:]) != []


BROKEN = bytes(4)


def told(end: Any, stream: bytes) -> list[object]:
    """What it says of a stream: events, and the error with its place."""
    found: list[object] = []
    try:
        found.extend(end.receive(stream))
    except ProtocolError as error:
        found.append((error.code, error.offset))
    return found
