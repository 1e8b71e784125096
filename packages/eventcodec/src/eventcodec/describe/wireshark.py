"""A dissector for Wireshark, in Lua.

Rule: the program stands in `dissector.lua` and knows no event; what is made here are its tables.

Layer: above `layout`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pkgutil import get_data

from .layout import Field, Layout, Protocol

__all__ = ["STATEMENTS", "wireshark"]

STATEMENTS = {
    "length_low": "EP-2.1-2",
    "length_high": "EP-2.1-4",
    "version": "EP-2.2-2",
    "reserved": "EP-2.2-4",
    "seq_zero": "EP-2.2-7",
    "utf8": "EP-2.3-3",
    "one_encoding": "EP-2.4-1",
    "inner_length": "EP-2.4-2",
    "body_short": "EP-2.4-3",
    "trailing": "EP-2.4-4",
    "unknown": "EP-3.12-2",
}
"""The statement of the specification behind each remark of the dissector."""

SHOWN = {("Error", "code"): "refused", ("Login", "user"): "name", ("Welcome", "user"): "name",
         ("Joined", "user"): "name", ("Left", "user"): "name"}  # fmt: skip
"""Fields that the list of packets shows."""


def wireshark(protocol: Protocol) -> str:
    """The dissector, whole: reassembles frames, links replies to requests, names statements."""
    data = get_data(__name__, "dissector.lua")
    assert data is not None, "the file is installed beside this one"
    program = data.decode()
    return program.replace("--[[ TABLES ]]\n", "".join(_tables(protocol)))


def _tables(protocol: Protocol) -> Iterator[str]:
    yield f"local PORT, VERSION = {protocol.port}, {protocol.version}\n"
    yield "-- Bytes behind the length; no reader takes more.\n"
    yield f"local MAX_LENGTH = {protocol.most_length}\n\n"
    yield "local STATEMENTS = {\n"
    for name, number in STATEMENTS.items():
        yield f"    {name} = {_quoted(number)},\n"
    yield "}\n\nlocal EVENTS = {\n"
    for event in protocol.events:
        yield f"    [{event.type:#04x}] = {_event(event)},\n"
    yield f"}}\n\nlocal APPLICATION = {_event(protocol.application)}\n"
    yield "for number = 0x80, 0xFF do EVENTS[number] = EVENTS[number] or APPLICATION end\n"


def _event(event: Layout) -> str:
    about = [f"name = {_quoted(event.name)}", f"filter = {_quoted(event.snake)}"]
    if event.is_request:
        about.append(f"asks = {_quoted('unsent' if event.is_fact else 'always')}")
    if event.is_reply:
        about.append("answers = true")
    if event.may_be_unnumbered:
        about.append("unnumbered = true")
    lines = "".join(f"        {_field(event, field)},\n" for field in event.fields)
    fields = f"{{\n{lines}    }}" if lines else "{}"
    return f"{{ {', '.join(about)}, fields = {fields} }}"


def _field(event: Layout, field: Field) -> str:
    kind = "bytes" if field.kind == "opaque" else field.kind
    about = [f"name = {_quoted(field.name)}", f'kind = "{kind}"', f"size = {field.size}"]
    shown = SHOWN.get((event.name, field.name))
    if shown is not None:
        about.append(f"shown = {_quoted(shown)}")
    if field.names:
        names = ", ".join(f"[{number}] = {_quoted(name)}" for number, name in field.names.items())
        about.append(f"values = {{ {names} }}")
    return f"{{ {', '.join(about)} }}"


def _quoted(text: str) -> str:
    """A Lua string; names are ASCII identifiers, or letters that Lua takes as they are."""
    return json.dumps(text, ensure_ascii=False)
