"""Mutants that read wrongly: lengths, headers, bodies and text.

Rule: bytes are changed on their way in, to what a right server accepts.

Layer: above `registry`.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, NamedTuple

from eventcodec import (
    Ack,
    Error,
    Login,
    Logout,
    Message,
    Ping,
    Pong,
)

from ..session.session import Session
from .registry import Patch, mutant


class Header(NamedTuple):
    """The twelve bytes after the length."""

    version: int
    type: int
    reserved: int
    seq: int


LAYOUT = struct.Struct(">BBHQ")
Heads = Callable[[Header], Header]
Bodies = Callable[[Header, bytes], bytes]


class Rewriter:
    """Rewrites frames on their way in, and passes everything on as early as it came.

    `length` rewrites the first four bytes; `head` the header; `body` the bodies of whole
    frames with a right header, up to 4 KiB, of the types in `types`. The length is passed on
    when `early` bytes are in, the rest of the header when `late` are.
    """

    def __init__(
        self,
        length: Callable[[int], int] | None = None,
        head: Heads | None = None,
        body: Bodies | None = None,
        types: frozenset[int] = frozenset(),
        early: int = 4,
        late: int = 16,
    ) -> None:
        self._length = length or (lambda length: length)
        self._head = head or (lambda header: header)
        self._body = body
        self._types = types
        self._early = early
        self._late = late
        self._frame = bytearray()
        self._passed = 0

    def feed(self, data: bytes) -> bytes:
        out = bytearray()
        while data:
            size = self._size()
            wanted = (size if size else 4) - len(self._frame)
            self._frame += data[:wanted]
            data = data[wanted:]
            out += self._pass()
        return bytes(out)

    def _size(self) -> int:
        """How long the frame is that has begun, 0 where that is not known yet."""
        if len(self._frame) < 4:
            return 0
        length: int = int.from_bytes(self._frame[:4], "big")
        return 4 + max(length, 12)

    def _pass(self) -> bytes:
        frame, size = self._frame, self._size()
        if not size:
            return b""
        whole = len(frame) == size
        out = b""
        if self._passed < 4 and (len(frame) >= min(self._early, size)) and not self._held():
            out += self._length(int.from_bytes(frame[:4], "big")).to_bytes(4, "big")
            self._passed = 4
        if self._passed == 4 and len(frame) >= min(self._late, size):
            out += LAYOUT.pack(*self._head(Header(*LAYOUT.unpack(frame[4:16]))))
            self._passed = 16
        if self._passed >= 16:
            out += bytes(frame[self._passed :])
            self._passed = len(frame)
        if whole and not self._passed:
            header = Header(*LAYOUT.unpack(frame[4:16]))
            assert self._body is not None, "only a body is held to the end"
            body = self._body(header, bytes(frame[16:]))
            out += (12 + len(body)).to_bytes(4, "big") + bytes(frame[4:16]) + body
        if whole:
            self._frame = bytearray()
            self._passed = 0
        return out

    def _held(self) -> bool:
        """Whether the frame is to be rewritten as a whole, or may still turn out to be."""
        frame = self._frame
        length = int.from_bytes(frame[:4], "big")
        if self._body is None or not 12 <= length <= 4_096:
            return False
        if len(frame) < 16:
            return True
        header = Header(*LAYOUT.unpack(frame[4:16]))
        good = header.version == 1 and header.reserved == 0 and header.seq != 0
        return good and header.type in self._types


def incoming(patch: Patch, **how: Any) -> None:
    """Let every session's input pass through a rewriter of its own."""

    def receive(original: Any, self: Any, data: bytes, now: float) -> None:
        if not hasattr(self, "rewriter"):
            self.rewriter = Rewriter(**how)
        passed = self.rewriter.feed(data)
        if passed:
            original(self, passed, now)

    patch.around(Session, "receive", receive)


def header_mutant(name: str, wrong: str, head: Heads) -> None:
    mutant(name, wrong)(lambda patch: incoming(patch, head=head))


