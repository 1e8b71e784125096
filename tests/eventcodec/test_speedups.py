"""The native module beside the Python that it stands for.

Rule: Python is the reference. Whatever bytes or values come, both give the same, or both refuse in
the same words; where there is no native module these tests skip.
"""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import weakref
from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.eventcodec.declared import CODEC
from tests.eventcodec.mutations import mutate
from tests.eventcodec.strategies import bodies

import eventcodec
from eventcodec import (
    ApplicationEvent,
    Error,
    Event,
    EventCodecError,
    Message,
    Unknown,
    application_event,
    codec,
    encode,
    field,
    wire,
)
from eventcodec.codec import relay, relay_pure
from eventcodec.compiler import Compiled
from eventcodec.limits import ANY_FRAME, HEADER_SIZE
from eventcodec.vectors import load

pytestmark = pytest.mark.skipif(
    eventcodec.IMPLEMENTATION == "pure", reason="there is no native module"
)

FRAMES = [vector.frame for vector in load().valid if len(vector.frame) < 5_000]
EVERY: tuple[type[Event], ...] = (*CODEC.events.values(), ApplicationEvent, Unknown)
KINDS = [kind for kind in EVERY if kind.compiled.pure]


def outcome(work: Callable[..., Any], *args: object) -> object:
    """What comes back, or what is raised, to the letter."""
    try:
        return work(*args)
    except EventCodecError as error:
        return type(error), str(error), vars(error)


def both(kind: type[Event]) -> tuple[Compiled, Compiled]:
    compiled = kind.compiled
    assert compiled.pure is not None
    return compiled, compiled.pure


def state(event: object) -> object:
    return repr(event), getattr(event, "decode_error", None)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@given(data=st.data(), seq=st.integers(1, 2**64 - 1))
def test_any_body_decodes_alike(kind: type[Event], data: st.DataObject, seq: int) -> None:
    frame = bytes(HEADER_SIZE) + data.draw(bodies(kind))

    native, pure = (
        typed(kind, outcome(compiled.decode, frame, HEADER_SIZE, len(frame), seq))
        for compiled in both(kind)
    )

    assert native == pure


def typed(kind: type[Event], found: object) -> object:
    """With a type, where the class has none of its own and the header would bring it."""
    if kind in (ApplicationEvent, Unknown) and isinstance(found, kind):
        object.__setattr__(found, "_number", 0x80)
    return found


def runs(data: bytes) -> Iterator[tuple[object, object]]:
    """The runs of events that both find at each frame of `data`, whose headers are good."""
    at = 0
    while at + HEADER_SIZE <= len(data):
        length, word = (int.from_bytes(data[at + n : at + n + 4], "big") for n in (0, 4))
        seq = int.from_bytes(data[at + 8 : at + 16], "big")
        stop = at + 4 + length
        if length < 12 or stop > len(data) or not seq:
            return
        kind = CODEC.events.get(data[at + 5])
        if kind is not None and kind in KINDS and not word & 0xFF00FFFF ^ 0x01000000:
            native, pure = both(kind)
            args = (data, at, stop, word, seq, 4_096, 8)
            yield native.decode_many(*args), pure.decode_many(*args)
        at = stop


@pytest.mark.parametrize("seed", range(40))
def test_runs_in_mutated_streams_are_the_same(seed: int) -> None:
    random = Random(seed)

    for _ in range(50):
        for native, pure in runs(disturbed(FRAMES, random)):
            assert native == pure


def disturbed(frames: Sequence[bytes], random: Random) -> bytes:
    """A stream in which runs of good frames stand between frames with faults."""
    return b"".join(
        mutate(frame, random) if random.random() < 0.3 else frame * random.randint(1, 3)
        for frame in random.choices(frames, k=8)
    )


@pytest.mark.parametrize("seed", range(40))
def test_a_relayed_run_of_a_mutated_stream_is_the_same(seed: int) -> None:
    random = Random(seed)
    said = [encode(Message(seq=n, content=text)) for n, text in enumerate(("a", "", "ü☺𝄞"), 1)]
    said += [
        encode(ApplicationEvent(type=0x80 + n, data=bytes(n), seq=2**63 + n)) for n in range(4)
    ]

    for _ in range(50):
        stream = disturbed(said, random)
        for limit in (12, 30, ANY_FRAME):
            args = (stream, 0, limit, b"\x03ann", 2**40, 6)
            assert relay(*args) == relay_pure(*args)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_what_python_refuses_to_encode_is_refused_in_its_words(kind: type[Event]) -> None:
    """Values that a constructor would refuse, put there behind its back."""
    native, pure = both(kind)
    event = object.__new__(kind)
    wrong: list[object] = [
        None,
        -1,
        2**64,
        2**70,
        "\ud800",
        "x" * 300,
        b"x" * 70_000,
        1.5,
        [],
        True,
    ]
    good = {part.name: {"text": "é", "bytes": b"b"}.get(part.subcon.kind, 1) for part in kind.parts}

    for name in ("seq", *good):
        for value in wrong:
            for slot, usual in {"seq": 1, **good, name: value}.items():
                object.__setattr__(event, slot, usual)
            if kind in (ApplicationEvent, Unknown):
                object.__setattr__(event, "_number", 0x80)
            try:
                expected: object = pure.encode(event)
            except Exception as error:
                expected = type(error), str(error)
            try:
                found: object = native.encode(event)
            except Exception as error:
                found = type(error), str(error)
            assert found == expected, (name, value)


