"""The layouts as Markdown tables, for a project's own documentation.

Rule: one section an event, one row a field.

Layer: above `layout`.
"""

from __future__ import annotations

from collections.abc import Iterator

from .layout import Field, Layout, Protocol

__all__ = ["markdown"]

_COUNTED = {"text": "UTF-8", "bytes": "bytes"}


def markdown(protocol: Protocol) -> str:
    """A table of the header and one of each body that has fields."""
    return "\n".join(_lines(protocol)) + "\n"


def _lines(protocol: Protocol) -> Iterator[str]:
    yield "## Header"
    yield ""
    yield "Every frame begins with these 16 bytes. Integers are big-endian."
    yield ""
    yield "| offset | field | layout | meaning |"
    yield "|---|---|---|---|"
    yield "| 0 | length | `u32` | bytes of the frame behind this field |"
    yield f"| 4 | version | `u8` | {protocol.version} |"
    yield "| 5 | type | `u8` | which event the body holds |"
    yield "| 6 | reserved | `u16` | 0 |"
    yield "| 8 | seq | `u64` | a request's number, its reply's, or a position |"
    for event in (*protocol.events, protocol.application):
        yield ""
        yield f"## {_type_of(event)} {event.name}"
        yield ""
        if not event.fields:
            yield "The body is empty."
            continue
        yield "| field | layout |"
        yield "|---|---|"
        for field in event.fields:
            yield f"| {field.name} | {layout_of(field)} |"


def _type_of(event: Layout) -> str:
    return "0x80–0xFF, undeclared:" if event.type is None else f"0x{event.type:02X}"


def layout_of(field: Field) -> str:
    """How the field stands on the wire, in words."""
    if field.kind == "opaque":
        return "as its application declares it"
    if field.kind == "flag":
        return "`u8`, 0 or 1"
    if field.kind in _COUNTED:
        what = _COUNTED[field.kind]
        return f"`u{8 * field.size}` length + {what}" if field.size else f"{what} to the end"
    return f"`{field.kind[0].replace('s', 'i')}{8 * field.size}`"
