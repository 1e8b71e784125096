"""Events: frozen, typed, complete at birth, each field declared once."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.eventcodec.cases import ALL_CASES, CASES, Case
from tests.eventcodec.declared import DECLARED, Drawn, Filed, Moved
from tests.eventcodec.strategies import EVENTS
from tests.together import together

from eventcodec import (
    Ack,
    ApplicationEvent,
    Codec,
    Error,
    Event,
    Fact,
    Joined,
    Left,
    LeftReason,
    LocalProtocolError,
    Login,
    Message,
    Ping,
    Unknown,
    Welcome,
    application_event,
    encode,
    field,
    wire,
)
from eventcodec.tables import STANDARD_EVENTS

SECRET = b"sesame-secret"
TICKET = 0x9F3C5A7BE1D20846

EACH_EVENT = together("event", [case.event for case in CASES])
EACH_FIELD = together(
    "event, name",
    [
        (case.event, part.name)
        for case in {type(case.event): case for case in CASES}.values()
        for part in case.event.parts
    ],
)


def test_the_table_of_cases_has_every_event() -> None:
    shown = {type(case.event) for case in CASES}

    assert shown == {*STANDARD_EVENTS, *DECLARED, ApplicationEvent, Unknown}


def test_the_standard_events_stand_in_the_order_of_their_types() -> None:
    assert [event.type for event in STANDARD_EVENTS] == list(range(0x01, 0x0B))


@ALL_CASES
def test_an_event_knows_its_type(case: Case) -> None:
    assert case.event.type == case.frame[5]


@pytest.mark.parametrize("event", [Unknown, ApplicationEvent, Event])
def test_a_class_whose_events_have_their_own_types_has_none(event: type[Event]) -> None:
    with pytest.raises(AttributeError):
        _ = event.type


@EACH_EVENT
def test_an_event_is_frozen(event: Event) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        event.seq = 9  # type: ignore[misc]
    with pytest.raises(dataclasses.FrozenInstanceError):
        event.sequence = 9  # type: ignore[attr-defined]
    with pytest.raises(dataclasses.FrozenInstanceError):
        del event.sequence  # type: ignore[attr-defined]

    assert not hasattr(event, "__dict__")


@ALL_CASES
def test_an_event_that_was_read_is_as_frozen_as_one_that_was_made(case: Case) -> None:
    event = type(case.event).compiled.decode(case.frame, 16, len(case.frame), case.event.seq)

    with pytest.raises(dataclasses.FrozenInstanceError):
        event.seq = 9
    with pytest.raises(dataclasses.FrozenInstanceError):
        del event.seq
    assert not hasattr(event, "__dict__")


def test_fields_are_given_by_name_alone() -> None:
    with pytest.raises(TypeError):
        Message("ann", "hello")  # type: ignore[call-arg, arg-type]


@pytest.mark.parametrize(
    ("event", "values"),
    [
        (Login(), {"user": "", "credential": b"", "ticket": 0, "position": 0}),
        (Message(content="x"), {"sender": ""}),
        (Ack(), {"position": 0}),
        (Error(code=1), {"text": ""}),
        (Left(user="ann"), {"reason": 0}),
        (ApplicationEvent(type=0x80), {"sender": "", "data": b"", "decode_error": None}),
        (Unknown(type=0x0B), {"body": b""}),
        (Moved(x=1, y=2), {"sender": "", "decode_error": None}),
    ],
    ids=repr,
)
def test_what_is_not_given_has_its_default(event: Event, values: dict[str, object]) -> None:
    assert {name: getattr(event, name) for name in values} == values
    assert event.seq == 0


@EACH_FIELD
def test_a_field_of_another_kind_is_refused_at_birth(event: Event, name: str) -> None:
    with pytest.raises(LocalProtocolError) as caught:
        _changed(event, **{name: None})

    assert caught.value.field == name


@EACH_EVENT
@together("seq", [-1, 2**64, True, 1.0, None])
def test_a_seq_that_no_frame_can_carry_is_refused(event: Event, seq: Any) -> None:
    with pytest.raises(LocalProtocolError) as born:
        _changed(event, seq=seq)
    with pytest.raises(LocalProtocolError) as numbered:
        event.with_seq(seq)

    assert born.value.field == numbered.value.field == "seq"


def _changed(event: Event, **values: Any) -> Event:
    """The same event, born with other values."""
    names = [part.name for part in event.parts] + ["seq"]
    if isinstance(event, Unknown) or type(event) is ApplicationEvent:
        names.append("type")
    return type(event)(**{name: getattr(event, name) for name in names} | values)


@pytest.mark.proves("EP-2.3-4")
@pytest.mark.parametrize("text", ["\ud800", "a\udfff", "\udc80"])
def test_text_that_utf8_cannot_carry_is_refused_at_birth(text: str) -> None:
    for make in (
        lambda: Message(content=text),
        lambda: Login(user=text),
        lambda: Error(code=1, text=text),
        lambda: Joined(user=text),
        lambda: ApplicationEvent(type=0x80, sender=text),
    ):
        with pytest.raises(LocalProtocolError):
            make()


@given(event=EVENTS, seq=st.integers(0, 2**64 - 1))
def test_an_event_under_another_number_is_otherwise_the_same(event: Event, seq: int) -> None:
    renumbered = event.with_seq(seq)

    assert renumbered.seq == seq
    assert type(renumbered) is type(event)
    assert renumbered.with_seq(event.seq) == event


@given(event=EVENTS)
def test_an_event_survives_copying_and_pickling(event: Event) -> None:
    for twin in (copy.copy(event), copy.deepcopy(event), pickle.loads(pickle.dumps(event))):
        assert twin == event
        assert type(twin) is type(event)
        assert encode(twin) == encode(event)


@given(event=EVENTS, other=EVENTS)
def test_events_are_equal_if_and_only_if_their_frames_are(event: Event, other: Event) -> None:
    same_frame = encode(event) == encode(other)

    assert (event == other) == (same_frame and type(event) is type(other))


@given(event=EVENTS)
def test_equal_events_have_one_hash(event: Event) -> None:
    assert hash(event) == hash(event.with_seq(event.seq))


@EACH_EVENT
def test_no_event_equals_anything_else(event: Event) -> None:
    assert event != event.with_seq(event.seq ^ 1)
    assert event != Ping(seq=2**40)
    assert event != object()


@pytest.mark.proves("EP-12-1")
@pytest.mark.parametrize(
    "event",
    [
        Login(user="ann", credential=SECRET, ticket=TICKET),
        Welcome(user="ann", ticket=TICKET, position=1, max_frame=4_096, heartbeat=0),
    ],
    ids=["Login", "Welcome"],
)
def test_repr_shows_neither_credential_nor_ticket(event: Event) -> None:
    shown = repr(event)

    assert "user='ann'" in shown
    assert SECRET.decode() not in shown
    assert str(TICKET) not in shown
    assert f"{TICKET:x}" not in shown.lower()


@pytest.mark.parametrize(
    ("event", "shown"),
    [
        (Unknown(type=0x0B, body=b"\xca"), "Unknown(seq=0, type=0x0b, body=b'\\xca')"),
        (
            ApplicationEvent(type=0xC0, sender="ann", data=b"!", seq=4),
            "ApplicationEvent(seq=4, type=0xc0, sender='ann', data=b'!')",
        ),
    ],
)
def test_repr_shows_the_type_of_an_event_whose_class_has_none(event: Event, shown: str) -> None:
    assert repr(event) == shown


@pytest.mark.proves("EP-5.1-3")
@pytest.mark.parametrize(
    "fact",
    [
        Message(sender="ann", content="x", seq=7),
        Joined(user="ann", seq=7),
        Left(user="ann", seq=7),
        ApplicationEvent(type=0x80, sender="ann", seq=7),
        Moved(sender="ann", x=1, y=2, seq=7),
    ],
    ids=repr,
)
def test_the_position_of_a_fact_is_its_seq(fact: Fact) -> None:
    assert fact.position == 7


@pytest.mark.parametrize(
    "event",
    [
        Message(content="unsent"),
        Message(content="sent", seq=7),
        Message(sender="ann", content="not numbered"),
        ApplicationEvent(type=0x80, seq=7),
        Joined(user="ann"),
    ],
    ids=repr,
)
def test_what_is_no_entry_has_no_position(event: Fact) -> None:
    with pytest.raises(LocalProtocolError) as caught:
        _ = event.position

    assert caught.value.field == "position"


@pytest.mark.proves("EP-3.10-2", "EP-2.3-2")
@together("reason", range(256))
def test_a_reason_that_is_not_known_reads_as_lost(reason: int) -> None:
    left = Left(user="ann", reason=reason)

    assert left.reason == reason
    assert left.why is (LeftReason(reason) if reason < 3 else LeftReason.LOST)


@pytest.mark.proves("EP-2.3-6")
def test_texts_that_only_look_the_same_are_not_equal() -> None:
    assert Joined(user="é") != Joined(user="e\u0301")
    assert Joined(user="ann") != Joined(user="Ann")


@pytest.mark.proves("EP-6.2-5")
@pytest.mark.parametrize("name", ["\n", "\x1b[31m", "\u202e", "\ufeff", "e\u0301", " "])
def test_an_event_may_have_a_name_that_no_server_gives(name: str) -> None:
    assert Joined(user=name).user == name


@pytest.mark.parametrize("type", [0x01, 0x0A, 0x80, 0xFF, 0x100, -1])
def test_unknown_is_only_of_types_that_are(type: int) -> None:
    with pytest.raises(LocalProtocolError) as caught:
        Unknown(type=type)

    assert caught.value.field == "type"


@pytest.mark.parametrize("type", [0x00, 0x0B, 0x7F, 0x100, -1])
def test_an_application_event_is_only_of_types_that_are_theirs(type: int) -> None:
    with pytest.raises(LocalProtocolError) as made:
        ApplicationEvent(type=type)
    with pytest.raises(LocalProtocolError) as declared:

        @application_event(type)
        class Outside(ApplicationEvent):
            pass

    assert made.value.field == declared.value.field == "type"


@pytest.mark.proves("EP-3.11-3")
@pytest.mark.parametrize("type", [0x80, 0x81, 0xFE, 0xFF])
def test_an_application_event_may_have_any_type_of_theirs(type: int) -> None:
    @application_event(type)
    class Declared(ApplicationEvent):
        pass

    assert ApplicationEvent(type=type).type == type
    assert Declared.type == Declared().type == type


@pytest.mark.parametrize("name", ["sender", "data", "seq", "type", "fault", "position", "with_seq"])
def test_a_field_may_not_take_the_name_of_what_every_event_has(name: str) -> None:
    with pytest.raises(LocalProtocolError) as caught:
        application_event(0x80)(
            type("Declared", (ApplicationEvent,), {"__annotations__": {name: int}, name: 0})
        )

    assert caught.value.field == name


def test_a_field_may_not_begin_with_an_underscore() -> None:
    with pytest.raises(LocalProtocolError) as caught:

        @application_event(0x80)
        class Declared(ApplicationEvent):
            _hidden: int = field(wire.U8)

    assert caught.value.field == "_hidden"


def test_what_takes_everything_to_the_end_must_be_the_last_field() -> None:
    with pytest.raises(LocalProtocolError) as caught:

        @application_event(0x80)
        class Declared(ApplicationEvent):
            note: str = field(wire.Text)
            line: int = field(wire.U16)

    assert caught.value.field == "note"


def test_a_declared_event_is_a_fact_with_a_sender_and_its_own_fields() -> None:
    moved = Moved(sender="ann", x=1, y=2, seq=7)

    assert isinstance(moved, Fact)
    assert [part.name for part in Moved.parts] == ["sender", "x", "y"]
    assert (moved.sender, moved.x, moved.y, moved.position) == ("ann", 1, 2, 7)


@pytest.mark.parametrize(
    ("event", "data"),
    [
        (Moved(x=3, y=-4), "00000003fffffffc"),
        (Moved(sender="Änne", x=0, y=0, seq=9), "0000000000000000"),
        (Filed(title="t", rest=b"\xff"), "01740000000000" + "00" + "ff"),
        (Drawn(colour=1, radius=300), "000001ac02"),
    ],
    ids=repr,
)
def test_data_is_what_a_declared_event_adds_to_its_sender(
    event: ApplicationEvent, data: str
) -> None:
    assert event.data == bytes.fromhex(data)


def test_a_field_can_be_kept_out_of_repr() -> None:
    @application_event(0x80)
    class Unlocked(ApplicationEvent):
        door: int = field(wire.U8)
        key: str = field(wire.ShortText, repr=False)

    assert repr(Unlocked(door=1, key="sesame")).endswith("(seq=0, sender='', door=1)")


def test_what_is_kept_out_of_repr_is_not_in_that_of_a_misfit() -> None:
    @application_event(0x80)
    class Unlocked(ApplicationEvent):
        key: str = field(wire.ShortText, repr=False)

    sent = ApplicationEvent(type=0x80, sender="ann", data=b"\xffsesame", seq=1)

    misfit = Codec([Unlocked]).decode(encode(sent))

    assert misfit == sent
    assert "sesame" not in repr(misfit)
    assert "decode_error=RemoteProtocolError" in repr(misfit)


def test_an_application_event_must_derive_from_the_general_one() -> None:
    class Moved:
        x: int = field(wire.I32)

    with pytest.raises(LocalProtocolError, match="Moved"):
        application_event(0x80)(Moved)  # type: ignore[type-var]
