"""Bytes with the names of their fields, also where they are no frame.

Rule: layouts come from eventcodec's declarations, the header's from its `dissect`; what
does not fit is shown as it is and never raises.

Layer: above eventcodec's public face alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from eventcodec import STANDARD_EVENTS, ApplicationEvent, ErrorCode, Event, wire
from eventcodec.dissect import HEADER_PARTS
from eventcodec.limits import HEADER_SIZE, LENGTH_SIZE

__all__ = ["Piece", "annotate", "named", "summary"]

_NUMBERS = {id(wire.U8): 1, id(wire.U16): 2, id(wire.U32): 4, id(wire.U64): 8}
_PREFIXED = {id(wire.ShortText): 1, id(wire.Bytes16): 2}
_BY_TYPE: dict[int, type[Event]] = {event.type: event for event in STANDARD_EVENTS}
_SECRET = ("credential", "ticket")


def _header() -> Iterator[tuple[str, slice]]:
    at = 0
    for part in HEADER_PARTS:
        yield part.name, slice(at, at + part.subcon.size)
        at += part.subcon.size


_HEADER = dict(_header())
"""Where each field of the header stands in a frame."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A run of bytes that is one field; `kind` is header, body or stray."""

    offset: int
    data: bytes
    name: str
    said: str
    kind: str


def class_of(type: int) -> type[Event] | None:
    """The event that this type is, or None where version 1 does not know it."""
    return ApplicationEvent if type >= 0x80 else _BY_TYPE.get(type)


def named(type: int) -> str:
    """What people call a type.

    >>> named(2), named(0x81), named(0x0B)
    ('Message', 'application event 0x81', 'unknown type 0x0B')
    """
    if type >= 0x80:
        return f"application event 0x{type:02X}"
    event = _BY_TYPE.get(type)
    return f"unknown type 0x{type:02X}" if event is None else event.__name__


def annotate(data: bytes) -> list[Piece]:
    """The fields of a run of frames, in order; the pieces together are `data`."""
    pieces: list[Piece] = []
    start = 0
    while start < len(data):
        length = int.from_bytes(data[start : start + LENGTH_SIZE], "big")
        # A length that no frame has would split what follows at random places.
        stop = start + LENGTH_SIZE + length if length >= HEADER_SIZE - LENGTH_SIZE else len(data)
        pieces += _frame(data[start:stop], start)
        start = stop
    return pieces


def _frame(frame: bytes, start: int) -> Iterator[Piece]:
    for name, place in _HEADER.items():
        field = frame[place]
        if field:
            number = int.from_bytes(field, "big")
            said = named(number) if name == "type" else str(number)
            cut = "" if len(field) == place.stop - place.start else " (cut)"
            yield Piece(start + place.start, field, name, said + cut, "header")
    if len(frame) > HEADER_SIZE:
        event = class_of(int.from_bytes(frame[_HEADER["type"]], "big"))
        yield from _body(frame[HEADER_SIZE:], event, start + HEADER_SIZE)


def _body(body: bytes, event: type[Event] | None, start: int) -> Iterator[Piece]:
    at = 0
    for part in () if event is None else event.parts:
        size = _size(part.subcon, body[at:])
        field = body[at : at + size]
        if field:
            kind = "body" if len(field) == size else "stray"
            said = "hidden" if part.name in _SECRET else _said(part.name, part.subcon, field)
            yield Piece(start + at, field, part.name, said, kind)
        at += size
    if at < len(body):
        name = "body" if event is None else "left over"
        kind = "body" if event is None else "stray"
        yield Piece(start + at, body[at:], name, f"{len(body) - at} bytes", kind)


def _size(subcon: object, rest: bytes) -> int:
    """How many bytes the field should have, going by its own length where it has one."""
    prefix = _PREFIXED.get(id(subcon))
    if prefix is not None:
        return prefix + int.from_bytes(rest[:prefix], "big")
    return _NUMBERS.get(id(subcon), len(rest))


def _said(name: str, subcon: object, field: bytes) -> str:
    if id(subcon) in _NUMBERS:
        number = int.from_bytes(field, "big")
        known = ErrorCode.known(number) if name == "code" else None
        return str(number) if known is None else f"{number} {known.name}"
    text = field[_PREFIXED.get(id(subcon), 0) :]
    if subcon is wire.ShortText or subcon is wire.Text:
        # As ASCII: a peer's control characters must not reach a terminal. EP-12-2.
        return ascii(text.decode("utf-8", "backslashreplace")[:60])
    return f"{len(text)} bytes"


def summary(frame: bytes) -> str:
    """One frame in one line.

    >>> summary(bytes.fromhex("0000000f 01050000 0000000000000000 0018 00"))
    "Error seq 0 (code 24 SHUTTING_DOWN, text '')"
    """
    if len(frame) < HEADER_SIZE:
        return f"{len(frame)} bytes of a header"
    pieces = list(_frame(frame, 0))
    body = ", ".join(f"{each.name} {each.said}" for each in pieces if each.kind != "header")
    said = {each.name: each.said for each in pieces if each.kind == "header"}
    return f"{said['type']} seq {said['seq']}" + (f" ({body})" if body else "")
