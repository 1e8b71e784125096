"""What a user's own property tests draw."""

from __future__ import annotations

import subprocess
import sys
from functools import partial

import pytest
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st
from hypothesis.errors import InvalidArgument
from tests.eventcodec.declared import CODEC, Drawn, Moved

from eventcodec import (
    ApplicationEvent,
    Codec,
    Decoder,
    Event,
    Fact,
    Message,
    Unknown,
    decode,
    encode,
)
from eventcodec.strategies import cuts, events, frames, streams
from eventcodec.tables import STANDARD_EVENTS

ANY = settings(max_examples=2_000, phases=[Phase.generate], database=None)
"""The first that fits, and no search for a smaller one."""


def is_a(kind: type[Event], event: Event) -> bool:
    return type(event) is kind


@pytest.mark.parametrize("kind", [*STANDARD_EVENTS, ApplicationEvent, Unknown])
@given(data=st.data())
def test_hypothesis_makes_an_event_from_its_type(kind: type[Event], data: st.DataObject) -> None:
    event = data.draw(st.from_type(kind))

    assert type(event) is kind
    assert decode(encode(event)) == event


@given(st.from_type(Fact))
def test_a_fact_is_one_of_the_kinds_of_facts(fact: Fact) -> None:
    assert isinstance(fact, Fact)


def test_every_class_of_a_codec_is_drawn_and_no_general_event_of_its_type() -> None:
    codec = Codec([Moved])

    kinds: list[type[Event]] = [Moved, *STANDARD_EVENTS, Unknown, ApplicationEvent]
    for kind in kinds:
        assert type(find(events(codec=codec), partial(is_a, kind), settings=ANY)) is kind


@given(events(ApplicationEvent, codec=Codec([Moved])))
def test_a_general_event_has_a_type_that_no_class_has(event: ApplicationEvent) -> None:
    assert event.type != Moved.type


def test_a_field_of_constructs_own_is_asked_for() -> None:
    with pytest.raises(InvalidArgument, match=r"Drawn\.colour"):
        events(Drawn).validate()


@given(frames(Message))
def test_a_frame_is_whole(frame: bytes) -> None:
    assert isinstance(decode(frame), Message)


@given(streams(codec=Codec([Moved])).flatmap(lambda data: st.tuples(st.just(data), cuts(data))))
def test_a_stream_in_chunks_is_the_same_stream(drawn: tuple[bytes, list[bytes]]) -> None:
    stream, chunks = drawn
    decoder = Decoder(codec=CODEC)

    for chunk in chunks:
        assert chunk
        decoder.receive_data(chunk)
    decoder.receive_eof()

    *found, end = decoder.events()
    assert end.error is None  # type: ignore[union-attr]
    assert b"".join(chunks) == stream == b"".join(map(encode, found))  # type: ignore[arg-type]


def test_chunks_are_any_from_one_to_single_bytes() -> None:
    assert find(cuts(b"abcd"), lambda chunks: True) == [b"abcd"]
    assert find(cuts(b"abcd"), lambda chunks: len(chunks) == 4)


@pytest.mark.parametrize("first", ["hypothesis", "eventcodec", "eventcodec.strategies"])
def test_hypothesis_learns_of_events_whatever_is_imported_first(first: str) -> None:
    script = (
        f"import {first}\n"
        "from hypothesis import strategies as st, find\n"
        "from eventcodec import Message\n"
        "from eventcodec.strategies import events\n"
        "print(find(st.from_type(Message), lambda event: True))"
    )

    done = subprocess.run(
        [sys.executable, "-I", "-c", script], capture_output=True, text=True, check=True
    )

    assert done.stdout.startswith("Message(seq=")
