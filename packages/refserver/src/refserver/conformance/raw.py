"""Frames as bytes, right ones and wrong ones, and frames back into fields.

Rule: an independent oracle. It is written from docs/protocol.md and shares nothing
with eventcodec, so that a mistake in one does not hide the same mistake in the other;
that is why the layouts stand here a second time. It encodes whatever it is told to.

Layer: the bottom layer of the kit.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

LOGIN, MESSAGE, LOGOUT, ACK, ERROR = 0x01, 0x02, 0x03, 0x04, 0x05
PING, PONG, WELCOME, JOINED, LEFT = 0x06, 0x07, 0x08, 0x09, 0x0A
APPLICATION = range(0x80, 0x100)
UNKNOWN = (0x00, *range(0x0B, 0x80))

MALFORMED, FRAME_TOO_LARGE, UNSUPPORTED_VERSION = 1, 2, 3
UNKNOWN_TYPE, UNEXPECTED_EVENT = 4, 5
LOGIN_REQUIRED, ALREADY_LOGGED_IN, UNAUTHORIZED = 10, 11, 12
USER_TAKEN, BAD_USER, HISTORY_GONE = 13, 14, 15
SLOW_CONSUMER, TIMEOUT, SERVER_FULL, SHUTTING_DOWN, UNAVAILABLE = 21, 22, 23, 24, 25
INTERNAL = 30
CODES = {
    MALFORMED: "MALFORMED",
    FRAME_TOO_LARGE: "FRAME_TOO_LARGE",
    UNSUPPORTED_VERSION: "UNSUPPORTED_VERSION",
    UNKNOWN_TYPE: "UNKNOWN_TYPE",
    UNEXPECTED_EVENT: "UNEXPECTED_EVENT",
    LOGIN_REQUIRED: "LOGIN_REQUIRED",
    ALREADY_LOGGED_IN: "ALREADY_LOGGED_IN",
    UNAUTHORIZED: "UNAUTHORIZED",
    USER_TAKEN: "USER_TAKEN",
    BAD_USER: "BAD_USER",
    HISTORY_GONE: "HISTORY_GONE",
    SLOW_CONSUMER: "SLOW_CONSUMER",
    TIMEOUT: "TIMEOUT",
    SERVER_FULL: "SERVER_FULL",
    SHUTTING_DOWN: "SHUTTING_DOWN",
    UNAVAILABLE: "UNAVAILABLE",
    INTERNAL: "INTERNAL",
}
LEFT_REASON, LOST_REASON, EVICTED_REASON = 0, 1, 2

BEFORE_WELCOME = 4_096
ALLOWANCE = 255

_LAYOUTS: dict[int, tuple[tuple[str, str], ...]] = {
    LOGIN: (("user", "short"), ("credential", "bytes16"), ("ticket", "Q"), ("position", "Q")),
    MESSAGE: (("sender", "short"), ("content", "rest")),
    LOGOUT: (),
    ACK: (("position", "Q"),),
    ERROR: (("code", "H"), ("text", "short")),
    PING: (),
    PONG: (),
    WELCOME: (
        ("user", "short"),
        ("ticket", "Q"),
        ("position", "Q"),
        ("max_frame", "I"),
        ("heartbeat", "H"),
        ("server", "short"),
    ),
    JOINED: (("user", "short"),),
    LEFT: (("user", "short"), ("reason", "B")),
}
_RELAYED = (("sender", "short"), ("data", "rest"))


def frame(
    type: int,
    seq: int = 1,
    body: bytes = b"",
    *,
    length: int | None = None,
    version: int = 1,
    reserved: int = 0,
) -> bytes:
    """A frame, with any header that is asked for."""
    length = 12 + len(body) if length is None else length
    return struct.pack(">IBBHQ", length, version, type, reserved, seq) + body


def short(text: bytes | str) -> bytes:
    """Short text: its length in one byte, and it."""
    data = text.encode() if isinstance(text, str) else text
    return bytes([len(data)]) + data


def login_body(
    user: bytes | str = "", credential: bytes = b"", ticket: int = 0, position: int = 0
) -> bytes:
    return (
        short(user)
        + struct.pack(">H", len(credential))
        + credential
        + struct.pack(">QQ", ticket, position)
    )


def login(
    seq: int,
    user: bytes | str = "",
    credential: bytes = b"",
    ticket: int = 0,
    position: int = 0,
) -> bytes:
    return frame(LOGIN, seq, login_body(user, credential, ticket, position))


def message(seq: int, content: bytes | str, sender: bytes | str = "") -> bytes:
    data = content.encode() if isinstance(content, str) else content
    return frame(MESSAGE, seq, short(sender) + data)


def application(seq: int, type: int, data: bytes, sender: bytes | str = "") -> bytes:
    return frame(type, seq, short(sender) + data)


def logout(seq: int) -> bytes:
    return frame(LOGOUT, seq)


def ping(seq: int) -> bytes:
    return frame(PING, seq)


def pong(seq: int) -> bytes:
    return frame(PONG, seq)


def ack(seq: int, position: int) -> bytes:
    return frame(ACK, seq, struct.pack(">Q", position))


def error(seq: int, code: int, text: str = "") -> bytes:
    return frame(ERROR, seq, struct.pack(">H", code) + short(text))


def welcome(
    seq: int,
    user: str,
    ticket: int,
    position: int,
    max_frame: int = 65_536,
    heartbeat: int = 20,
    server: str = "",
) -> bytes:
    numbers = struct.pack(">QQIH", ticket, position, max_frame, heartbeat)
    return frame(WELCOME, seq, short(user) + numbers + short(server))


def joined(position: int, user: str) -> bytes:
    return frame(JOINED, position, short(user))


def left(position: int, user: str, reason: int = LEFT_REASON) -> bytes:
    return frame(LEFT, position, short(user) + bytes([reason]))


@dataclass(frozen=True, slots=True)
class Frame:
    """A whole frame that came; nothing of it is believed."""

    raw: bytes

    @property
    def version(self) -> int:
        return self.raw[4]

    @property
    def type(self) -> int:
        return self.raw[5]

    @property
    def reserved(self) -> int:
        return int.from_bytes(self.raw[6:8], "big")

    @property
    def seq(self) -> int:
        return int.from_bytes(self.raw[8:16], "big")

    @property
    def length(self) -> int:
        return len(self.raw) - 4

    @property
    def body(self) -> bytes:
        return self.raw[16:]

    @property
    def fields(self) -> dict[str, int | bytes] | None:
        """The body's fields, or None where it is not exactly its type's layout."""
        layout = _RELAYED if self.type in APPLICATION else _LAYOUTS.get(self.type)
        return None if layout is None else _fields(layout, self.body)

    def number(self, name: str) -> int:
        """A field that is a number; -1 where the frame has none."""
        value = (self.fields or {}).get(name)
        return value if isinstance(value, int) else -1

    def text(self, name: str) -> bytes | None:
        """A field that is text or bytes; None where the frame has none."""
        value = (self.fields or {}).get(name)
        return value if isinstance(value, bytes) else None

    @property
    def is_presence(self) -> bool:
        return self.type in (JOINED, LEFT)

    @property
    def is_fact(self) -> bool:
        return self.type in (MESSAGE, JOINED, LEFT) or self.type in APPLICATION

    @property
    def author(self) -> bytes | None:
        """Whom a fact is about."""
        return self.text("user" if self.is_presence else "sender")

    @property
    def entry(self) -> int:
        """The position that this frame gives its reader, 0 for none."""
        if self.is_fact:
            return self.seq
        return max(0, self.number("position")) if self.type == ACK else 0


def _fields(layout: tuple[tuple[str, str], ...], body: bytes) -> dict[str, int | bytes] | None:
    found: dict[str, int | bytes] = {}
    at = 0
    for name, kind in layout:
        if kind == "rest":
            found[name] = body[at:]
            at = len(body)
            continue
        prefix = {"short": 1, "bytes16": 2, "B": 1, "H": 2, "I": 4, "Q": 8}[kind]
        if at + prefix > len(body):
            return None
        number = int.from_bytes(body[at : at + prefix], "big")
        at += prefix
        if kind in ("short", "bytes16"):
            if at + number > len(body):
                return None
            found[name] = body[at : at + number]
            at += number
        else:
            found[name] = number
    return found if at == len(body) else None
