"""Any chunks -> the same events, the same error at the same byte, and little memory."""

from __future__ import annotations

from collections.abc import Callable
from itertools import accumulate
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.eventcodec.cases import ALL_CASES, CASES, Case
from tests.eventcodec.declared import CODEC
from tests.eventcodec.mutations import mutate
from tests.eventcodec.strategies import EVENTS, FRAMES
from tests.eventcodec.streams import (
    EACH_CHUNKING,
    END_OF_STREAM,
    Chunking,
    Fault,
    byte_by_byte,
    cut_by,
    error_of,
    fault,
    feed,
    read,
    ready,
    whole,
)
from tests.together import together

from eventcodec import (
    ClientConnection,
    ConnectionEnded,
    ConnectionLostError,
    Decoder,
    ErrorCode,
    Event,
    EventCodecError,
    LocalProtocolError,
    Message,
    Ping,
    RemoteProtocolError,
    ServerConnection,
    encode,
)
from eventcodec.limits import LENGTH_SIZE

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


def error_in(decoder: Decoder, data: bytes) -> EventCodecError | None:
    """Give bytes in which no event may be; the error that they end with, if they do."""
    events = ready(decoder, data)
    return error_of(events) if events else None


# ---------------------------------------------------------------- any chunks


@ALL_CASES
@EACH_CHUNKING
@pytest.mark.proves("EP-2.1-1", "EP-2.1-5")
def test_a_frame_in_any_chunks_is_its_event(case: Case, chunking: Chunking) -> None:
    decoder = Decoder(codec=CODEC)

    outcome = read(decoder, chunking(case.frame))

    assert outcome.events == [case.event]
    assert outcome.fault is None
    assert decoder.held == 0
    assert decoder.offset == len(case.frame)


@ALL_CASES
@pytest.mark.proves("EP-2.1-1")
def test_the_bytes_behind_a_frame_are_the_next_one(case: Case) -> None:
    decoder = Decoder(codec=CODEC)

    outcome = read(decoder, whole(case.frame + PING + MESSAGE[:-1]))

    assert outcome.events == [case.event, Ping(seq=7)]
    assert decoder.held == len(MESSAGE) - 1


@EACH_CHUNKING
@pytest.mark.proves("EP-2.1-5")
@pytest.mark.unmeasured
def test_all_cases_in_one_stream_come_in_order(chunking: Chunking) -> None:
    stream = b"".join(case.frame for case in CASES)

    outcome = read(Decoder(codec=CODEC), chunking(stream))

    assert outcome.events == [case.event for case in CASES]
    assert outcome.fault is None


def test_an_event_comes_with_its_last_byte_and_not_before() -> None:
    decoder = Decoder()

    for byte in byte_by_byte(MESSAGE[:-1]):
        assert ready(decoder, byte) == []

    assert ready(decoder, MESSAGE[-1:]) == [Message(content="hello", seq=8)]


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
    decoder = Decoder(codec=CODEC, max_frame=64)

    outcome = read(decoder, [*cut_by(random)(data), END_OF_STREAM])

    assert outcome.fault is None or outcome.fault.kind in (RemoteProtocolError, ConnectionLostError)
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
        ready(decoder, chunk)
        got += len(chunk)

        assert decoder.held == got - max(end for end in ends if end <= got)
        assert decoder.offset + decoder.held == got


def test_loops_share_one_stream() -> None:
    decoder = Decoder()
    feed(decoder, PING + MESSAGE)

    first, second = decoder.events(), decoder.events()

    assert next(first) == Ping(seq=7)
    assert next(second) == Message(content="hello", seq=8)
    assert list(first) == list(second) == []


def test_what_is_received_is_kept_at_once_and_given_when_asked_for() -> None:
    decoder = Decoder()

    feed(decoder, PING[:5])
    feed(decoder, PING[5:])

    assert decoder.held == len(PING)
    assert ready(decoder, MESSAGE) == [*BEFORE]


@pytest.mark.parametrize("buffer", [bytearray, memoryview])
def test_a_buffer_that_changes_afterwards_changes_no_event(buffer: type) -> None:
    data = bytearray(MESSAGE * 2)
    decoder = Decoder()

    feed(decoder, buffer(data))
    data[:] = bytes(len(data))

    assert list(decoder.events()) == [Message(content="hello", seq=8)] * 2


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
    assert outcome.fault[:3] == (RemoteProtocolError, code, field)
    assert outcome.fault.offset == len(PREFIX) + place
    assert decoder.held == 0


@EACH_FAULT
@pytest.mark.proves("EP-2.1-3", "EP-2.2-9", "EP-2.2-10")
def test_a_fault_is_found_when_its_last_byte_is_in_and_not_before(
    frame: str, known_at: int, code: ErrorCode, field: str | None, place: int
) -> None:
    data = bytes.fromhex(frame)
    decoder = Decoder()

    before = error_in(decoder, data[: known_at - 1])
    error = error_in(decoder, data[known_at - 1 : known_at])

    assert before is None
    assert isinstance(error, RemoteProtocolError)
    assert (error.code, error.field, error.offset) == (code, field, place)


@EACH_FAULT
@pytest.mark.proves("EP-7.2-1", "EP-8.3-5")
def test_a_decoder_fails_once_and_then_holds_and_gives_nothing(
    frame: str, known_at: int, code: ErrorCode, field: str | None, place: int
) -> None:
    decoder = Decoder()

    error = error_in(decoder, bytes.fromhex(frame))

    assert isinstance(error, RemoteProtocolError)
    assert (error.code, error.field, error.offset) == (code, field, place)
    for data in (PING, MESSAGE, END_OF_STREAM):
        assert ready(decoder, data) == []
        assert decoder.held == 0
    assert decoder.ended


