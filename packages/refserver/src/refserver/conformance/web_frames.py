"""Frames of WebSocket byte for byte, also those that no library sends.

Rule: an independent oracle, as `raw` is for the frames of the protocol. What comes is read by a
library, which accepts no wrong frame.

Layer: above `connection`, below the cases.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, cast

from .connection import Connection
from .model import Direction

if TYPE_CHECKING:
    from .websocket import WebSocketStream

__all__ = ["BINARY", "CLOSE", "CONT", "PING", "TEXT", "put", "web", "web_frame"]

CONT, TEXT, BINARY, CLOSE, PING = 0x0, 0x1, 0x2, 0x8, 0x9
MASK = b"\x01\x02\x03\x04"


def web_frame(opcode: int, payload: bytes = b"", *, fin: bool = True, masked: bool = True) -> bytes:
    """One frame of WebSocket as a client sends it.

    >>> web_frame(BINARY, b"hi").hex(" ")
    '82 82 01 02 03 04 69 6b'
    """
    size = len(payload)
    bit = 0x80 if masked else 0
    head = bytes([opcode | (0x80 if fin else 0)])
    if size < 126:
        head += bytes([bit | size])
    elif size < 1 << 16:
        head += struct.pack(">BH", bit | 126, size)
    else:
        head += struct.pack(">BQ", bit | 127, size)
    if not masked:
        return head + payload
    return head + MASK + bytes(byte ^ MASK[at % 4] for at, byte in enumerate(payload))


def web(conn: Connection) -> WebSocketStream:
    """The WebSocket of a connection."""
    return cast("WebSocketStream", conn.stream)


def put(conn: Connection, told: str, *frames: bytes) -> bool:
    """Send frames of WebSocket as they are; `told` says what they are, for the evidence.

    Returns whether the connection was still there.
    """
    conn.transcript.step(conn.who, Direction.NOTE, note=f"WebSocket: {told}")
    try:
        web(conn).put(b"".join(frames))
    except OSError as error:
        conn.transcript.step(conn.who, Direction.NOTE, note=f"{error.strerror}")
        return False
    return True
