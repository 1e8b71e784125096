"""The JSON form of events: the one that the vectors are written in, both ways."""

from __future__ import annotations

import json

import pytest
from tests.eventcodec import oracle
from tests.together import together

from eventcodec import (
    ApplicationEvent,
    Error,
    ErrorCode,
    Event,
    Joined,
    LocalProtocolError,
    Login,
    Message,
    Unknown,
    Welcome,
    application_event,
    decode,
    encode,
    field,
    jsonlines,
    vectors,
    wire,
)

VALID = vectors.load().valid
each_vector = together("vector", VALID)


@application_event(0x81)
class Paid(ApplicationEvent):
    """An application's own event, with a secret in it."""

    amount: int = field(wire.U64)
    card: bytes = field(wire.ShortBytes, repr=False)


@each_vector
def test_an_event_is_written_as_the_vectors_write_it(vector: vectors.Valid) -> None:
    form = jsonlines.to_object(decode(vector.frame))

    assert form == dict(vector.event)
    assert list(form) == list(vector.event)


@pytest.mark.proves("EP-2.3-7")
@each_vector
def test_a_line_is_what_an_independent_reader_makes_of_the_frame(vector: vectors.Valid) -> None:
    line = jsonlines.dumps(decode(vector.frame))

    assert ("event", json.loads(line)) == oracle.judge(vector.frame)


@each_vector
def test_what_was_written_reads_back_as_the_same_event(vector: vectors.Valid) -> None:
    event = decode(vector.frame)

    again = jsonlines.loads(jsonlines.dumps(event))

    assert again == event
    assert encode(again) == vector.frame


def test_a_line_is_printable_ascii_whatever_the_text() -> None:
    every = "".join(map(chr, [*range(0x250), 0x2028, 0x202E, 0xFEFF, 0x1F600]))

    line = jsonlines.dumps(Message(content=every))

    assert line.isascii() and line.isprintable()
    assert jsonlines.loads(line) == Message(content=every)


def test_a_known_error_code_is_written_as_its_number() -> None:
    assert jsonlines.to_object(Error(code=ErrorCode.TIMEOUT))["code"].__class__ is int


def test_a_declared_application_event_stands_as_the_general_one() -> None:
    form = jsonlines.to_object(Paid(amount=5, card=b"42", seq=7))

    assert form == {
        "event": "ApplicationEvent",
        "type": 0x81,
        "seq": "7",
        "sender": "",
        "data": "0000000000000005" + "02" + "3432",
    }


@pytest.mark.parametrize(
    ("event", "sizes"),
    [
        (Login(user="a", credential=b"key"), {"credential": 3, "ticket": 8}),
        (
            Welcome(user="a", ticket=9, position=0, max_frame=4096, heartbeat=0),
            {"ticket": 8},
        ),
        (Paid(amount=5, card=b"42"), {"data": 11}),
        (Message(content="x"), {}),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Event) else "",
)
@pytest.mark.proves("EP-12-1")
def test_without_secrets_only_their_sizes_are_told(event: Event, sizes: dict[str, int]) -> None:
    form = jsonlines.to_object(event, secrets=False)
    whole = jsonlines.to_object(event)

    hidden = {name: value for name, value in form.items() if value != whole[name]}
    assert hidden == {name: f"({size} bytes hidden)" for name, size in sizes.items()}


REFUSED: dict[str, tuple[str | bytes, str | None]] = {
    "nothing": ("", None),
    "half an object": ('{"event": "Ping"', None),
    "not UTF-8": (b'{"event": "\xff"}', None),
    "a byte order mark": (b'\xef\xbb\xbf{"event": "Ping", "seq": "1"}', None),
    "a list": ("[]", None),
    "a number": ("7", None),
    "nested too deeply": ("[" * 100_000, None),
    "a number of too many digits": ("1" * 10_000, None),
    "a name twice": ('{"event": "Ping", "seq": "1", "seq": "2"}', None),
    "no event": ('{"seq": "1"}', "event"),
    "an unknown event": ('{"event": "Pink", "seq": "1"}', "event"),
    "an event that is no string": ('{"event": ["Ping"], "seq": "1"}', "event"),
    "a missing field": ('{"event": "Ack", "seq": "1"}', "position"),
    "a missing seq": ('{"event": "Ping"}', "seq"),
    "a field too many": ('{"event": "Ping", "seq": "1", "x\\u001b": 1}', "'x\\x1b'"),
    "a type where the event has its own": ('{"event": "Ping", "type": 6, "seq": "1"}', "'type'"),
    "a seq that is a number": ('{"event": "Ping", "seq": 1}', "seq"),
    "a seq with a leading zero": ('{"event": "Ping", "seq": "01"}', "seq"),
    "a seq with a sign": ('{"event": "Ping", "seq": "+1"}', "seq"),
    "a seq in foreign digits": ('{"event": "Ping", "seq": "\\u0663"}', "seq"),
    "a seq with a line end": ('{"event": "Ping", "seq": "1\\n"}', "seq"),
    "a seq of 2^64": ('{"event": "Ping", "seq": "18446744073709551616"}', "seq"),
    "a number in quotes": (
        '{"event": "Error", "seq": "1", "code": "3", "text": ""}',
        "code",
    ),
    "a number with a point": ('{"event": "Error", "seq": "1", "code": 3.0, "text": ""}', "code"),
    "a bool for a number": ('{"event": "Error", "seq": "1", "code": true, "text": ""}', "code"),
    "a number too great": ('{"event": "Error", "seq": "1", "code": 65536, "text": ""}', "code"),
    "null for a text": ('{"event": "Joined", "seq": "1", "user": null}', "user"),
    "half a surrogate pair": ('{"event": "Joined", "seq": "1", "user": "\\ud800"}', "user"),
    "a text too long": (f'{{"event": "Joined", "seq": "1", "user": "{"u" * 256}"}}', "user"),
    "hex in capitals": ('{"event": "Unknown", "type": 11, "seq": "1", "body": "FF"}', "body"),
    "half a byte": ('{"event": "Unknown", "type": 11, "seq": "1", "body": "f"}', "body"),
    "hex with a space": ('{"event": "Unknown", "type": 11, "seq": "1", "body": "ff ff"}', "body"),
    "a known type as unknown": ('{"event": "Unknown", "type": 6, "seq": "1", "body": ""}', "type"),
    "a type in quotes": (
        '{"event": "Unknown", "type": "11", "seq": "1", "body": ""}',
        "type",
    ),
}


@pytest.mark.parametrize(("line", "at_fault"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_event_is_a_local_error_that_names_the_field(
    line: str | bytes, at_fault: str | None
) -> None:
    with pytest.raises(LocalProtocolError) as caught:
        jsonlines.loads(line)

    assert caught.value.field == at_fault
    assert str(caught.value).replace("…", "").isprintable()


def test_the_cause_of_a_json_error_does_not_carry_the_line_along() -> None:
    with pytest.raises(LocalProtocolError) as caught:
        jsonlines.loads('{"event": "Login", "credential": "6b6579"')

    assert caught.value.__suppress_context__
    assert "6b6579" not in str(caught.value)


def test_events_that_no_frame_can_carry_yet_have_a_form() -> None:
    for event in (Joined(user="ann"), Unknown(type=0x0B, body=b"\0"), ApplicationEvent(type=0x80)):
        assert jsonlines.loads(jsonlines.dumps(event)) == event


def test_numbers_of_eight_bytes_survive_whatever_their_size() -> None:
    for seq in (0, 2**53 + 1, 2**64 - 1):
        assert jsonlines.loads(jsonlines.dumps(Joined(seq=seq, user=""))).seq == seq
