"""One frame <-> one event, and the fast path of a relay beside the slow path."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.eventcodec import differential
from tests.eventcodec.cases import ALL_CASES, CASES, EACH_CASE, Case
from tests.eventcodec.declared import CODEC, DECLARED, Moved, Noted
from tests.eventcodec.mutations import SHORT_FRAMES, mutate, with_right_length
from tests.eventcodec.strategies import EVENTS, FRAMES
from tests.eventcodec.streams import fault
from tests.together import together

from eventcodec import (
    Ack,
    ApplicationEvent,
    Codec,
    Error,
    ErrorCode,
    Event,
    Fact,
    LocalProtocolError,
    Message,
    Ping,
    RemoteProtocolError,
    Unknown,
    decode,
    encode,
)
from eventcodec.codec import relay
from eventcodec.limits import ANY_FRAME
from eventcodec.tables import STANDARD_EVENTS

UNKNOWN_TYPES = [0x00, *range(0x0B, 0x80)]
PING = bytes.fromhex("0000000c 01 06 0000 0000000000000007")


@EACH_CASE
@pytest.mark.proves(
    "EP-2.1-1",
    "EP-2.2-1",
    "EP-2.2-3",
    "EP-2.3-1",
    "EP-3.2-1",
    "EP-3.3-1",
    "EP-3.4-1",
    "EP-3.5-1",
    "EP-3.6-1",
    "EP-3.7-1",
    "EP-3.8-1",
    "EP-3.9-1",
    "EP-3.10-1",
    "EP-3.11-1",
)
def test_an_event_encodes_to_its_frame(case: Case) -> None:
    assert encode(case.event) == case.frame
    assert CODEC.encode(case.event) == case.frame


@EACH_CASE
@pytest.mark.proves("EP-2.3-2", "EP-2.3-5")
def test_a_frame_decodes_to_its_event(case: Case) -> None:
    event = CODEC.decode(case.frame)

    assert event == case.event
    assert type(event) is type(case.event)
    assert event.type == case.event.type


@ALL_CASES
def test_without_the_application_its_events_come_as_the_general_one(case: Case) -> None:
    event = decode(case.frame)

    assert encode(event) == case.frame
    assert isinstance(event, ApplicationEvent) is (case.event.type >= 0x80)
    assert type(event) in (type(case.event), ApplicationEvent)


@given(event=EVENTS)
@pytest.mark.proves("EP-2.4-1")
def test_what_was_encoded_decodes_to_the_same(event: Event) -> None:
    frame = encode(event)

    assert CODEC.decode(frame) == event
    assert encode(decode(frame)) == frame


@given(frame=FRAMES, random=st.randoms(use_true_random=False))
@pytest.mark.proves("EP-2.4-1")
def test_what_decodes_encodes_to_the_same_and_anything_else_is_a_protocol_error(
    frame: bytes, random: Random
) -> None:
    data = mutate(frame, random)

    try:
        event = CODEC.decode(data)
    except RemoteProtocolError:
        return

    assert encode(event) == data


@given(body=st.binary(max_size=40), type=st.integers(0, 255), seq=st.integers(0, 3))
@example(body=b"", type=0x05, seq=0)
@pytest.mark.proves("EP-2.4-1")
def test_a_frame_of_any_type_and_body_is_judged_alike_by_every_reader(
    body: bytes, type: int, seq: int
) -> None:
    head = bytes([0, 0, 0, 0, 1, type, 0, 0]) + seq.to_bytes(8, "big")

    differential.check(with_right_length(head + body))


# ---------------------------------------------------------------- what is no frame


@ALL_CASES
@pytest.mark.proves("EP-2.1-1")
def test_a_frame_is_exactly_its_bytes(case: Case) -> None:
    for wrong in (case.frame[:-1], case.frame + b"\x00", case.frame * 2, case.frame[:3], b""):
        with pytest.raises(RemoteProtocolError) as caught:
            CODEC.decode(wrong)

        assert caught.value.code is ErrorCode.MALFORMED
        assert (caught.value.field, caught.value.offset) == ("length", 0)


@pytest.mark.proves("EP-2.1-4")
@pytest.mark.parametrize(("limit", "good"), [(11, False), (12, True), (ANY_FRAME, True)])
def test_a_frame_above_the_limit_is_too_large(limit: int, good: bool) -> None:
    if good:
        assert CODEC.decode(PING, max_frame=limit) == Ping(seq=7)
        return

    with pytest.raises(RemoteProtocolError) as caught:
        CODEC.decode(PING, max_frame=limit)

    assert caught.value.code is ErrorCode.FRAME_TOO_LARGE
    assert (caught.value.field, caught.value.offset) == ("length", 0)


FAULTS = [
    ("0000000b 02 01 0001 0000000000000000", ErrorCode.MALFORMED, "length"),
    ("0000000c 02 01 0001 0000000000000000", ErrorCode.UNSUPPORTED_VERSION, "version"),
    ("0000000c 01 01 0001 0000000000000000", ErrorCode.MALFORMED, "reserved"),
    ("0000000c 01 01 0000 0000000000000000", ErrorCode.MALFORMED, "seq"),
    ("0000000c 01 01 0000 0000000000000001", ErrorCode.MALFORMED, "user"),
]


@pytest.mark.parametrize(("frame", "code", "field"), FAULTS)
@pytest.mark.proves("EP-8.3-1", "EP-8.3-4")
def test_of_several_faults_the_first_in_the_order_of_the_header_is_found(
    frame: str, code: ErrorCode, field: str
) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        CODEC.decode(bytes.fromhex(frame))

    assert (caught.value.code, caught.value.field) == (code, field)


@pytest.mark.parametrize("event", [e for e in STANDARD_EVENTS if e is not Error])
@pytest.mark.proves("EP-2.2-8")
def test_only_an_error_may_have_seq_0(event: type[Event]) -> None:
    case = next(case for case in CASES if type(case.event) is event)

    with pytest.raises(RemoteProtocolError) as caught:
        CODEC.decode(case.frame[:8] + bytes(8) + case.frame[16:])
    with pytest.raises(LocalProtocolError) as local:
        encode(case.event.with_seq(0))

    assert (caught.value.code, caught.value.field) == (ErrorCode.MALFORMED, "seq")
    assert caught.value.offset == 8
    assert local.value.field == "seq"


def test_a_fault_in_a_body_counts_from_the_frame() -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        decode(bytes.fromhex("0000000f 01 05 0000 0000000000000009 0001 05"))

    assert (caught.value.field, caught.value.offset, caught.value.seq) == ("text", 18, 9)


def test_an_event_longer_than_a_length_can_say_is_refused() -> None:
    class Endless(str):
        """A text whose encoding claims to be far too long for a test to hold."""

        def encode(self, *args: object) -> bytes:
            return _Long()

    class _Long(bytes):
        def __len__(self) -> int:
            return 2**32

    event = Message(seq=1, content="")
    object.__setattr__(event, "content", Endless())

    with pytest.raises(LocalProtocolError):
        encode(event)


# ---------------------------------------------------------------- sets of types


@together("type", UNKNOWN_TYPES)
@pytest.mark.proves("EP-3.12-4", "EP-2.4-1")
def test_an_unknown_type_is_kept_byte_for_byte(type: int) -> None:
    frame = bytes.fromhex(f"0000000e 01 {type:02x} 0000 0000000000000009 cafe")

    event = decode(frame)

    assert event == Unknown(type=type, body=b"\xca\xfe", seq=9)
    assert encode(event) == frame


@together("type", range(0x80, 0x100))
@pytest.mark.proves("EP-3.11-3")
def test_every_application_type_decodes_without_a_class(type: int) -> None:
    frame = bytes.fromhex(f"00000010 01 {type:02x} 0000 0000000000000009 01 62 ffff")

    event = decode(frame)

    assert event == ApplicationEvent(type=type, sender="b", data=b"\xff\xff", seq=9)
    assert isinstance(event, ApplicationEvent) and event.decode_error is None
    assert encode(event) == frame


@pytest.mark.parametrize("event", DECLARED)
@pytest.mark.proves("EP-3.11-5")
@given(data=st.binary(max_size=12))
def test_no_content_of_an_application_event_is_an_error(
    event: type[ApplicationEvent], data: bytes
) -> None:
    frame = encode(ApplicationEvent(type=event.type, sender="ann", data=data, seq=9))

    found = CODEC.decode(frame)

    assert isinstance(found, ApplicationEvent)
    assert (found.type, found.sender, found.data) == (event.type, "ann", data)
    assert (type(found) is event) is (found.decode_error is None)
    assert encode(found) == frame


def test_an_application_event_that_does_not_fit_says_why() -> None:
    frame = encode(ApplicationEvent(type=Moved.type, sender="ann", data=b"\x00" * 5, seq=9))

    event = CODEC.decode(frame)

    assert isinstance(event, ApplicationEvent) and event.decode_error is not None
    place = 16 + 4 + 4
    assert fault(event.decode_error)[1:] == (ErrorCode.MALFORMED, "y", 9, place)


def test_the_sender_of_an_application_event_is_not_its_content() -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        CODEC.decode(bytes.fromhex("0000000e 01 80 0000 0000000000000009 01 ff"))

    assert (caught.value.code, caught.value.field) == (ErrorCode.MALFORMED, "sender")


def test_a_type_has_one_class() -> None:
    with pytest.raises(LocalProtocolError) as caught:
        Codec([Moved, Noted, Moved])

    assert caught.value.field == "type"


# ---------------------------------------------------------------- relaying


REQUEST = Message(content="hi", seq=2)
SENDER = b"\x03ann"


def test_a_run_of_messages_becomes_facts_and_acks() -> None:
    moved = Moved(x=1, y=2, seq=9)
    data = encode(REQUEST) + encode(moved)

    facts, acks, stop = relay(data, 0, 100, SENDER, 40, 10)

    assert facts == [
        encode(Message(sender="ann", content="hi", seq=40)),
        encode(Moved(sender="ann", x=1, y=2, seq=41)),
    ]
    assert acks == encode(Ack(seq=2, position=40)) + encode(Ack(seq=9, position=41))
    assert stop == len(data)


def test_a_run_is_no_longer_than_asked_for() -> None:
    data = encode(REQUEST) * 3

    facts, _, stop = relay(data, 0, 100, SENDER, 40, 2)

    assert len(facts) == 2
    assert stop == 2 * len(encode(REQUEST))


@pytest.mark.parametrize(
    "behind",
    [
        b"",
        encode(REQUEST)[:-1],
        encode(REQUEST)[:17],
        encode(REQUEST)[:16],
        encode(Ping(seq=3)),
        encode(Unknown(type=0x0B, body=b"\x00", seq=3)),
        encode(Message(sender="eve", content="hi", seq=3)),
        encode(ApplicationEvent(type=0x80, sender="eve", seq=3)),
        encode(Message(content="longer than the limit", seq=3)),
        bytes.fromhex("0000000e 01 02 0000 0000000000000003 00 ff"),
        bytes.fromhex("0000000e 01 02 0000 0000000000000000 00 61"),
        bytes.fromhex("0000000e 02 02 0000 0000000000000003 00 61"),
        bytes.fromhex("0000000e 01 02 0001 0000000000000003 00 61"),
        bytes.fromhex("0000000c 01 02 0000 0000000000000003 00 61"),
        bytes.fromhex("0000000b 01 02 0000 0000000000000003 00 61"),
    ],
    ids=range(15),
)
def test_a_run_ends_before_whatever_is_no_good_message(behind: bytes) -> None:
    facts, _, stop = relay(encode(REQUEST) + behind, 0, 20, SENDER, 40, 10)

    assert len(facts) == 1
    assert stop == len(encode(REQUEST))


@pytest.mark.proves("EP-3.3-4", "EP-3.3-5", "EP-3.11-2", "EP-3.11-4", "EP-5.1-3")
@given(events=st.lists(EVENTS, max_size=4), random=st.randoms(use_true_random=False))
def test_the_fast_path_makes_the_same_bytes_as_the_slow_one(
    events: list[Event], random: Random
) -> None:
    frames = [encode(e) for e in events] + [random.choice(SHORT_FRAMES)]
    stream = b"".join([*frames, mutate(frames[0], random)])

    differential.check(stream)


@pytest.mark.parametrize("event", [Event(seq=1), Fact(seq=1)])
def test_what_is_an_event_of_no_kind_is_not_encoded(event: Event) -> None:
    with pytest.raises(LocalProtocolError):
        encode(event)
