"""Mutants of the WebSocket listener. Over TCP each of them is right.

Rule: each is wrong about WebSocket alone; what a frame means is as in the product. Without the
extra `ws` there is no such listener, and these mutants cannot be served.

Layer: above `points`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from eventcodec import LeftReason, Pong

from ..server.connection import Connection
from ..server.server import Server
from ..session.session import Session
from . import points
from .registry import Patch, mutant

OVER: dict[str, Any] = {"needs": ("websocket",), "ws": 0}
HEARTBEAT: dict[str, Any] = {"needs": ("websocket", "heartbeat"), "ws": 0, "heartbeat": 1}
LOGIN: dict[str, Any] = {"needs": ("websocket", "login-timeout"), "ws": 0, "login_timeout": 1.0}
CONT, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
BEFORE_WELCOME = 4_100
MUCH = 1 << 24
NAME = "event-protocol.1"


def on_frame(patch: Patch, take: Callable[[Any, Any, Any], None]) -> None:
    """How one frame of WebSocket is taken; `take` gets the original, the connection, the frame."""
    from ..server.websocket import WebSocketConnection

    patch.around(WebSocketConnection, "take", take)


def on_payload(patch: Patch, change: Callable[[Any, bytes, bool], bytes]) -> None:
    """What is taken of the payload of a binary frame. The last argument of `change` says whether a
    message begins."""

    def take(original: Any, self: Any, frame: Any) -> None:
        if frame.opcode in (CONT, BINARY):
            frame.data = change(self, bytes(frame.data), frame.opcode == BINARY)
        original(self, frame)

    on_frame(patch, take)


def on_chunk(patch: Patch, change: Callable[[Any, bytes], bytes]) -> None:
    """What is taken of the bytes of a socket, when the handshake is done."""
    from ..server.websocket import WebSocketConnection

    def updated(original: Any, self: Any, nbytes: int) -> None:
        if self.is_open:
            chunk = change(self, bytes(self.buffer[:nbytes]))
            nbytes = len(chunk)
            self.buffer[:nbytes] = chunk
        original(self, nbytes)

    patch.around(WebSocketConnection, "buffer_updated", updated)


def on_handshake(patch: Patch, accept: Callable[[Any, Any, Any], Any]) -> None:
    """The answer to a request for WebSocket; `accept` gets the original, the protocol, the
    request."""
    from websockets.server import ServerProtocol

    patch.around(ServerProtocol, "accept", accept)


def on_fault(patch: Patch, fault: Callable[[Any], str]) -> None:
    """Which header of a handshake is refused, or ""; `fault` gets the original's answer."""
    from ..server.websocket import WebSockets

    patch.around(WebSockets, "error_of", lambda original, self, *rest: fault(original(self, *rest)))


def on_wrap(patch: Patch, most: Callable[[int], int]) -> None:
    """The most bytes of a message of the server."""
    from ..server.websocket import WebSockets

    patch.around(
        WebSockets, "wrap", lambda original, self, data, limit: original(self, data, most(limit))
    )


# ---------------------------------------------------------------- the stream


@mutant("ws-one-frame-a-message", "only the first frame of a WebSocket message is taken", **OVER)
def _(patch: Patch) -> None:
    on_payload(patch, lambda self, data, begins: data[: 4 + int.from_bytes(data[:4], "big")])


@mutant("ws-no-frame-across", "the part of a frame at the end of a message is dropped", **OVER)
def _(patch: Patch) -> None:
    on_payload(patch, lambda self, data, begins: b"".join(points.frames_of(data)))


@mutant("ws-first-fragment-only", "only the first fragment of a message is taken", **OVER)
def _(patch: Patch) -> None:
    on_payload(patch, lambda self, data, begins: data if begins else b"")


@mutant("ws-ping-is-payload", "the payload of a WebSocket Ping is taken for the stream", **OVER)
def _(patch: Patch) -> None:
    def take(original: Any, self: Any, frame: Any) -> None:
        if frame.opcode == PING:
            self.received(bytes(frame.data))
        original(self, frame)

    on_frame(patch, take)


