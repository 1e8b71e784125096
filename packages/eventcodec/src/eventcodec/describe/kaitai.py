"""A Kaitai Struct description of one frame.

Rule: the description says what its language can say. `LIMITS_OF_THE_LANGUAGE` lists the rest.

Layer: above `layout`.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..events import APPLICATION_TYPES
from .layout import Field, Layout, Protocol

__all__ = ["LIMITS_OF_THE_LANGUAGE", "kaitai"]

LIMITS_OF_THE_LANGUAGE = (
    "text that is not well-formed UTF-8: whether it is refused is up to each language's runtime",
    "which events may come in which state: a description of one frame knows no connection",
    "a reader's own limit of `length`: it is a number of that reader, not of the format",
    "a field of an application event that only construct knows: it stands as bytes",
)


def kaitai(protocol: Protocol) -> str:
    """The `.ksy` of one frame; kaitai-struct-compiler makes a reader of it in many languages."""
    return "\n".join(_lines(protocol)) + "\n"


def _lines(protocol: Protocol) -> Iterator[str]:
    yield "meta:"
    yield "  id: event_protocol_frame"
    yield "  title: One frame of Event Protocol 1"
    yield "  endian: be"
    yield "  encoding: UTF-8"
    yield "doc: |"
    yield "  One frame: four bytes of length, twelve of header, a body."
    yield "  What this language cannot say:"
    for limit in LIMITS_OF_THE_LANGUAGE:
        yield f"  * {limit};"
    yield "seq:"
    yield "  - id: length"
    yield "    type: u4"
    yield "    doc: Bytes of the frame behind this field."
    yield "    valid:"
    yield f"      min: {protocol.least_length}"
    yield f"      max: {protocol.most_length}"
    yield "  - id: version"
    yield "    type: u1"
    yield f"    valid: {protocol.version}"
    yield "  - id: type"
    yield "    type: u1"
    yield "    doc: Which event the body holds; see `event`."
    yield "  - id: reserved"
    yield "    type: u2"
    yield "    valid: 0"
    yield "  - id: seq"
    yield "    type: u8"
    yield "    valid:"
    yield f"      expr: _ != 0 or {_unnumbered(protocol)}"
    yield "  - id: body"
    yield f"    size: length - {protocol.least_length}"
    yield "    type:"
    yield "      switch-on: type"
    yield "      cases:"
    for event in protocol.events:
        yield f"        {event.type:#04x}: {event.snake}"
    for number in _undeclared(protocol):
        yield f"        {number:#04x}: {protocol.application.snake}"
    yield "        _: unknown"
    yield "instances:"
    yield "  event:"
    yield "    value: type"
    yield "    enum: event_type"
    yield "    doc: The event's name, where it has one."
    yield "types:"
    yield "  unknown:"
    yield "    seq:"
    yield "      - id: body"
    yield "        size-eos: true"
    for event in (*protocol.events, protocol.application):
        yield from _type(event)
    yield "enums:"
    yield "  event_type:"
    for event in protocol.events:
        yield f"    {event.type:#04x}: {event.snake}"
    for event in protocol.events:
        for field in event.fields:
            if field.names:
                yield f"  {event.snake}_{field.name}:"
                for number, name in field.names.items():
                    yield f"    {number}: {name.lower()}"


def _undeclared(protocol: Protocol) -> list[int]:
    declared = {event.type for event in protocol.events}
    return [number for number in APPLICATION_TYPES if number not in declared]


def _unnumbered(protocol: Protocol) -> str:
    (event,) = (event for event in protocol.events if event.may_be_unnumbered)
    return f"type == {event.type:#04x}"


def _type(event: Layout) -> Iterator[str]:
    yield f"  {event.snake}:"
    yield "    seq:"
    for field in event.fields:
        yield from _field(event, field)
    yield "      - id: trailing"
    yield "        size-eos: true"
    yield "        doc: Nothing may stand behind the last field."
    yield "        valid:"
    yield "          expr: _.length == 0"


def _field(event: Layout, field: Field) -> Iterator[str]:
    if field.kind in ("unsigned", "signed", "flag"):
        yield f"      - id: {field.name}"
        yield f"        type: {'s' if field.kind == 'signed' else 'u'}{field.size}"
        if field.kind == "flag":
            yield "        valid:"
            yield "          any-of: [0, 1]"
        if field.names:
            yield f"        enum: {event.snake}_{field.name}"
        return
    if field.size:
        yield f"      - id: len_{field.name}"
        yield f"        type: u{field.size}"
        yield f"      - id: {field.name}"
        yield f"        size: len_{field.name}"
    else:
        yield f"      - id: {field.name}"
        yield "        size-eos: true"
    if field.kind == "text":
        yield "        type: str"