def body_mutant(name: str, wrong: str, types: set[int], body: Bodies) -> None:
    mutant(name, wrong)(lambda patch: incoming(patch, body=body, types=frozenset(types)))


RELAYED = {Message.type, *range(0x80, 0x100)}
APPLICATION = set(range(0x80, 0x100))

header_mutant("reserved-ignored", "reserved is not checked", lambda h: h._replace(reserved=0))
header_mutant(
    "reserved-low-byte",
    "only the low byte of reserved is checked",
    lambda h: h._replace(reserved=h.reserved & 0xFF),
)
header_mutant("version-ignored", "the version is not checked", lambda h: h._replace(version=1))
header_mutant(
    "version-zero-accepted",
    "version 0 is treated as version 1",
    lambda h: h._replace(version=h.version or 1),
)
header_mutant(
    "version-signed",
    "versions above 127 are treated as older ones, which are accepted",
    lambda h: h._replace(version=1 if h.version > 127 else h.version),
)
header_mutant("seq-zero-accepted", "seq 0 is accepted", lambda h: h._replace(seq=h.seq or 1))
header_mutant(
    "seq-zero-in-pong",
    "seq 0 is accepted in a Pong",
    lambda h: h._replace(seq=1) if h.type == Pong.type and not h.seq else h,
)
header_mutant(
    "seq-zero-in-error",
    "seq 0 is accepted in an Error",
    lambda h: h._replace(seq=1) if h.type == Error.type and not h.seq else h,
)
header_mutant(
    "seq-of-32-bits",
    "only 32 bits of seq are kept",
    lambda h: h._replace(seq=(h.seq & 0xFFFF_FFFF) or (1 if h.seq else 0)),
)
header_mutant(
    "types-above-bf-unknown",
    "application types from 0xC0 on are unknown",
    lambda h: h._replace(type=0x0B) if h.type >= 0xC0 else h,
)
header_mutant(
    "pong-answered",
    "a Pong is answered with a Pong",
    lambda h: h._replace(type=Ping.type) if h.type == Pong.type else h,
)


@mutant("header-judged-late", "the header is validated when the body is there")
def _(patch: Patch) -> None:
    incoming(patch, late=1 << 40)


@mutant("length-judged-late", "the length is validated when the header is there")
def _(patch: Patch) -> None:
    incoming(patch, early=16)


@mutant("length-eleven-accepted", "a length of 11 is treated as 12")
def _(patch: Patch) -> None:
    incoming(patch, length=lambda n: 12 if n == 11 else n)


@mutant("length-zero-accepted", "a length of 0 is treated as 12")
def _(patch: Patch) -> None:
    incoming(patch, length=lambda n: n or 12)


@mutant("length-signed", "lengths from 2^31 on are treated as small ones")
def _(patch: Patch) -> None:
    incoming(patch, length=lambda n: 12 if n >= 2**31 else n)


@mutant("pieces-lost", "a piece of a frame at the end of a read is lost")
def _(patch: Patch) -> None:
    def receive(original: Any, self: Any, data: bytes, now: float) -> None:
        at = 0
        while len(data) - at >= 4:
            length = int.from_bytes(data[at : at + 4], "big")
            if 12 <= length <= 4_096 and len(data) - at < 4 + length:
                break
            at = at + 4 + length if length >= 12 else len(data)
        if at:
            original(self, data[:at], now)

    patch.around(Session, "receive", receive)


@mutant("one-frame-a-read", "only the first frame of a read is handled")
def _(patch: Patch) -> None:
    def receive(original: Any, self: Any, data: bytes, now: float) -> None:
        length = int.from_bytes(data[:4], "big")
        short = self.conn.held == 0 and 12 <= length <= 4_096
        original(self, data[: 4 + length] if short else data, now)

    patch.around(Session, "receive", receive)


def replaced(*patterns: bytes) -> Bodies:
    """A Message's content made right where it has these faults."""

    def body(header: Header, data: bytes) -> bytes:
        size = 1 + data[0] if data else 0
        content = data[size:]
        for pattern in patterns:
            content = content.replace(pattern, b"?" * len(pattern))
        return data[:size] + content

    return body


