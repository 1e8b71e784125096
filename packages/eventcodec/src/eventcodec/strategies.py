"""Hypothesis strategies: events, frames, streams of frames, and the chunks of a stream.

Rule: a strategy reads the declaration of an event, so that a new event or a new field needs no
change here. They know only the words of `eventcodec.wire`.

Layer: beside the commands. Public; it imports Hypothesis, which is optional.

>>> from hypothesis import given
>>> from eventcodec import Decoder
>>> from eventcodec.strategies import cuts, streams
>>> @given(streams().flatmap(cuts))
... def test_a_stream_decodes_in_any_chunks(chunks):
...     decoder = Decoder()
...     for chunk in chunks:
...         decoder.receive_data(chunk)
...     decoder.receive_eof()
...     *events, end = decoder.events()
...     assert end.error is None
>>> test_a_stream_decodes_in_any_chunks()
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, TypeVar, cast

from hypothesis import strategies as st
from hypothesis.errors import InvalidArgument

from . import wire
from .codec import STANDARD, Codec, encode
from .events import (
    APPLICATION_TYPES,
    STANDARD_EVENTS,
    ApplicationEvent,
    Error,
    Event,
    Unknown,
)

__all__ = ["WORDS", "cuts", "events", "frames", "streams"]

E = TypeVar("E", bound=Event)
Words = Mapping[Any, st.SearchStrategy[Any]]

MOST_FRAMES = 20
MOST_CUTS = 20
LETTERS = st.characters(codec="utf-8")


def _integers(least: int, most: int) -> st.SearchStrategy[int]:
    return st.integers(least, most) | st.sampled_from([least, most])


def _unsigned(bits: int) -> st.SearchStrategy[int]:
    return _integers(0, 2**bits - 1)


def _signed(bits: int) -> st.SearchStrategy[int]:
    return _integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


WORDS: Words = {
    wire.U8: _unsigned(8),
    wire.U16: _unsigned(16),
    wire.U32: _unsigned(32),
    wire.U64: _unsigned(64),
    wire.I8: _signed(8),
    wire.I16: _signed(16),
    wire.I32: _signed(32),
    wire.I64: _signed(64),
    wire.Flag: st.booleans(),
    wire.ShortText: st.text(LETTERS, max_size=63) | st.sampled_from(["ß" * 127, "a" * 255]),
    wire.Text: st.text(LETTERS, max_size=80),
    wire.ShortBytes: st.binary(max_size=40) | st.just(b"\xff" * 255),
    wire.Bytes16: st.binary(max_size=60) | st.just(bytes(300)),
    wire.Rest: st.binary(max_size=80),
}
"""The values of each word of `eventcodec.wire`, its least and its greatest among them."""

SEQS = st.integers(1, 2**64 - 1) | st.integers(1, 300)
UNKNOWN_TYPES = sorted({*range(0x80)} - {event.type for event in STANDARD_EVENTS})


def events(
    *classes: type[E], codec: Codec = STANDARD, words: Words = WORDS
) -> st.SearchStrategy[E]:
    """Events of these classes; without one, every event that `codec` can decode.

    Each event can be encoded as it is: its `seq` is not 0, except in an `Error`. The frames are
    short, at most 1 KiB each for standard events. `words` has a strategy for each word of a field;
    pass `{**WORDS, word: strategy}` for a field of construct's own. Raises InvalidArgument for a
    field with a word that is not in `words`.

    `st.from_type(Message)` is `events(Message)`; this works for every standard class, for
    `ApplicationEvent`, `Unknown`, `Event` and `Fact`.
    """
    every = (*codec.events.values(), ApplicationEvent, Unknown)
    return st.one_of(*(_of(each, codec, words) for each in classes or cast(tuple[type[E]], every)))


def _of(event: type[E], codec: Codec, words: Words) -> st.SearchStrategy[E]:
    fields: dict[str, st.SearchStrategy[Any]] = {}
    for each in dataclasses.fields(event):
        if (word := each.metadata.get("wire")) is None:
            continue
        if word not in words:
            name = f"{event.__name__}.{each.name}"
            raise InvalidArgument(f"{name}: no strategy for its word; give one in `words`")
        fields[each.name] = words[word]
    if event is Unknown:
        fields["type"] = st.sampled_from(UNKNOWN_TYPES)
    elif event is ApplicationEvent:
        fields["type"] = st.sampled_from(sorted({*APPLICATION_TYPES} - {*codec.events}))
    seqs = SEQS | st.just(0) if event is Error else SEQS
    return st.builds(event, seq=seqs, **fields)


def frames(*classes: type[Event], codec: Codec = STANDARD) -> st.SearchStrategy[bytes]:
    """The frame of one event, as `events` draws it: all its bytes."""
    return events(*classes, codec=codec).map(encode)


def streams(*classes: type[Event], codec: Codec = STANDARD) -> st.SearchStrategy[bytes]:
    """The bytes of 0 to 20 frames, one after the other, in any order.

    A `Decoder` accepts each stream. Whether the order of the events is a conversation is the
    question of the two connection classes.
    """
    return st.lists(frames(*classes, codec=codec), max_size=MOST_FRAMES).map(b"".join)


def cuts(stream: bytes) -> st.SearchStrategy[list[bytes]]:
    """The chunks in which a stream can arrive; put together, they are the stream.

    No chunk is empty. Shrinks to the stream in one chunk."""
    if len(stream) < 2:
        return st.just([stream] if stream else [])
    places = st.sets(st.integers(1, len(stream) - 1), max_size=MOST_CUTS)
    every = st.just(set(range(1, len(stream))))
    return st.one_of(st.just(set()), places, every).map(lambda at: _cut(stream, sorted(at)))


def _cut(stream: bytes, places: list[int]) -> list[bytes]:
    return [stream[a:b] for a, b in zip([0, *places], [*places, len(stream)], strict=True)]