@mutant("ws-empty-message-ends", "an empty message ends the connection", **OVER)
def _(patch: Patch) -> None:
    def take(original: Any, self: Any, frame: Any) -> None:
        if frame.opcode == BINARY and frame.fin and not frame.data:
            self.end_input()
        else:
            original(self, frame)

    on_frame(patch, take)


@mutant("ws-text-is-binary", "a text message is taken like a binary one", **OVER)
def _(patch: Patch) -> None:
    def take(original: Any, self: Any, frame: Any) -> None:
        if frame.opcode == TEXT:
            self.received(bytes(frame.data))
        else:
            original(self, frame)

    on_frame(patch, take)


@mutant("ws-text-ends-normally", "a text message ends the connection with code 1000", **OVER)
def _(patch: Patch) -> None:
    def take(original: Any, self: Any, frame: Any) -> None:
        if frame.opcode == TEXT:
            self.end_output()
        original(self, frame)

    on_frame(patch, take)


@mutant("ws-long-before-welcome", "before the Welcome a message may be very long", **OVER)
def _(patch: Patch) -> None:
    on_wrap(patch, lambda limit: MUCH if limit == BEFORE_WELCOME else limit)


@mutant(
    "ws-gathers-pongs", "before the Welcome many Pongs are gathered into a long message", **OVER
)
def _(patch: Patch) -> None:
    from ..server.websocket import WebSocketConnection

    held: dict[Any, bytes] = {}

    def pass_on(original: Any, self: Any, rest: Any) -> None:
        data = held.pop(self, b"") + bytes(rest)
        is_pongs = self.session.member is None and data[5] == Pong.type
        if is_pongs and len(data) <= 2 * BEFORE_WELCOME:
            held[self] = data
        else:
            original(self, data)

    on_wrap(patch, lambda limit: MUCH)
    patch.around(WebSocketConnection, "pass_on", pass_on)


@mutant("ws-long-behind-welcome", "after the Welcome a message may be very long", **OVER)
def _(patch: Patch) -> None:
    on_wrap(patch, lambda limit: limit if limit == BEFORE_WELCOME else MUCH)


@mutant("ws-short-messages-only", "a message of more than 4,100 bytes is too long", **OVER)
def _(patch: Patch) -> None:
    def take(original: Any, self: Any, frame: Any) -> None:
        if len(frame.data) > BEFORE_WELCOME:
            self.fail_with(1009)
        else:
            original(self, frame)

    on_frame(patch, take)


@mutant("ws-unmasked-taken", "a frame without a mask is taken", **OVER)
def _(patch: Patch) -> None:
    def masked(self: Any, chunk: bytes) -> bytes:
        is_short = len(chunk) > 1 and chunk[1] < 126
        return chunk[:1] + bytes([chunk[1] | 0x80, *bytes(4)]) + chunk[2:] if is_short else chunk

    on_chunk(patch, masked)


# ---------------------------------------------------------------- the handshake


@mutant("ws-compresses", "it answers that it compresses, if it is asked to", **OVER)
def _(patch: Patch) -> None:
    def accept(original: Any, self: Any, request: Any) -> Any:
        response = original(self, request)
        if response.status_code == 101 and "Sec-WebSocket-Extensions" in request.headers:
            response.headers["Sec-WebSocket-Extensions"] = "permessage-deflate"
        return response

    on_handshake(patch, accept)


@mutant("ws-first-subprotocol", "it selects the first subprotocol that is offered", **OVER)
def _(patch: Patch) -> None:
    def accept(original: Any, self: Any, request: Any) -> Any:
        response = original(self, request)
        if response.status_code == 101:
            offered = request.headers["Sec-WebSocket-Protocol"].split(",")
            response.headers.pop("Sec-WebSocket-Protocol")
            response.headers["Sec-WebSocket-Protocol"] = offered[0].strip()
        return response

    on_handshake(patch, accept)


@mutant("ws-any-subprotocol", "it accepts a handshake without its subprotocol", **OVER)
def _(patch: Patch) -> None:
    def accept(original: Any, self: Any, request: Any) -> Any:
        if NAME not in request.headers.get("Sec-WebSocket-Protocol", ""):
            request.headers["Sec-WebSocket-Protocol"] = NAME
        return original(self, request)

    on_handshake(patch, accept)


