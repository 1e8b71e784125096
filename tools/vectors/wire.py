"""The wire, written down a second time, in plain `struct`.

Rule: nothing of eventcodec is imported, so that a vector can contradict the code.

Layer: the bottom layer of the generator of the conformance vectors.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

READER_LIMIT = 65_791
"""What a client reads after the default Welcome: max_frame and the sender's 255."""
MAX_FRAME = 65_536
BEFORE_WELCOME = 4_096

U16_MAX, U32_MAX, U64_MAX = 2**16 - 1, 2**32 - 1, 2**64 - 1
LAST_POSITION = 2**63 - 1


def utf8(text: str | bytes) -> bytes:
    """Bytes are taken as they are, so that a text can be wrong on purpose."""
    return text if isinstance(text, bytes) else text.encode()


PACK: dict[str, Callable[[Any], bytes]] = {
    "short": lambda text: struct.pack(">B", len(utf8(text))) + utf8(text),
    "text": lambda text: utf8(text),
    "bytes16": lambda data: struct.pack(">H", len(data)) + bytes(data),
    "rest": bytes,
    "u8": lambda number: struct.pack(">B", number),
    "u16": lambda number: struct.pack(">H", number),
    "u32": lambda number: struct.pack(">I", number),
    "u64": lambda number: struct.pack(">Q", number),
}

EVENTS: dict[str, tuple[int | None, dict[str, str]]] = {
    "Login": (0x01, {"user": "short", "credential": "bytes16", "ticket": "u64", "position": "u64"}),
    "Message": (0x02, {"sender": "short", "content": "text"}),
    "Logout": (0x03, {}),
    "Ack": (0x04, {"position": "u64"}),
    "Error": (0x05, {"code": "u16", "text": "short"}),
    "Ping": (0x06, {}),
    "Pong": (0x07, {}),
    "Welcome": (
        0x08,
        {
            "user": "short",
            "ticket": "u64",
            "position": "u64",
            "max_frame": "u32",
            "heartbeat": "u16",
            "server": "short",
        },
    ),
    "Joined": (0x09, {"user": "short"}),
    "Left": (0x0A, {"user": "short", "reason": "u8"}),
    "ApplicationEvent": (None, {"sender": "short", "data": "rest"}),
    "Unknown": (None, {"body": "rest"}),
}

CODES = {
    "MALFORMED": 1,
    "FRAME_TOO_LARGE": 2,
    "UNSUPPORTED_VERSION": 3,
    "UNKNOWN_TYPE": 4,
    "UNEXPECTED_EVENT": 5,
    "LOGIN_REQUIRED": 10,
    "ALREADY_LOGGED_IN": 11,
    "UNAUTHORIZED": 12,
    "USER_TAKEN": 13,
    "BAD_USER": 14,
    "HISTORY_GONE": 15,
    "SLOW_CONSUMER": 21,
    "TIMEOUT": 22,
    "SERVER_FULL": 23,
    "SHUTTING_DOWN": 24,
    "UNAVAILABLE": 25,
    "INTERNAL": 30,
}
GOES_ON = {
    "UNKNOWN_TYPE",
    "UNEXPECTED_EVENT",
    "LOGIN_REQUIRED",
    "ALREADY_LOGGED_IN",
    "USER_TAKEN",
    "BAD_USER",
    "HISTORY_GONE",
}
"""Answered with the number of the request; every other code ends the connection."""


def frame(
    type: int,
    body: bytes = b"",
    *,
    seq: int = 7,
    version: int = 1,
    reserved: int = 0,
    length: int | None = None,
) -> bytes:
    """One frame; anything in its header may be wrong on purpose."""
    length = 12 + len(body) if length is None else length
    return struct.pack(">IBBHQ", length, version, type, reserved, seq) + body


def body_of(event: str, fields: dict[str, Any]) -> bytes:
    return b"".join(PACK[kind](fields[name]) for name, kind in EVENTS[event][1].items())


def encode(event: str, *, seq: int = 7, type: int | None = None, **fields: Any) -> bytes:
    number = EVENTS[event][0]
    chosen = type if number is None else number
    assert chosen is not None, f"{event} needs a type"
    return frame(chosen, body_of(event, fields), seq=seq)


SAMPLES: dict[str, dict[str, Any]] = {
    "Login": {"user": "ann", "credential": b"key", "ticket": 0, "position": 0},
    "Message": {"sender": "ann", "content": "hello"},
    "Logout": {},
    "Ack": {"position": 7},
    "Error": {"code": 5, "text": "no"},
    "Ping": {},
    "Pong": {},
    "Welcome": {
        "user": "ann",
        "ticket": 0x1122334455667788,
        "position": 41,
        "max_frame": MAX_FRAME,
        "heartbeat": 20,
        "server": "example 1.0",
    },
    "Joined": {"user": "ann"},
    "Left": {"user": "ann", "reason": 1},
    "ApplicationEvent": {"sender": "ann", "data": b"\x01\x02"},
}
PING = frame(0x06)


def sample(event: str, *, seq: int = 7, **fields: Any) -> bytes:
    """An ordinary frame of this event, with some fields changed."""
    type = 0x80 if event == "ApplicationEvent" else None
    return encode(event, seq=seq, type=type, **(SAMPLES[event] | fields))


def with_length(data: bytes, length: int) -> bytes:
    return struct.pack(">I", length) + data[4:]
