"""The limits of sizes, counts and numbers, with their reasons.

Rule: every limit is defined here once, with its reason. Code uses the constant, and the
documentation uses the table.

Layer: the bottom layer, beside `errors`.
"""

from __future__ import annotations

from typing import NamedTuple

from .errors import LocalProtocolError

__all__ = [
    "ANY_FRAME",
    "DEFAULT_MAX_FRAME",
    "HEADER_SIZE",
    "LENGTH_SIZE",
    "LIMITS",
    "MAX_FRAME",
    "MAX_FRAME_BEFORE_WELCOME",
    "MAX_FRAME_CEILING",
    "MAX_POSITION",
    "MAX_SHORT_TEXT",
    "MAX_UNSENT_PONGS",
    "MIN_LENGTH",
    "SENDER_ALLOWANCE",
    "VERSION",
    "Limit",
    "frame_limit",
]

VERSION = 1
LENGTH_SIZE = 4
HEADER_SIZE = 16
MIN_LENGTH = HEADER_SIZE - LENGTH_SIZE
MAX_SHORT_TEXT = 255
SENDER_ALLOWANCE = MAX_SHORT_TEXT
MAX_FRAME_BEFORE_WELCOME = 4_096
MAX_FRAME = 65_536
DEFAULT_MAX_FRAME = MAX_FRAME + SENDER_ALLOWANCE
"""The default limit of a decoder: the longest frame of a server with default settings."""
MAX_FRAME_CEILING = 16 * 1024 * 1024
MAX_POSITION = 2**63 - 1
MAX_UNSENT_PONGS = 10_000
ANY_FRAME = 2**32 - 1


class Limit(NamedTuple):
    """One row of the table of limits in the documentation."""

    name: str
    value: int
    unit: str
    reason: str
    precedent: str


LIMITS = (
    Limit(
        "MIN_LENGTH",
        MIN_LENGTH,
        "bytes",
        "the rest of the header after `length`; no version has a shorter frame",
        "HTTP/2: a frame header has a fixed 9 bytes",
    ),
    Limit(
        "MAX_FRAME_BEFORE_WELCOME",
        MAX_FRAME_BEFORE_WELCOME,
        "bytes of `length`",
        "a client without login must not use much memory of a server; the longest useful "
        "Login is far shorter",
        "SMTP, HTTP servers: a request line of 4 to 8 KiB",
    ),
    Limit(
        "MAX_FRAME",
        MAX_FRAME,
        "bytes of `length`",
        "default of `Welcome.max_frame`: a long message fits, and the memory has space for a "
        "thousand incomplete frames",
        "MQTT brokers and NATS: 64 KiB to 1 MiB",
    ),
    Limit(
        "SENDER_ALLOWANCE",
        SENDER_ALLOWANCE,
        "bytes of `length`",
        "a server adds the sender to the frame that it relays; a valid message must stay "
        "below the limit of its readers",
        "none known; follows from the frame",
    ),
    Limit(
        "MAX_FRAME_CEILING",
        MAX_FRAME_CEILING,
        "bytes of `length`",
        "the longest frame that a client of this package reads, even if a server announces more; "
        "text with one character beyond U+FFFF takes four times its size in memory, so one "
        "message of 16 MiB can take 112 MiB for a moment and 64 MiB while it is kept",
        "HTTP/2: SETTINGS_MAX_FRAME_SIZE ends at 16 MiB - 1",
    ),
    Limit(
        "MAX_SHORT_TEXT",
        MAX_SHORT_TEXT,
        "bytes of UTF-8",
        "its length is one byte",
        "DNS names: 255 bytes",
    ),
    Limit(
        "MAX_POSITION",
        MAX_POSITION,
        "",
        "a position fits a signed 64-bit integer of any language",
        "Kafka: offsets are signed 64-bit",
    ),
    Limit(
        "MAX_UNSENT_PONGS",
        MAX_UNSENT_PONGS,
        "Pongs",
        "a server that sends Pings without end must not fill a client's memory: one more ends "
        "the connection with the server's fault; a client that takes its data to send after "
        "each read has far fewer",
        "Go's net/http2: 10,000 queued control frames; nghttp2: 1,000",
    ),
)


def frame_limit(max_frame: int) -> int:
    """This number, as the greatest `length` that is read. Raises LocalProtocolError.

    >>> frame_limit(4_096)
    4096
    """
    if not isinstance(max_frame, int) or not MIN_LENGTH <= max_frame <= ANY_FRAME:
        raise LocalProtocolError(f"not an int in {MIN_LENGTH} … {ANY_FRAME}", field="max_frame")
    return max_frame
