"""Bytes with the names of their fields, also where they are no frame, or a piece of one.

Rule: layouts come from eventcodec's declarations, the header's from its `dissect`; what
does not fit is shown as it is and never raises.

Layer: above eventcodec's public face alone.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace

from eventcodec import ApplicationEvent, ErrorCode, Event, wire
from eventcodec.dissect import HEADER_PARTS
from eventcodec.limits import HEADER_SIZE, LENGTH_SIZE
from eventcodec.tables import STANDARD_EVENTS

from ..wording import counted

__all__ = ["NOTHING", "Begun", "Piece", "annotate", "named", "summaries", "summary"]

KEPT = 512
"""Bytes of a frame that are kept, to name the fields of what follows."""
SHOWN = 60
"""Characters of a text that are said."""
SUMMED_UP = 4
"""Frames of a run that are summed up."""

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


@dataclass(frozen=True, slots=True)
class Begun:
    """What came before of the frame that a stream is in the middle of; nothing between frames.

    `data` may be its beginning only; `size` says how many bytes there were.

    >>> Begun().after(bytes.fromhex("00000010 0102"))
    Begun(data=b'\\x00\\x00\\x00\\x10\\x01\\x02', size=6)
    """

    data: bytes = b""
    size: int = 0

    def after(self, data: bytes) -> Begun:
        """The same when this has come too."""
        if not data:
            return self
        ((start, stop),) = deque(_frames(data, self), maxlen=1)
        if stop <= len(data):
            return NOTHING
        beginning = self.data + data[:KEPT] if start < 0 else data[start : start + KEPT]
        return Begun(beginning[:KEPT], len(data) - start)


NOTHING = Begun()
"""Where a frame begins."""


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


def annotate(data: bytes, begun: Begun = NOTHING) -> list[Piece]:
    """The fields of a run of frames, in order; the pieces together are `data`."""
    pieces: list[Piece] = []
    for start, stop in _frames(data, begun):
        if start < 0:
            pieces += _continued(data[:stop], begun)
        else:
            pieces += _frame(data[start:stop], start)
    return pieces


def _frames(data: bytes, begun: Begun) -> Iterator[tuple[int, int]]:
    """Where each frame starts and stops, counted from `data`: the first may start before it."""
    start = -begun.size
    while start < len(data):
        known = begun.data + data[:LENGTH_SIZE] if start < 0 else data[start : start + LENGTH_SIZE]
        prefix = known[:LENGTH_SIZE]
        length = int.from_bytes(prefix, "big")
        # A length that no frame has would split what follows at random places.
        ends = len(prefix) == LENGTH_SIZE and length >= HEADER_SIZE - LENGTH_SIZE
        stop = start + LENGTH_SIZE + length if ends else sys.maxsize
        yield start, stop
        start = stop


def _continued(rest: bytes, begun: Begun) -> Iterator[Piece]:
    """The fields of what follows in a frame."""
    if begun.size > len(begun.data):
        yield Piece(0, rest, "body", f"(continued) {counted(len(rest), 'byte')}", "body")
        return
    for piece in _frame(begun.data + rest, -begun.size):
        if piece.offset >= 0:
            yield piece
        elif piece.offset + len(piece.data) > 0:
            said = f"(continued) {piece.said}"
            yield replace(piece, offset=0, data=piece.data[-piece.offset :], said=said)


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
            came = max(0, -start - at)  # of this field, and was said before
            said = "hidden" if part.name in _SECRET else _said(part.name, part.subcon, field, came)
            yield Piece(start + at, field, part.name, said, kind)
        at += size
    if at < len(body):
        name = "body" if event is None else "left over"
        kind = "body" if event is None else "stray"
        yield Piece(start + at, body[at:], name, counted(len(body) - at, "byte"), kind)


def _size(subcon: object, rest: bytes) -> int:
    """How many bytes the field should have, going by its own length where it has one."""
    prefix = _PREFIXED.get(id(subcon))
    if prefix is not None:
        return prefix + int.from_bytes(rest[:prefix], "big")
    return _NUMBERS.get(id(subcon), len(rest))


def _said(name: str, subcon: object, field: bytes, came: int) -> str:
    if id(subcon) in _NUMBERS:
        number = int.from_bytes(field, "big")
        known = ErrorCode.known(number) if name == "code" else None
        return str(number) if known is None else f"{number} {known.name}"
    text = field[max(_PREFIXED.get(id(subcon), 0), came) :]
    if subcon is wire.ShortText or subcon is wire.Text:
        # As ASCII: a peer's control characters must not reach a terminal. EP-12-6.
        shown = text.decode("utf-8", "backslashreplace")
        return ascii(shown[:SHOWN]) + ("…" if len(shown) > SHOWN else "")
    return counted(len(text), "byte")


def summary(frame: bytes, begun: Begun = NOTHING) -> str:
    """One frame in one line, or what follows of it.

    >>> summary(bytes.fromhex("0000000f 01050000 0000000000000000 0018 00"))
    "Error seq 0 (code 24 SHUTTING_DOWN, text '')"
    >>> summary(b"more", Begun(bytes.fromhex("00000018 01020000 0000000000000009 00"), 17))
    '4 more bytes of Message seq 9'
    """
    header = (begun.data + frame)[:HEADER_SIZE]
    more = "more " if begun.size else ""
    if len(header) < HEADER_SIZE:
        return f"{counted(len(frame), more + 'byte')} of a header"
    pieces = list(_frame(header if more else frame, 0))
    said = {each.name: each.said for each in pieces if each.kind == "header"}
    what = f"{said['type']} seq {said['seq']}"
    if more:
        return f"{counted(len(frame), 'more byte')} of {what}"
    body = ", ".join(f"{each.name} {each.said}" for each in pieces if each.kind != "header")
    return what + (f" ({body})" if body else "")


def summaries(data: bytes, begun: Begun = NOTHING) -> str:
    """The first frames of what is sent, each in one line, as far as it is frames."""
    told: list[str] = []
    for start, stop in _frames(data, begun):
        if len(told) == SUMMED_UP:
            return "; ".join([*told, f"… {counted(len(data) - start, 'byte')}"])
        told.append(summary(data[max(0, start) : stop], begun if start < 0 else NOTHING))
    return "; ".join(told)
