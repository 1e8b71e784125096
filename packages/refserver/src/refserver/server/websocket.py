"""The WebSocket binding: the payload of binary messages is the stream of a connection.

Rule: it changes only the wrapping of bytes.

The session handles their meaning, as on every connection. `websockets` handles the WebSocket
protocol. Section 16 of docs/protocol.md.

Layer: above `connection`, below `server`. Needs `websockets`, which the extra `ws` installs.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from http import HTTPStatus

from websockets.frames import CloseCode, Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import OPEN
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from eventcodec.limits import LENGTH_SIZE, MAX_FRAME_BEFORE_WELCOME, SENDER_ALLOWANCE

from .connection import Connection, Owner
from .tapped import Tap, Tapped

__all__ = [
    "SUBPROTOCOL",
    "Rejected",
    "TappedWebSocketConnection",
    "WebSocketConnection",
    "WebSockets",
]

SUBPROTOCOL = Subprotocol("event-protocol.1")
MOST_HEAD = 8_192
"""The most bytes of a handshake request."""
MOST_BEFORE_WELCOME = LENGTH_SIZE + MAX_FRAME_BEFORE_WELCOME
"""The most bytes of a message before the Welcome. EP-16.1-5."""
MOST_HELD = 2 * MOST_BEFORE_WELCOME
"""The most bytes of a message that is not whole, before login."""

_SILENT = logging.Logger("websockets", logging.CRITICAL + 1)
"""Its own log would be a second one. The server's log has the important events."""


