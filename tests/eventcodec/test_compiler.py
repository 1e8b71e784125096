"""Declaration -> functions: they agree with construct, and say where a body is wrong."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING, Any

import construct
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.eventcodec.cases import CASES
from tests.eventcodec.declared import CODEC, DECLARED, Drawn
from tests.eventcodec.differential import by_construct
from tests.eventcodec.mutations import NOT_UTF8, mutate
from tests.eventcodec.strategies import VALUES, bodies, of
from tests.eventcodec.streams import read
from tests.together import together

from eventcodec import (
    ApplicationEvent,
    Codec,
    Decoder,
    Error,
    ErrorCode,
    Event,
    Joined,
    LocalProtocolError,
    Login,
    Message,
    Ping,
    RemoteProtocolError,
    Unknown,
    application_event,
    encode,
    field,
    wire,
)
from eventcodec import reference as reference_module
from eventcodec.limits import HEADER_SIZE
from eventcodec.reference import reference, walk
from eventcodec.tables import STANDARD_EVENTS

if TYPE_CHECKING:
    _Construct = construct.Construct[Any, Any]
else:
    _Construct = construct.Construct

CLASSES: tuple[type[Event], ...] = (*STANDARD_EVENTS, *DECLARED, ApplicationEvent, Unknown)
EACH_CLASS = pytest.mark.parametrize("kind", CLASSES)
SEQ = 7


def takes_all(kind: type[Event]) -> bool:
    """Whether the last field of a class takes whatever is left of a frame."""
    return bool(kind.parts) and kind.parts[-1].subcon in (wire.Text, wire.Rest)


def decode_body(kind: type[Event], body: bytes, before: bytes = b"", behind: bytes = b"") -> Event:
    """The event that the compiled function makes of a body among other bytes."""
    data = before + body + behind
    event: Event = kind.compiled.decode(data, len(before), len(before) + len(body), SEQ)
    return event


def declare(words: dict[str, Any]) -> Any:
    """A class with these fields, as its declaration would make it."""
    body: dict[str, Any] = {name: field(word) for name, word in words.items()}
    body["__annotations__"] = dict.fromkeys(words, object)
    return application_event(0x90)(type("Declared", (ApplicationEvent,), body))


def refused(kind: type[Event], body: bytes, before: bytes = b"", behind: bytes = b"") -> Any:
    """The error that the compiled function finds there."""
    with pytest.raises(RemoteProtocolError) as caught:
        decode_body(kind, body, before, behind)
    return caught.value


@EACH_CLASS
def test_a_class_of_known_words_is_compiled_and_any_other_left_to_construct(
    kind: type[Event],
) -> None:
    assert bool(kind.compiled.source) is (kind is not Drawn)


@EACH_CLASS
@pytest.mark.proves("EP-2.4-1")
@given(data=st.data())
def test_construct_writes_and_reads_the_same_bytes(kind: type[Event], data: st.DataObject) -> None:
    event = data.draw(of(kind))
    values = {part.name: getattr(event, part.name) for part in kind.parts}

    body = encode(event)[HEADER_SIZE:]

    assert reference(kind).build(values) == body
    assert by_construct(kind, body) == values


@EACH_CLASS
@given(data=st.data(), before=st.binary(max_size=5), behind=st.binary(max_size=5))
def test_construct_accepts_and_refuses_the_same_bodies(
    kind: type[Event], data: st.DataObject, before: bytes, behind: bytes
) -> None:
    body = data.draw(bodies(kind))
    expected = by_construct(kind, body)

    try:
        event = decode_body(kind, body, before, behind)
    except RemoteProtocolError:
        found = None
    else:
        found = {part.name: getattr(event, part.name) for part in kind.parts}

    assert found == expected


@EACH_CLASS
@pytest.mark.proves("EP-2.4-3", "EP-2.4-2")
def test_a_body_cut_short_is_refused_at_the_field_that_is_cut(kind: type[Event]) -> None:
    for case in (case for case in CASES if type(case.event) is kind and len(case.frame) < 2_000):
        body = case.frame[HEADER_SIZE:]
        steps = list(walk(kind.parts, body))
        for size in range(len(body)):
            if by_construct(kind, body[:size]) is not None:
                continue  # its last field takes whatever is left
            cut = next(step for step in steps if step.stop > size)

            error = refused(kind, body[:size], before=b"12345", behind=body[size:])

            assert error.code is ErrorCode.MALFORMED
            assert cut.part is not None
            assert error.field == cut.part.name
            assert error.offset == 5 + cut.start
            assert error.seq == SEQ


@pytest.mark.parametrize("kind", [kind for kind in CLASSES if kind is not Drawn])
def test_a_run_ends_before_the_frame_that_the_data_cuts(kind: type[Event]) -> None:
    cases = [case for case in CASES if type(case.event) is kind and case.event.seq]
    for frame in (case.frame for case in cases if len(case.frame) < 300):
        whole, word, seq = len(frame), int.from_bytes(frame[4:8]), int.from_bytes(frame[8:16])
        for size in range(whole, 4 * whole):
            data = (frame * 4)[:size]
            for compiled in filter(None, (kind.compiled, kind.compiled.pure)):
                events, at = compiled.decode_many(data, 0, whole, word, seq, 300, 1_000)

                assert len(events) == size // whole
                assert at == size // whole * whole


@pytest.mark.parametrize("kind", [kind for kind in CLASSES if not takes_all(kind)])
@pytest.mark.proves("EP-2.4-4", "EP-11-2")
def test_bytes_behind_the_last_field_are_refused_where_they_begin(kind: type[Event]) -> None:
    body = next(case.frame for case in CASES if type(case.event) is kind)[HEADER_SIZE:]

    error = refused(kind, body + b"\x00", before=b"12345")

    assert error.code is ErrorCode.MALFORMED
    assert error.field is None
    assert error.offset == 5 + len(body)


@pytest.mark.proves("EP-2.3-3")
@together("wrong", NOT_UTF8)
@pytest.mark.parametrize(
    ("kind", "front", "name"),
    [
        (Message, "00", "content"),
        (Joined, "", "user"),
        (Error, "0001", "text"),
        (Login, "", "user"),
    ],
)
def test_text_that_is_not_utf8_is_refused_at_its_field(
    kind: type[Event], front: str, name: str, wrong: bytes
) -> None:
    text = wrong if name == "content" else bytes([len(wrong)]) + wrong
    rest = bytes(18) if kind is Login else b""

    error = refused(kind, bytes.fromhex(front) + text + rest)

    assert error.code is ErrorCode.MALFORMED
    assert (error.field, error.offset) == (name, len(front) // 2)


@pytest.mark.proves("EP-12-6")
def test_an_error_shows_nothing_of_the_body() -> None:
    secret = b"\x1b[31msesame\xff"

    error = refused(Message, b"\x00" + secret)

    shown = "".join(traceback.format_exception(error))
    assert "sesame" not in shown
    assert error.__suppress_context__


def test_a_traceback_shows_the_source_that_was_generated() -> None:
    event = Login(seq=1)
    object.__setattr__(event, "user", 5)

    with pytest.raises(AttributeError) as caught:
        encode(event)

    shown = "".join(traceback.format_exception(caught.value))
    assert "_event.user.encode()" in shown


@EACH_CLASS
def test_a_decoded_event_is_of_its_very_class(kind: type[Event]) -> None:
    case = next(case for case in CASES if type(case.event) is kind)
    event = decode_body(kind, case.frame[HEADER_SIZE:])

    assert type(event) is kind


@pytest.mark.parametrize("name", ["len", "str", "decode", "encode", "at", "stop", "Struct"])
def test_a_field_may_have_the_name_of_whatever_the_functions_use(name: str) -> None:
    declared = declare({name: wire.Text})
    event = declared(seq=1, **{name: "x"})

    assert Codec([declared]).decode(encode(event)) == event


def test_an_event_may_have_many_fields() -> None:
    words = [wire.U8, wire.ShortText, wire.I64, wire.Bytes16, wire.Flag] * 40
    names = [f"field{n}" for n in range(len(words))]
    declared = declare(dict(zip(names, words, strict=True)))
    values = [1, "x", -1, b"y", True] * 40

    event = declared(seq=1, **dict(zip(names, values, strict=True)))

    assert Codec([declared]).decode(encode(event)) == event


# ---------------------------------------------------------------- any declaration

INNER = [word for word in VALUES if word not in (wire.Text, wire.Rest)]


@st.composite
def declarations(draw: st.DrawFn) -> Any:
    """A class of any words in any order; only the last may take whatever is left."""
    words = draw(st.lists(st.sampled_from(INNER), max_size=7))
    last = draw(st.sampled_from([None, wire.Text, wire.Rest]))
    if last is not None:
        words.append(last)
    return declare({f"field{n}": word for n, word in enumerate(words)})


@given(data=st.data(), declared=declarations())
@pytest.mark.proves("EP-2.4-1")
def test_an_event_of_any_declaration_comes_back_from_its_frame(
    data: st.DataObject, declared: Any
) -> None:
    event = data.draw(of(declared))
    values = {part.name: getattr(event, part.name) for part in declared.parts}

    frame = encode(event)

    assert Codec([declared]).decode(frame) == event
    assert reference(declared).build(values) == frame[HEADER_SIZE:]


@given(data=st.data(), declared=declarations(), random=st.randoms(use_true_random=False))
@pytest.mark.proves("EP-2.4-2", "EP-2.4-3", "EP-2.4-4")
def test_a_mutated_body_of_any_declaration_is_judged_as_construct_does(
    data: st.DataObject, declared: Any, random: Random
) -> None:
    frame = encode(data.draw(of(declared)))
    body = mutate(frame, random)[HEADER_SIZE:]
    expected = by_construct(declared, body)

    try:
        event = decode_body(declared, body, before=b"123", behind=frame)
    except RemoteProtocolError:
        found = None
    else:
        found = {part.name: getattr(event, part.name) for part in declared.parts}

    assert found == expected


@EACH_CLASS
@given(data=st.data())
@pytest.mark.proves("EP-2.1-5")
def test_events_that_are_made_in_one_go_are_those_that_are_made_one_by_one(
    kind: type[Event], data: st.DataObject
) -> None:
    events = data.draw(st.lists(of(kind), min_size=1, max_size=4))
    frames = [encode(event) for event in events]
    cut = data.draw(st.integers(0, len(frames[-1])))
    stream = b"".join(frames)[: len(b"".join(frames)) - cut]

    outcome = read(Decoder(codec=CODEC), [stream])

    whole = events if cut == 0 else events[:-1]
    assert outcome.events == whole
    assert outcome.fault is None


# ---------------------------------------------------------------- foreign subcons


class Moody(_Construct):
    """A subcon that raises what none of construct's own does."""

    def _parse(self, stream: Any, context: Any, path: Any) -> Any:
        return construct.stream_read(stream, 1, path)[0] // 0

    def _build(self, obj: Any, stream: Any, context: Any, path: Any) -> Any:
        construct.stream_write(stream, bytes([100 // obj]), 1, path)
        return obj


@application_event(0x90)
class Felt(ApplicationEvent):
    """One field, of that kind."""

    mood: int = field(Moody())


@application_event(0x91)
class Nested(ApplicationEvent):
    """One field of construct's own."""

    pair: Any = field(construct.Struct("x" / construct.Int8ub, "y" / construct.Int8ub))


@pytest.mark.proves("EP-3.11-5")
def test_whatever_a_foreign_subcon_raises_in_reading_is_a_misfit_of_the_event() -> None:
    frame = encode(ApplicationEvent(type=0x90, data=b"\x01", seq=1))

    event = Codec([Felt]).decode(frame)

    assert event == ApplicationEvent(type=0x90, data=b"\x01", seq=1)
    assert isinstance(event, ApplicationEvent) and event.decode_error is not None
    assert (event.decode_error.code, event.decode_error.field) == (ErrorCode.MALFORMED, "mood")


def test_whatever_a_foreign_subcon_raises_in_writing_is_the_callers_fault() -> None:
    with pytest.raises(LocalProtocolError) as caught:
        Felt(mood=0)

    assert caught.value.field == "mood"


class OursError(Exception):
    """Stands for a fault of this package."""


def fails(*arguments: Any, **named: Any) -> Any:
    raise OursError


def lacks_params(parts: Any, stream: Any, *, building: bool) -> Any:
    """The context as it once was: construct's own subcons could not work in it."""
    context = CONTEXT(parts, stream, building=building)
    return type(context)({name: each for name, each in context.items() if name != "_params"})


CONTEXT = reference_module._context
OURS: dict[str, tuple[str, Callable[..., Any], type[Exception]]] = {
    "a value cannot be made immutable": ("freeze", fails, OursError),
    "a private name is missing for construct": ("_context", lacks_params, AttributeError),
}


@pytest.mark.parametrize("fault", OURS)
def test_an_error_of_this_package_is_never_taken_for_a_misfit(
    monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    """A peer would be accused of it, or the application."""
    frame = encode(ApplicationEvent(type=0x91, data=b"\x01\x02", seq=1))
    name, replacement, raised = OURS[fault]
    monkeypatch.setattr(reference_module, "_OURS", {*reference_module._OURS, __name__})
    monkeypatch.setattr(reference_module, name, replacement)

    with pytest.raises(raised):
        Codec([Nested]).decode(frame)
    with pytest.raises(raised):
        Nested(pair={"x": 1, "y": 2})


def test_an_event_is_encoded_as_it_was_born() -> None:
    event = Drawn(colour=1, radius=300, seq=1)
    frame = encode(event)

    object.__setattr__(event, "radius", 0)

    assert encode(event) == frame


def test_what_a_foreign_subcon_cannot_write_again_is_a_misfit() -> None:
    class Deaf(Moody):
        def _parse(self, stream: Any, context: Any, path: Any) -> Any:
            return construct.stream_read(stream, 1, path)[0] * 0

    @application_event(0x90)
    class Heard(ApplicationEvent):
        mood: int = field(Deaf())

    event = Codec([Heard]).decode(encode(ApplicationEvent(type=0x90, data=b"\x01", seq=1)))

    assert isinstance(event, ApplicationEvent) and event.decode_error is not None
    assert event.data == b"\x01"


@pytest.mark.parametrize("kind", [Ping, Drawn])
def test_an_event_without_a_number_has_no_frame(kind: type[Event]) -> None:
    event = Ping() if kind is Ping else Drawn(colour=1, radius=1)

    with pytest.raises(LocalProtocolError) as caught:
        encode(event)

    assert caught.value.field == "seq"


@pytest.mark.parametrize("data", [b"", b"\x01", b"\x02", b"\x01\x00"])
def test_a_field_may_have_the_name_of_anything_that_python_has_built_in(data: bytes) -> None:
    @application_event(0x91)
    class Odd(ApplicationEvent):
        ValueError: bool = field(wire.Flag)

    event = Codec([Odd]).decode(encode(ApplicationEvent(type=0x91, data=data, seq=1)))

    assert isinstance(event, ApplicationEvent) and event.data == data
    assert (event.decode_error is None) == (type(event) is Odd) == (data == b"\x01")
