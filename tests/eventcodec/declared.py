"""Application events, declared as an application would: what the tests' codec knows.

Rule: between them they use every word of `eventcodec.wire`, as the last field and
before it, and two of construct's own that the compiler does not know.
"""

from __future__ import annotations

import construct

from eventcodec import ApplicationEvent, Codec, application_event, field, wire


@application_event(0x80)
class Moved(ApplicationEvent):
    """Numbers alone: one struct reads them all."""

    x: int = field(wire.I32)
    y: int = field(wire.I32)


@application_event(0x81)
class Sampled(ApplicationEvent):
    """Every word of fixed size."""

    u8: int = field(wire.U8, default=0)
    u16: int = field(wire.U16, default=0)
    u32: int = field(wire.U32, default=0)
    u64: int = field(wire.U64, default=0)
    i8: int = field(wire.I8, default=0)
    i16: int = field(wire.I16, default=0)
    i32: int = field(wire.I32, default=0)
    i64: int = field(wire.I64, default=0)
    flag: bool = field(wire.Flag, default=False)


@application_event(0x82)
class Filed(ApplicationEvent):
    """Every word with a length of its own, numbers between them, and bytes to the end."""

    title: str = field(wire.ShortText, default="")
    kept: bool = field(wire.Flag, default=False)
    tag: bytes = field(wire.ShortBytes, default=b"")
    weight: int = field(wire.I16, default=0)
    blob: bytes = field(wire.Bytes16, default=b"")
    rest: bytes = field(wire.Rest, default=b"")


@application_event(0x83)
class Noted(ApplicationEvent):
    """Text to the end of the frame."""

    line: int = field(wire.U16, default=0)
    note: str = field(wire.Text, default="")


@application_event(0x84)
class Waved(ApplicationEvent):
    """Nothing but its sender."""


@application_event(0xFF)
class Drawn(ApplicationEvent):
    """Made by construct itself: the compiler knows neither word.

    VarInt reads several encodings of one number, of which only the shortest is the event.
    """

    colour: int = field(construct.Int24ub)
    radius: int = field(construct.VarInt)


DECLARED: tuple[type[ApplicationEvent], ...] = (Moved, Sampled, Filed, Noted, Waved, Drawn)
CODEC = Codec(DECLARED)
