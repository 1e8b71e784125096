"""The hand-written code that eventcodec is measured against checks the same rules."""

from __future__ import annotations

import pytest
from benchmarks.codec.handwritten import decode
from tests.together import together

from eventcodec import (
    ConnectionEnded,
    Decoder,
    ErrorCode,
    Event,
    Message,
    RemoteProtocolError,
    encode,
    vectors,
)

pytestmark = pytest.mark.once

FRAME = encode(Message(seq=7, sender="ann", content="grüß dich"))
Outcome = tuple[list[Event], int] | ErrorCode


def by_hand(data: bytes) -> Outcome:
    try:
        events, rest = decode(data)
    except RemoteProtocolError as error:
        return error.code
    return events, len(rest)


def by_eventcodec(data: bytes) -> Outcome:
    decoder = Decoder()
    decoder.receive_data(data)
    events: list[Event] = []
    for event in decoder.events():
        if isinstance(event, ConnectionEnded):
            assert isinstance(event.error, RemoteProtocolError)
            return event.error.code
        events.append(event)
    return events, decoder.held


@together("place", range(len(FRAME)))
def test_every_byte_matters_to_both_alike(place: int) -> None:
    for value in range(256):
        changed = FRAME[:place] + bytes([value]) + FRAME[place + 1 :] + FRAME

        assert by_hand(changed) == by_eventcodec(changed)


@together("vector", vectors.load().valid)
def test_every_valid_vector_gives_the_same_event(vector: vectors.Valid) -> None:
    assert by_hand(FRAME + vector.frame) == by_eventcodec(FRAME + vector.frame)


@together("vector", vectors.load().invalid)
def test_every_invalid_vector_gives_the_same_fault(vector: vectors.Invalid) -> None:
    assert by_hand(FRAME + vector.data) == by_eventcodec(FRAME + vector.data)


def test_a_cut_frame_is_left_for_the_next_chunk() -> None:
    for cut in range(len(FRAME)):
        assert by_hand(FRAME + FRAME[:cut]) == by_eventcodec(FRAME + FRAME[:cut])
