"""A frame -> its event, or the first fault that its reader finds in it.

Rule: faults are found in the order of section 8.3, as soon as their bytes are there. Each has
the statement by which it is refused, and the one that its writer broke.

Layer: above `cutting`, below the judge.
"""

from __future__ import annotations

from dataclasses import dataclass

from eventcodec import ApplicationEvent, ErrorCode, Event, RemoteProtocolError, decode
from eventcodec.tables import STANDARD_EVENTS

from ..wording import counted
from .cutting import HEADER, LEAST, Frame

__all__ = ["ALLOWANCE", "BEFORE_WELCOME", "CODES", "Fault", "named", "read", "summary", "told"]

BEFORE_WELCOME = 4096
ALLOWANCE = 255
ANY = 2**32 - 1
PLAIN = 0x01000000
"""A header's word without its type: version 1, reserved 0."""
SHOWN = 60
"""Characters of a text that are shown."""
ERROR = 0x05
CODES = {int(code): code for code in ErrorCode}
NAMES = (
    *("", "Login", "Message", "Logout", "Ack", "Error"),
    *("Ping", "Pong", "Welcome", "Joined", "Left"),
)
LAYOUT = (
    *("", "EP-3.2-1", "EP-3.3-1", "EP-3.4-1", "EP-3.5-1", "EP-3.6-1"),
    *("EP-3.7-1", "EP-3.7-1", "EP-3.8-1", "EP-3.9-1", "EP-3.10-1"),
)
PREFIXES = {"user": 1, "sender": 1, "text": 1, "server": 1, "credential": 2}


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a reader must refuse a frame: fatal, for a server and for a client."""

    code: int
    refused_by: str
    """The statement that makes the reader refuse it."""
    broken: str
    """The statement that its writer broke; empty where the reader's limit is its own."""
    what: str
    required: str
    """What would have been right."""

    @property
    def name(self) -> str:
        return CODES[self.code].name


def named(type: int) -> str:
    """What people call a type.

    >>> named(2), named(0x80), named(0x0B)
    ('Message', 'application event 0x80', 'unknown type 0x0B')
    """
    if 1 <= type <= 10:
        return NAMES[type]
    return f"application event 0x{type:02X}" if type >= 0x80 else f"unknown type 0x{type:02X}"


def told(frame: Frame) -> str:
    """A frame in a few words."""
    if len(frame.data) < 16:
        return f"{counted(len(frame.data), 'byte')} of a header"
    what = f"{named(frame.type)} seq {frame.seq}"
    if frame.type == ERROR and len(frame.data) >= 18:
        number = int.from_bytes(frame.data[16:18], "big")
        what += f" {CODES[number].name}" if number in CODES else f" code {number}"
    if frame.type == 0x04 and len(frame.data) == 24:
        what += f" (position {int.from_bytes(frame.data[16:24], 'big')})"
    return what


def summary(frame: Frame) -> str:
    """A frame in one line of ASCII, its fields too; of secrets the size only.

    >>> summary(Frame(1, 0, 0.0, 14, bytes.fromhex("0000000e 01020000 0000000000000009 00 68")))
    "Message seq 9 (sender '', content 'h')"
    """
    event = read(frame, ANY, unnumbered=True)
    if event is None or not frame.has_body:
        return f"{told(frame)}, {len(frame.data)} of {frame.length + 4} bytes"
    if isinstance(event, Fault):
        return f"{told(frame)}: {event.what}"
    fields = [f"{part.name} {_shown(part.name, getattr(event, part.name))}" for part in event.parts]
    return f"{named(frame.type)} seq {frame.seq}" + (f" ({', '.join(fields)})" if fields else "")


def _shown(name: str, value: object) -> str:
    if name == "ticket":
        return "hidden" if value else "0"
    if isinstance(value, bytes):
        return counted(len(value), "byte")
    if name == "code" and value in CODES:
        return f"{value} {CODES[int(str(value))].name}"
    text = ascii(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"


def read(frame: Frame, limit: int, *, unnumbered: bool) -> Event | Fault | None:
    """The event, the first fault, or None where the bytes that are there show neither.

    `limit` is the greatest length that the reader accepts; `unnumbered` says that an Error may
    have seq 0.
    """
    length, data = frame.length, frame.data
    if (
        frame.word & 0xFF00FFFF == PLAIN
        and frame.seq > 0
        and frame.has_body
        and LEAST <= length <= limit
    ):
        return _decoded(frame)
    if length < 0:
        return None
    if length < LEAST:
        return Fault(
            1, "EP-2.1-2", "EP-2.1-1", f"a length of {length}", f"a length of at least {LEAST}"
        )
    if length > limit:
        what = f"a length of {length}, where the limit is {limit}"
        return Fault(2, "EP-2.1-4", "", what, f"a length of at most {limit}")
    if len(data) < 16:
        return None
    _, version, type, reserved, seq = HEADER.unpack_from(data)
    if version != 1:
        return Fault(3, "EP-2.2-2", "EP-2.2-1", f"version {version}", "version 1")
    if reserved:
        return Fault(1, "EP-2.2-4", "EP-2.2-3", f"reserved {reserved:#06x}", "reserved 0")
    if not seq and not (unnumbered and type == ERROR):
        writer = "EP-2.2-7" if unnumbered else "EP-2.2-5"
        refused_by = "EP-2.2-8" if unnumbered else "EP-2.2-6"
        return Fault(1, refused_by, writer, f"{named(type)} seq 0", "a seq of 1 or more")
    return _decoded(frame) if frame.has_body else None


def _decoded(frame: Frame) -> Event | Fault:
    """What a frame with a right header says."""
    try:
        return decode(frame.data)
    except RemoteProtocolError as error:
        return _body_fault(frame, error)


def _body_fault(frame: Frame, error: RemoteProtocolError) -> Fault:
    layout = LAYOUT[frame.type] if frame.type < len(LAYOUT) else "EP-3.11-1"
    what = f"{named(frame.type)}: {error.field or 'body'}: {error.reason}"
    right = _layout(frame.type)
    if "UTF-8" in error.reason:
        return Fault(1, "EP-2.3-3", "EP-2.3-4", what, "well-formed UTF-8 in every text")
    if "behind" in error.reason:
        return Fault(1, "EP-2.4-4", layout, what, right)
    prefix = PREFIXES.get(error.field or "", 0)
    reaches = prefix and len(frame.data) - error.offset >= prefix
    return Fault(1, "EP-2.4-2" if reaches else "EP-2.4-3", layout, what, right)


def _layout(type: int) -> str:
    """The fields of a body, in words."""
    event = next((each for each in STANDARD_EVENTS if each.type == type), ApplicationEvent)
    fields = [part.name for part in event.parts]
    if event is ApplicationEvent:
        fields.append("data")
    if not fields:
        return "no body"
    return f"behind the header {', '.join(fields)}, and no other byte"