class Rejected(Exception):
    """The handshake was refused; `reason` is for the log."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(slots=True)
class WebSockets:
    """What the WebSocket connections of one server share: the allowed hosts and pages, and the last
    wrapped bytes.

    `hosts` are the names of this server, `origins` the pages that may use it.
    """

    hosts: frozenset[str]
    origins: frozenset[str]
    _data: bytes | memoryview = b""
    _most: int = 0
    _wrapped: bytes = field(default=b"", repr=False)

    def wrap(self, data: bytes | memoryview, most: int) -> bytes:
        """These bytes as binary messages of at most `most` bytes each.

        In a fan-out all members get the same object: it is wrapped once.

        >>> WebSockets(frozenset(), frozenset()).wrap(b"hello", 4).hex(" ")
        '82 04 68 65 6c 6c 82 01 6f'
        """
        if data is not self._data or most != self._most:
            parts = (data[at : at + most] for at in range(0, len(data), most))
            frames = (Frame(Opcode.BINARY, part).serialize(mask=False) for part in parts)
            self._wrapped = b"".join(frames)
            self._data, self._most = data, most
        return self._wrapped

    def error_of(self, request: Request) -> str:
        """Why this handshake is not accepted, or "". EP-16.2-4, EP-16.2-5.

        An IP address is always allowed: no page can make a name of its own look like one.
        """
        hosts = request.headers.get_all("Host")
        if len(hosts) != 1 or not self._is_ours(hosts[0]):
            return "Host"
        origins = request.headers.get_all("Origin")
        return "Origin" if any(each not in self.origins for each in origins) else ""

    def _is_ours(self, host: str) -> bool:
        name, colon, port = host.rpartition(":")
        if not colon or not port.isdecimal():
            name = host
        try:
            ipaddress.ip_address(name.strip("[]"))
        except ValueError:
            return name.lower() in self.hosts
        return True


class WebSocketConnection(Connection):
    """A connection over WebSocket. It has no session until the handshake is done.

    A Close is the end of both streams, like the end of a TLS stream: bytes that are not written
    then are never written. EP-16.3-1.
    """

    has_handshake = True

    def __init__(
        self, owner: Owner, address: str, buffer: memoryview, shared: WebSockets, began: float
    ) -> None:
        super().__init__(owner, address, buffer)
        self.began = began
        self._shared = shared
        self._ws = ServerProtocol(
            subprotocols=[SUBPROTOCOL],
            max_size=LENGTH_SIZE + owner.config.max_frame,
            logger=_SILENT,
        )
        self._upgraded: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._rejected = ""
        self._held = 0
        self._most = MOST_BEFORE_WELCOME

    # ------------------------------------------------------------- the handshake

    async def ready(self) -> None:
        """Wait until there is a session. Raises Rejected."""
        try:
            await self._upgraded
        except asyncio.CancelledError:
            self.transport.abort()
            raise

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.attach(transport)

    def answer(self, request: Request) -> None:
        reason = self._shared.error_of(request)
        if reason:
            response = self._ws.reject(HTTPStatus.FORBIDDEN, f"{reason} is not allowed here\n")
        else:
            response = self._ws.accept(request)
            reason = "" if response.status_code == HTTPStatus.SWITCHING_PROTOCOLS else "handshake"
        self._ws.send_response(response)
        self._flush()
        if reason:
            self._reject(reason)
        else:
            self._upgraded.set_result(None)
            self.begin()

    def _reject(self, reason: str) -> None:
        self._rejected = reason
        self.transport.close()

    # ------------------------------------------------------------- reading

    def buffer_updated(self, nbytes: int) -> None:
        ws = self._ws
        ws.receive_data(bytes(self.buffer[:nbytes]))
        events = ws.events_received()
        self._held = 0 if events else self._held + nbytes
        for event in events:
            if self.eof or self._rejected:
                return
            if isinstance(event, Request):
                self.answer(event)
            elif isinstance(event, Frame):
                self.take(event)
        self._flush()
        if not self.is_open:
            if ws.handshake_exc is not None or self._held > MOST_HEAD:
                self._reject("handshake")
        elif ws.eof_sent:  # a Close, or bytes that are not WebSocket
            self.end_input()
        elif self._held > MOST_HELD and self.session.member is None:
            self.fail_with(CloseCode.MESSAGE_TOO_BIG)

    def take(self, frame: Frame) -> None:
        """The bytes of one frame; a control frame has none. EP-16.1-3."""
        if frame.opcode is Opcode.TEXT:
            self.fail_with(CloseCode.UNSUPPORTED_DATA)
        elif frame.opcode in (Opcode.BINARY, Opcode.CONT) and frame.data:
            self.received(bytes(frame.data))

    def eof_received(self) -> bool:
        if self.is_open:
            self.end_input()
        return False

    def fail_with(self, code: CloseCode) -> None:
        self._ws.fail(code)
        self._flush()
        self.end_input()

    def end_input(self) -> None:
        """No more bytes in either direction."""
        if not self.eof:
            super().eof_received()
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if self.is_open:
            super().connection_lost(exc)
        elif not self._upgraded.done():
            self._upgraded.set_exception(Rejected(self._rejected or "lost"))

    # ------------------------------------------------------------- writing

    def write(self, data: bytes | memoryview) -> None:
        self.owner.counters.bytes_out += len(data)
        self.pass_on(data)

    def pass_on(self, rest: bytes | memoryview) -> None:
        """Wrap and write, if no Close was sent."""
        if self._ws.state is OPEN:
            super().pass_on(self._shared.wrap(rest, self._most))
            if self.session.member is not None:
                self._most = LENGTH_SIZE + self.owner.config.max_frame + SENDER_ALLOWANCE

    def _flush(self) -> None:
        """Write the frames of the WebSocket protocol. A Pong is left out if the client does not
        read."""
        data = b"".join(self._ws.data_to_send())
        if data and (self.writable or self._ws.state is not OPEN):
            self.transport.write(data)

    def end_output(self) -> None:
        """Send a Close after the last frame. EP-16.3-2."""
        if self._ws.state is OPEN:
            self._ws.send_close(CloseCode.NORMAL_CLOSURE)
            self._flush()

    def close(self) -> None:
        self.end_output()
        super().close()


class TappedWebSocketConnection(Tapped, WebSocketConnection):
    """A connection over WebSocket with a tap."""

    def __init__(
        self,
        owner: Owner,
        address: str,
        buffer: memoryview,
        shared: WebSockets,
        began: float,
        tap: Tap,
    ) -> None:
        WebSocketConnection.__init__(self, owner, address, buffer, shared, began)
        self.tap = tap


def names(listed: str) -> Iterable[str]:
    """The entries of a list that is separated by commas.

    >>> list(names(" a.example, b.example "))
    ['a.example', 'b.example']
    """
    return filter(None, (each.strip() for each in listed.split(",")))