def test_an_unset_field_is_pythons_error() -> None:
    event = object.__new__(Message)
    object.__setattr__(event, "seq", 1)

    with pytest.raises(AttributeError):
        Message.compiled.encode(event)


def test_a_derived_class_answers_for_its_own_fields() -> None:
    class Loud(Message):
        __slots__ = ()

        @property
        def content(self) -> str:
            return "LOUD"

    quiet = Message(content="quiet", seq=1)
    loud = object.__new__(Loud)
    for name in ("seq", "sender"):
        object.__setattr__(loud, name, getattr(quiet, name))

    assert encode(loud)[-4:] == b"LOUD"


def numbered(count: int) -> list[Any]:
    """So many classes with one number, and an event of each."""
    body = {"__annotations__": {"value": int}, "value": field(wire.U32)}
    kinds = [type(f"Kind{n}", (ApplicationEvent,), dict(body)) for n in range(count)]
    made: list[Any] = [application_event(0x90)(kind) for kind in kinds]
    return [kind(value=n, seq=1) for n, kind in enumerate(made)]


def test_each_of_many_classes_is_encoded_by_its_own_declaration() -> None:
    """More classes than the native module keeps at hand, again and again, in changing order."""
    events = numbered(200)
    random = Random(7)

    for _ in range(5):
        random.shuffle(events)
        for event in events:
            assert encode(event) == event.compiled.pure.encode(event)
            assert encode(event)[-4:] == event.value.to_bytes(4, "big")


def test_classes_that_nobody_needs_are_given_back() -> None:
    kinds = [weakref.ref(type(event)) for event in numbered(200) if encode(event)]

    gc.collect()
    alive = sum(kind() is not None for kind in kinds)
    assert alive <= 64


def test_a_derived_class_is_not_taken_for_its_base() -> None:
    class Loud(Message):
        __slots__ = ()

    quiet = Message(content="quiet", seq=1)
    loud = object.__new__(Loud)
    for name in ("seq", "sender", "content"):
        object.__setattr__(loud, name, getattr(quiet, name))

    for _ in range(3):
        assert encode(loud) == encode(quiet) == Message.compiled.encode(quiet)


class _Odd:
    compiled = None


@pytest.mark.parametrize(
    "other", [5, None, Message, _Odd(), object()], ids=str.split("number nothing class odd object")
)
def test_what_is_no_event_is_refused_in_the_same_words(
    other: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refusal() -> tuple[type, str]:
        with pytest.raises((EventCodecError, AttributeError, TypeError)) as caught:
            encode(other)
        return caught.type, str(caught.value)

    found = refusal()
    monkeypatch.setattr(codec, "_encode", None)
    assert found == refusal()


def test_more_fields_than_the_native_module_takes_are_pythons() -> None:
    body: dict[str, Any] = {"__annotations__": {f"f{n}": int for n in range(80)}}
    body |= {f"f{n}": field(wire.U8) for n in range(80)}
    wide: Any = application_event(0x90)(type("Wide", (ApplicationEvent,), body))
    event = wide(**{f"f{n}": n for n in range(80)}, seq=1)

    assert wide.compiled.pure is None
    assert wide.compiled.decode(encode(event), HEADER_SIZE, len(encode(event)), 1) == event


def test_decoded_events_are_no_work_for_the_collector() -> None:
    """They hold numbers, texts and bytes: no circle can go through them."""
    data = encode(Message(seq=1, content="x"))
    event = Message.compiled.decode(data, HEADER_SIZE, len(data), 1)

    assert not gc.is_tracked(event)


def test_nothing_leaks() -> None:
    """References are given back on every way out: good, bad, refused, cut."""
    frames = [*FRAMES, encode(Error(code=7, text="ü" * 100))]
    bad = [frame[:-1] + b"\xff" for frame in frames if len(frame) > HEADER_SIZE]

    def work() -> None:
        for frame in (*frames, *bad):
            kind = CODEC.events.get(frame[5])
            if kind is None:
                continue
            event = outcome(kind.compiled.decode, frame, HEADER_SIZE, len(frame), 1)
            if isinstance(event, Event):
                kind.compiled.encode(event)
                encode(event)
            outcome(relay, frame, 0, 10_000, b"\x03ann", 1, 5)

    def blocks() -> int:
        work()
        gc.collect()
        return sys.getallocatedblocks()

    gc.collect()
    gc.freeze()  # from here on, a collection takes the time that what is new needs
    for _ in range(3):
        blocks()
    before = blocks()
    after = [blocks() for _ in range(20)]
    assert min(after) <= before + 20


def test_the_variable_turns_it_off() -> None:
    program = "import eventcodec; print(eventcodec.IMPLEMENTATION)"
    environment = {**os.environ, "EVENTCODEC_PURE": "1"}

    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
    )

    assert (done.stdout, done.stderr) == ("pure\n", "")
