"""Hypothesis strategies: every event there is, made from its own declaration.

Rule: a strategy asks the declaration for its fields, so that a new event or field is
drawn without a word here; only the words of `eventcodec.wire` are known.
"""

from __future__ import annotations

import construct
from hypothesis import strategies as st
from tests.eventcodec.declared import DECLARED

from eventcodec import (
    ApplicationEvent,
    Error,
    Event,
    Unknown,
    encode,
    wire,
)
from eventcodec.tables import STANDARD_EVENTS

LETTERS = st.characters(codec="utf-8")
TEXTS = st.text(LETTERS, max_size=80)
SHORT_TEXTS = st.text(LETTERS, max_size=63) | st.just("ß" * 127) | st.just("a" * 255)


def _integers(least: int, most: int) -> st.SearchStrategy[int]:
    return st.integers(least, most) | st.sampled_from([least, most])


def _unsigned(bits: int) -> st.SearchStrategy[int]:
    return _integers(0, 2**bits - 1)


def _signed(bits: int) -> st.SearchStrategy[int]:
    return _integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


VALUES: dict[object, st.SearchStrategy[object]] = {
    wire.U8: _unsigned(8),
    wire.U16: _unsigned(16),
    wire.U32: _unsigned(32),
    wire.U64: _unsigned(64),
    wire.I8: _signed(8),
    wire.I16: _signed(16),
    wire.I32: _signed(32),
    wire.I64: _signed(64),
    wire.Flag: st.booleans(),
    wire.ShortText: SHORT_TEXTS,
    wire.Text: TEXTS,
    wire.ShortBytes: st.binary(max_size=40) | st.just(b"\xff" * 255),
    wire.Bytes16: st.binary(max_size=60) | st.just(b"\x00" * 300),
    wire.Rest: st.binary(max_size=80),
    construct.Int24ub: _unsigned(24),
    construct.VarInt: _unsigned(64),
}
"""What each word of the vocabulary can hold; construct's own two are those of `Drawn`."""

FREE_TYPES = sorted({*range(0x80, 0x100)} - {event.type for event in DECLARED})
SEQS = st.integers(1, 2**64 - 1) | st.integers(1, 300)


def of(event: type[Event]) -> st.SearchStrategy[Event]:
    """Any event of this class, under any number that it may have on the wire."""
    fields = {part.name: VALUES[part.subcon] for part in event.parts}
    if event is Unknown:
        fields["type"] = st.sampled_from([0x00, *range(0x0B, 0x80)])
    elif event is ApplicationEvent:
        fields["type"] = st.sampled_from(FREE_TYPES)
    return st.builds(event, seq=SEQS | st.just(0) if event is Error else SEQS, **fields)


EVENTS: st.SearchStrategy[Event] = st.one_of(
    *(of(event) for event in (*STANDARD_EVENTS, *DECLARED, ApplicationEvent, Unknown))
)
"""Every event that can be, as it stands on the wire."""

FRAMES = EVENTS.map(encode)
"""Every frame that can be."""