@mutant("ws-any-origin", "a page from anywhere is accepted", **OVER)
def _(patch: Patch) -> None:
    on_fault(patch, lambda fault: "" if fault == "Origin" else fault)


@mutant("ws-any-host", "any Host is accepted", **OVER)
def _(patch: Patch) -> None:
    on_fault(patch, lambda fault: "" if fault == "Host" else fault)


@mutant("ws-refuses-with-401", "a page that is not allowed gets status 401", **OVER)
def _(patch: Patch) -> None:
    from websockets.server import ServerProtocol

    def reject(original: Any, self: Any, status: Any, text: str) -> Any:
        return original(self, HTTPStatus.UNAUTHORIZED, text)

    patch.around(ServerProtocol, "reject", reject)


@mutant("ws-cookie-is-a-name", "a Cookie of the handshake gives a name", **OVER)
def _(patch: Patch) -> None:
    from ..server.websocket import WebSocketConnection

    cookies: dict[Any, str] = {}

    def answer(original: Any, self: Any, request: Any) -> None:
        original(self, request)
        if self.is_open and "user=" in (cookie := request.headers.get("Cookie", "")):
            cookies[self.session] = cookie.partition("user=")[2].partition(";")[0]

    def join(original: Any, self: Any, login: Any, user: str, **how: Any) -> None:
        original(self, login, user or cookies.get(self, ""), **how)

    patch.around(WebSocketConnection, "answer", answer)
    patch.around(Session, "join", join)


# ---------------------------------------------------------------- the end


def leaves_at_a_close(patch: Patch, code: int) -> None:
    """A Close with this code is taken for a Logout."""
    ended: set[Any] = set()

    def take(original: Any, self: Any, frame: Any) -> None:
        if frame.opcode == CLOSE and frame.data[:2] == code.to_bytes(2, "big"):
            ended.add(self.session.member)
        original(self, frame)

    def leave(original: Any, self: Any, member: Any, reason: Any) -> int:
        position: int = original(self, member, LeftReason.LEFT if member in ended else reason)
        ended.discard(member)
        return position

    on_frame(patch, take)
    points.on_leave(patch, leave)


for code in (1000, 1001, 4000):
    mutant(f"ws-close-{code}-is-logout", f"a Close with code {code} is taken for a Logout", **OVER)(
        lambda patch, code=code: leaves_at_a_close(patch, code)  # type: ignore[misc]
    )


@mutant("ws-ends-without-close", "a connection ends without a Close", **OVER)
def _(patch: Patch) -> None:
    from ..server.websocket import WebSocketConnection

    patch.around(WebSocketConnection, "end_output", lambda original, self: None)


@mutant("ws-cuts-behind-its-close", "after its Close it reads no more", **OVER)
def _(patch: Patch) -> None:
    from ..server.websocket import WebSocketConnection

    def end_output(original: Any, self: Any) -> None:
        original(self)
        self.transport.close()

    patch.around(WebSocketConnection, "end_output", end_output)


# ---------------------------------------------------------------- clocks


@mutant("ws-control-is-life", "a control frame of WebSocket ends a silence", **HEARTBEAT)
def _(patch: Patch) -> None:
    def take(original: Any, self: Any, frame: Any) -> None:
        if frame.opcode in (PING, PONG):
            points.last_byte(self.session, self.owner.clock.now())
        original(self, frame)

    on_frame(patch, take)


@mutant("ws-half-a-frame-is-life", "any byte of the socket ends a silence", **HEARTBEAT)
def _(patch: Patch) -> None:
    def heard(self: Any, chunk: bytes) -> bytes:
        points.last_byte(self.session, self.owner.clock.now())
        return chunk

    on_chunk(patch, heard)


@mutant("ws-handshake-renews", "the handshake begins the time to log in anew", **LOGIN)
def _(patch: Patch) -> None:
    def opened(original: Any, self: Any, connection: Connection) -> None:
        connection.began = math.inf
        original(self, connection)

    patch.around(Server, "opened", opened)