for _name, _wrong, _patterns in (
    ("text-any-bytes", "bytes that are not UTF-8 are replaced", (b"\xff", b"good \x80")),
    ("text-surrogates", "surrogates are replaced", (b"\xed\xa0\x80", b"\xed\xa0\xbd\xed\xb8\x80")),
    ("text-overlong", "overlong forms are replaced", (b"\xc0\x80", b"\xe0\x80\xaf")),
    (
        "text-above-10ffff",
        "code points above U+10FFFF are replaced",
        (b"\xf4\x90\x80\x80", b"\xf8\x88\x80\x80\x80"),
    ),
    ("text-cut", "a character that is cut is replaced", (b"good \xe2\x82",)),
):
    body_mutant(
        _name,
        _wrong,
        {Message.type},
        replaced(*_patterns),
    )


def _user_mended(body: bytes) -> bytes:
    size, behind = body[:1], 1 + body[0]
    return size + body[1:behind].replace(b"\xff", b"?") + body[behind:]


body_mutant(
    "user-any-bytes",
    "a user that is not UTF-8 is made one",
    {Login.type},
    lambda h, b: _user_mended(b) if b[1:4] == b"ann" else b,
)
body_mutant(
    "sender-any-bytes",
    "a sender that is not UTF-8 is made one",
    {Message.type},
    lambda h, b: b"\x01?" + b[2:] if b[:2] == b"\x01\xff" else b,
)
body_mutant(
    "application-sender-any-bytes",
    "an application event's sender that is not UTF-8 is ignored",
    APPLICATION,
    lambda h, b: b"\0" + b[3:] if b[:3] == b"\x02\xc3\x28" else b,
)
body_mutant(
    "application-body-ignored",
    "an application event without a sender field is accepted",
    APPLICATION,
    lambda h, b: b"\0" + b if not b or b[0] >= len(b) else b,
)
body_mutant("ping-body-ignored", "a Ping's body is ignored", {Ping.type}, lambda h, b: b"")
body_mutant("pong-body-ignored", "a Pong's body is ignored", {Pong.type}, lambda h, b: b"")
body_mutant("logout-body-ignored", "a Logout's body is ignored", {Logout.type}, lambda h, b: b"")
body_mutant(
    "empty-message-body-accepted",
    "a Message without a sender field is accepted",
    {Message.type},
    lambda h, b: b or b"\0",
)
body_mutant(
    "inner-length-cut",
    "a sender that reaches beyond its Message is cut",
    {Message.type},
    lambda h, b: bytes([len(b) - 1]) + b[1:] if b and b[0] >= len(b) else b,
)
body_mutant(
    "left-over-ignored",
    "bytes after an event that only servers send are ignored",
    {Ack.type, Error.type, 0x0A},
    lambda h, b: b[:8] if h.type == Ack.type else b[:3] if h.type == Error.type else b[:5],
)
body_mutant(
    "sender-overwritten",
    "a Message's sender is silently overwritten",
    {Message.type},
    lambda h, b: b"\0" + b[1 + b[0] :] if b and 0 < b[0] < len(b) and b[1] < 128 else b,
)
body_mutant(
    "application-sender-overwritten",
    "an application event's sender is silently overwritten",
    APPLICATION,
    lambda h, b: b"\0" + b[1 + b[0] :] if b and 0 < b[0] < len(b) and b[1] < 128 else b,
)


def _login_size(body: bytes) -> int:
    if len(body) < 3 or len(body) < 3 + body[0]:
        return 0
    credential = int.from_bytes(body[1 + body[0] : 3 + body[0]], "big")
    return 3 + body[0] + credential + 16


body_mutant(
    "login-left-over-ignored",
    "bytes after a Login are ignored",
    {Login.type},
    lambda h, b: b[: _login_size(b)] if 0 < _login_size(b) < len(b) else b,
)
body_mutant(
    "login-filled-up",
    "missing fields of a Login are taken to be empty",
    {Login.type},
    lambda h, b: b + bytes(_login_size(b) - len(b)) if len(b) in range(9, 26) else b,
)
