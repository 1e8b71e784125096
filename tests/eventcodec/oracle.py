"""A second reader of the protocol, in plain Python, to hold the codec against.

Rule: nothing of eventcodec is imported, and no table of its; where the two differ,
one of them is wrong. It is written to be read beside docs/protocol.md, not to be fast.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

Form = dict[str, str | int]
Verdict = (
    tuple[Literal["event"], Form] | tuple[Literal["error"], int] | tuple[Literal["incomplete"]]
)

MALFORMED, FRAME_TOO_LARGE, UNSUPPORTED_VERSION = 1, 2, 3
ERROR = 0x05
BODIES = {
    0x01: "Login user:text8 credential:bytes16 ticket:u64 position:u64",
    0x02: "Message sender:text8 content:text",
    0x03: "Logout",
    0x04: "Ack position:u64",
    0x05: "Error code:u16 text:text8",
    0x06: "Ping",
    0x07: "Pong",
    0x08: "Welcome user:text8 ticket:u64 position:u64 max_frame:u32 heartbeat:u16 server:text8",
    0x09: "Joined user:text8",
    0x0A: "Left user:text8 reason:u8",
}


def judge(data: bytes, limit: int = 65_791) -> Verdict:
    """What a bare reader makes of the first frame in `data`: no role, no state."""
    length = int.from_bytes(data[:4], "big")
    if len(data) >= 4 and length < 12:
        return "error", MALFORMED
    if len(data) >= 4 and length > limit:
        return "error", FRAME_TOO_LARGE
    if len(data) < 16:
        return ("incomplete",)
    version, type, seq = data[4], data[5], int.from_bytes(data[8:16], "big")
    if version != 1:
        return "error", UNSUPPORTED_VERSION
    if data[6:8] != b"\0\0" or (seq == 0 and type != ERROR):
        return "error", MALFORMED
    if len(data) < 4 + length:
        return ("incomplete",)
    try:
        return "event", _event(type, seq, data[16 : 4 + length])
    except ValueError:
        return "error", MALFORMED


def judge_stream(stream: bytes, limit: int = 65_791) -> Iterator[Verdict]:
    """The verdict on each frame, up to and with the first that is no event."""
    verdict: Verdict = ("incomplete",)
    while stream:
        verdict = judge(stream, limit)
        yield verdict
        if verdict[0] != "event":
            return
        stream = stream[4 + int.from_bytes(stream[:4], "big") :]


def _event(type: int, seq: int, body: bytes) -> Form:
    """The JSON form. Raises ValueError for a body that is not exactly this event's."""
    if type >= 0x80:
        name, *fields = "ApplicationEvent", "sender:text8", "data:rest"
    else:
        name, *fields = BODIES.get(type, "Unknown body:rest").split()
    form: Form = {"event": name} if type in BODIES else {"event": name, "type": type}
    form["seq"] = str(seq)
    for field, kind in (each.split(":") for each in fields):
        form[field], body = _value(kind, body)
    if body:
        raise ValueError("stray bytes")
    return form


def _value(kind: str, body: bytes) -> tuple[str | int, bytes]:
    """One value from the front of `body`, and what is left."""
    if kind in ("text", "rest"):
        return (body.decode() if kind == "text" else body.hex()), b""
    if kind in ("text8", "bytes16"):
        size, body = _number(1 if kind == "text8" else 2, body)
        raw, body = _split(size, body)
        return (raw.decode() if kind == "text8" else raw.hex()), body
    number, body = _number(int(kind.removeprefix("u")) // 8, body)
    return (str(number) if kind == "u64" else number), body


def _number(width: int, body: bytes) -> tuple[int, bytes]:
    raw, body = _split(width, body)
    return int.from_bytes(raw, "big"), body


def _split(size: int, body: bytes) -> tuple[bytes, bytes]:
    if len(body) < size:
        raise ValueError("the body ends too early")
    return body[:size], body[size:]