@pytest.mark.proves("EP-2.1-4", "EP-7.1-5")
@pytest.mark.parametrize("limit", [12, 18, 300, 65_791])
def test_a_frame_may_be_as_long_as_the_limit_and_no_longer(limit: int) -> None:
    message = encode(Message(content="m" * (limit - 13), seq=1)) if limit > 12 else PING
    longer = (limit + 1).to_bytes(LENGTH_SIZE, "big")

    taken = read(Decoder(max_frame=limit), whole(message))
    refused = read(Decoder(max_frame=limit), whole(longer))

    assert len(taken.events) == 1
    assert refused.fault is not None
    assert refused.fault.code is ErrorCode.FRAME_TOO_LARGE


# ---------------------------------------------------------------- the end of the stream


@pytest.mark.proves("EP-2.1-6")
@together("size", range(1, len(MESSAGE)))
@EACH_CHUNKING
def test_a_frame_that_the_end_cuts_short_has_no_effect(size: int, chunking: Chunking) -> None:
    decoder = Decoder()

    outcome = read(decoder, [*chunking(PING + MESSAGE[:size]), END_OF_STREAM])

    assert outcome.events == [Ping(seq=7)]
    assert outcome.fault == Fault(ConnectionLostError)
    assert decoder.held == 0


@EACH_CHUNKING
def test_an_end_between_two_frames_is_no_error_of_the_stream(chunking: Chunking) -> None:
    outcome = read(Decoder(), [*chunking(PREFIX), END_OF_STREAM, END_OF_STREAM])

    assert outcome.events == [*BEFORE]
    assert (outcome.ended, outcome.fault) == (True, None)


def test_a_fault_comes_before_the_end_that_cuts_it() -> None:
    outcome = read(Decoder(), [bytes.fromhex("00000100 02"), bytes(11), END_OF_STREAM])

    assert outcome.fault is not None
    assert outcome.fault.code is ErrorCode.UNSUPPORTED_VERSION


def test_there_is_nothing_behind_the_end() -> None:
    decoder = Decoder()
    assert ready(decoder, END_OF_STREAM) == [ConnectionEnded()]

    with pytest.raises(LocalProtocolError):
        decoder.receive_data(PING)

    assert ready(decoder, END_OF_STREAM) == []


# ---------------------------------------------------------------- its place


@given(
    events=st.lists(EVENTS, max_size=20),
    taken=st.integers(0, 20),
    random=st.randoms(use_true_random=False),
)
def test_the_offset_counts_what_was_given_and_not_what_was_decoded(
    events: list[Event], taken: int, random: Random
) -> None:
    frames = [encode(event) for event in events]
    decoder = Decoder(codec=CODEC)
    for chunk in cut_by(random)(b"".join(frames)):
        feed(decoder, chunk)

    for _ in range(taken):
        decoder.next_event()

    given_to = sum(map(len, frames[:taken]))
    assert decoder.offset == given_to
    assert decoder.held == sum(map(len, frames)) - given_to


# ---------------------------------------------------------------- what is no data


@pytest.mark.parametrize("begun", [0, 2])
@pytest.mark.parametrize("wrong", [None, 5, "text", "", [1, 2]], ids=repr)
@pytest.mark.parametrize("make", [Decoder, ClientConnection, ServerConnection])
def test_what_is_no_bytes_is_refused_and_changes_nothing(make: Any, wrong: Any, begun: int) -> None:
    """None is what some readers give for "nothing now": it is not the end of the stream."""
    one, other = make(), make()
    for end in (one, other):
        assert [*whole(BROKEN[:begun])] == [] or ready(end, BROKEN[:begun]) == []

    with pytest.raises(TypeError):
        one.receive_data(wrong)

    assert fault(error_of(ready(one, BROKEN[begun:]))) == fault(
        error_of(ready(other, BROKEN[begun:]))
    )


BROKEN = bytes(4)


@pytest.mark.parametrize("make", [Decoder, ClientConnection, ServerConnection])
@pytest.mark.parametrize(
    "empty", [b"", bytearray(), memoryview(b"")], ids=lambda empty: type(empty).__name__
)
def test_no_byte_is_no_data_and_not_the_end_either(make: Any, empty: Any) -> None:
    receiver = make()

    with pytest.raises(LocalProtocolError, match="receive_eof"):
        receiver.receive_data(empty)

    assert ready(receiver, PING[:3]) == []


class Odd(bytes):
    """Bytes that lie about themselves."""

    def __len__(self) -> int:
        return 0

    def __bytes__(self) -> bytes:
        return b"lie"

    def __getitem__(self, key: Any) -> Any:
        raise AssertionError


@pytest.mark.parametrize(
    "view",
    [
        bytes,
        Odd,
        bytearray,
        memoryview,
        lambda data: memoryview(data).cast("I"),
        lambda data: memoryview(data[::-1])[::-1],
        lambda data: memoryview(b"".join(bytes([each, 0]) for each in data))[::2],
    ],
    ids=["bytes", "subclass", "bytearray", "memoryview", "of numbers", "backwards", "with gaps"],
)
@pytest.mark.parametrize("piece", [4, 8, len(PREFIX)])
def test_any_buffer_is_read_as_its_bytes(view: Callable[[bytes], Any], piece: int) -> None:
    assert len(PREFIX) % 4 == 2
    stream = PREFIX + PING[:2]
    decoder = Decoder()

    for at in range(0, len(stream), piece):
        chunk = stream[at : at + piece]
        decoder.receive_data(view(chunk) if len(chunk) % 4 == 0 else chunk)

    assert list(decoder.events()) == [*BEFORE]
