"""Guesses, for people, why bytes are no valid frame.

Rule: a guess must explain everything. This module repairs the bytes as the guess says, and shows
the guess only if the result is a valid frame. No guess changes what is accepted.

Layer: above `jsonlines`, below `dissect`.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from .codec import Codec
from .errors import RemoteProtocolError
from .events import APPLICATION_TYPES, Message
from .framing import LENGTH
from .limits import HEADER_SIZE, LENGTH_SIZE, MIN_LENGTH, VERSION

__all__ = ["EDITS", "FOREIGN", "LENGTHS", "foreign", "guess", "of_text"]

FOREIGN: tuple[tuple[str, bytes], ...] = (
    ("an HTTP/2 preface: an HTTP client is on this port", rb"PRI "),
    (
        "an HTTP request: an HTTP client is on this port",
        rb"GET |HEAD|POST|PUT |DELE|OPTI|PATC|TRAC|CONN",
    ),
    ("an HTTP response: this is the port of an HTTP server", rb"HTTP"),
    ("a TLS hello: the peer speaks TLS, and this side does not", rb"\x16\x03[\0-\4]"),
    ("a TLS alert: the peer expected TLS", rb"\x15\x03[\0-\4]"),
    ("an SSH banner: the peer speaks SSH", rb"SSH-"),
    ("a PROXY header: a load balancer puts it before the stream", rb"PROX|\r\n\r\n"),
    ("an MQTT CONNECT: an MQTT client is on this port", rb"\x10[^\0-\x09].?\0[\4\6]"),
    ("a Redis command: a Redis client is on this port", rb"\*\d+\r\n"),
    ("JSON: `python -m eventcodec encode` makes frames of it", rb'\s*[\[{]\s*["\[\]{}]'),
    ("UTF-16 text: frames are binary, and text in them is UTF-8", rb"\xff\xfe|\xfe\xff"),
    (
        "UTF-16 text: frames are binary, and text in them is UTF-8",
        rb"(?:[ -~]\0){2}|(?:\0[ -~]){2}",
    ),
    ("telnet negotiation: the peer is a telnet client", rb"\xff[\xfb-\xfd]"),
    ("plain text: frames are binary", rb"[\t\r\n -~]{4}"),
    ("only zeros: memory that was never filled in", rb"\0{4}\0*\Z"),
)
"""What the data is instead of frames, by its first bytes."""


def foreign(data: bytes) -> str | None:
    """What these bytes are, if they look like another protocol.

    >>> foreign(b"SSH-2.0-OpenSSH_9.6")
    'an SSH banner: the peer speaks SSH'
    """
    return next((what for what, how in FOREIGN if re.match(how, data, re.DOTALL)), None)


Repair = Callable[[bytes], tuple[bytes, int] | None]
"""From the value of the length: the size of everything after the length, and the size that was
counted."""


def _number(data: bytes) -> int:
    return int.from_bytes(data, "big")


def _behind(data: bytes, start: int, length: int) -> tuple[bytes, int] | None:
    stop = start + length
    return (data[start:stop], stop) if length >= MIN_LENGTH and stop <= len(data) else None


LENGTHS: tuple[tuple[str, Repair], ...] = (
    (
        "the length is little-endian, and all integers are big-endian",
        lambda data: _behind(data, 4, int.from_bytes(data[:4], "little")),
    ),
    (
        "the length counts its own 4 bytes, and it should not",
        lambda data: _behind(data, 4, _number(data[:4]) - LENGTH_SIZE),
    ),
    (
        f"the length counts only the body, and {MIN_LENGTH} bytes of header belong to it",
        lambda data: _behind(data, 4, _number(data[:4]) + MIN_LENGTH),
    ),
    (
        "the length has 8 bytes, and it should have 4",
        lambda data: None if _number(data[:4]) else _behind(data, 8, _number(data[4:8])),
    ),
    (
        "the length has 2 bytes, and it should have 4",
        lambda data: _behind(data, 2, _number(data[:2])),
    ),
)
"""Lengths that are wrong, and the frame that they were to be the length of."""


PLAUSIBLE_SEQ = 2**32
"""A greater number is made of other bytes: that guess puts them where they do not belong."""

_LEAST_EDITED = LENGTH_SIZE + 8  # a header with a short seq


def _edit(change: Callable[[bytes], bytes | None]) -> Repair:
    def repair(data: bytes) -> tuple[bytes, int] | None:
        stop = LENGTH_SIZE + _number(data[:LENGTH_SIZE])
        if not _LEAST_EDITED <= stop <= len(data):
            return None
        rest = change(data[LENGTH_SIZE:stop])
        return None if rest is None else (rest, stop)

    return repair


def _without(ending: bytes) -> Repair:
    return _edit(lambda rest: rest.removesuffix(ending) if rest.endswith(ending) else None)


_SENDER = HEADER_SIZE - LENGTH_SIZE
_WITH_SENDER = (Message.type, *APPLICATION_TYPES)

EDITS: tuple[tuple[str, Repair], ...] = (
    ("there is no length in front of the frame", lambda data: _behind(data, 0, len(data))),
    (
        "type and version are swapped: the version comes first",
        _edit(lambda rest: rest[1::-1] + rest[2:]),
    ),
    (
        "the 2 reserved bytes behind the type are missing",
        _edit(lambda rest: rest[:2] + bytes(2) + rest[2:]),
    ),
    ("seq has 4 bytes, and it should have 8", _edit(lambda rest: rest[:4] + bytes(4) + rest[4:])),
    (
        "the sender is missing: in a request it is one zero byte in front of the rest",
        _edit(
            lambda rest: (
                rest[:_SENDER] + b"\0" + rest[_SENDER:] if rest[1] in _WITH_SENDER else None
            )
        ),
    ),
    ("there is a NUL behind the last field, as in C", _without(b"\0")),
    ("there is a line end behind the last field", _without(b"\r\n")),
    ("there is a line end behind the last field", _without(b"\n")),
)
"""Frames with a missing, a swapped, or an additional part."""


def guess(data: bytes, frame: int, before: int | None, codec: Codec, limit: int) -> str | None:
    """The reason why `data` has no valid frame at `frame`.

    `before` is the start of the frame before it, or None: its length can be the error.
    """
    suspects = [(what, repair, frame) for what, repair in LENGTHS]
    if before is not None:
        suspects += [(what, repair, before) for what, repair in LENGTHS]
    suspects += [(what, repair, frame) for what, repair in EDITS]
    for what, repair, start in suspects:
        if _explains(repair, data[start:], codec, limit):
            return what
    return foreign(data[frame:])


def _explains(repair: Repair, data: bytes, codec: Codec, limit: int) -> bool:
    """Whether the result is a valid frame, and the same repair fits the bytes after it."""
    mended = repair(data)
    if mended is None:
        return False
    rest, taken = mended
    try:
        event = codec.decode(LENGTH.pack(len(rest)) + rest, max_frame=limit)
    except RemoteProtocolError:
        return False
    if event.seq > PLAUSIBLE_SEQ:
        return False
    if taken == len(data):
        return True
    following = repair(data[taken:])
    return following is not None and looks_good(following[0])


def looks_good(rest: bytes) -> bool:
    """Whether the bytes after a length look like the rest of a header."""
    return rest[:1] == bytes([VERSION]) and rest[2:4] == bytes(2)


def of_text(raw: bytes, behind: bytes) -> str | None:
    """What these bytes are, if they were meant as text; `behind` is the bytes after them.

    >>> of_text("zoë".encode("latin-1"), b"")
    'the text seems to be Latin-1, and it must be UTF-8'
    """
    if _is_utf16(raw):
        return "the text seems to be UTF-16, and it must be UTF-8"
    error = _error(raw)
    if error is None:
        return None
    cut = error.reason == "unexpected end of data" and error.end == len(raw)
    if cut and re.match(rb"[\x80-\xbf]", behind):
        return "its length counts characters, and it must count bytes"
    if re.search(rb"\xc0\x80|\xed[\xa0-\xbf]", raw):
        return "NUL or surrogates are encoded as in Java's modified UTF-8 (CESU-8)"
    if re.search(rb"[a-zA-Z][\xa0-\xff]|[\xa0-\xff][a-zA-Z]", raw):
        return "the text seems to be Latin-1, and it must be UTF-8"
    return None


def _error(raw: bytes) -> UnicodeDecodeError | None:
    try:
        raw.decode()
    except UnicodeDecodeError as error:
        return error
    return None


def _is_utf16(raw: bytes) -> bool:
    """Western text in UTF-16 has every other byte zero."""
    zeros = max(raw[::2].count(0), raw[1::2].count(0))
    return raw.startswith((b"\xff\xfe", b"\xfe\xff")) or (len(raw) >= 4 and 4 * zeros > len(raw))
