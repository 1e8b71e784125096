"""Streams over WebSocket, of the kit as a client and as a server. Section 16 of the specification.

Rule: a stream's bytes are the payload of binary messages, and it says so by the bytes alone: a
message holds what one `send` was given, at most what is allowed before a Welcome. A Close is the
end of both directions, so that nothing here half-closes.

Layer: above `streams`. Needs `websockets`, which the extra `ws` installs.
"""

from __future__ import annotations

import errno
import logging
import socket
import ssl
from contextlib import suppress
from functools import partial

from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.http11 import Request, Response
from websockets.protocol import OPEN, SEND_EOF, SERVER, Protocol
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol
from websockets.uri import parse_uri

from ..arguments import spelled
from ..readiness import WRITE
from .streams import CHUNK, NOT_NOW, Stream, Wrap

__all__ = ["WebSocketStream", "accepted", "over_websocket"]

SUBPROTOCOL = Subprotocol("event-protocol.1")
MOST = 4_100
"""Bytes of a message: what everybody takes at any time. EP-16.1-5."""
LARGEST = 64 << 20
"""Bytes of a message that comes; no case needs so many."""

_SILENT = logging.Logger("websockets", logging.CRITICAL + 1)


class WebSocketStream(Stream):
    """A WebSocket whose handshake is done, over TCP or TLS."""

    half_closes = False
    transport = "WebSocket"

    def __init__(self, sock: socket.socket, ws: Protocol, early: list[object]) -> None:
        super().__init__(sock)
        self._ws = ws
        self._came = bytearray()
        self._out = bytearray()
        self._is_over = self._ends = False
        self._take(early)

    def send(self, data: memoryview) -> int:
        """Put the beginning of it into a message; returns how many bytes that were."""
        self._flush()
        if self._ws.state is not OPEN:
            raise BrokenPipeError(errno.EPIPE, "the WebSocket is closing")
        part = bytes(data[:MOST])
        self._ws.send_binary(part)
        self._write()
        return len(part)

    def receive(self) -> bytes:
        """What came. A peer that is gone takes no Close, but what it said before still counts."""
        with suppress(OSError):
            self._flush()
        while not (self._came or self._is_over):
            if data := super().receive():
                self._ws.receive_data(data)
                self._take(list(self._ws.events_received()))
                with suppress(OSError):
                    self._write()
            else:
                self._is_over = True
            if self._ws.parser_exc is not None:
                raise OSError(errno.EPROTO, f"no WebSocket: {self._ws.parser_exc}")
        came = bytes(self._came)
        self._came.clear()
        return came

    @property
    def has_data(self) -> bool:
        pending = isinstance(self._sock, ssl.SSLSocket) and self._sock.pending() > 0
        return bool(self._came) or self._is_over or pending

    def interest(self, events: int) -> int:
        return events | WRITE if self._out else events

    def end(self) -> None:
        """Send a Close: the end of both directions. A server ends its TCP stream with it."""
        if self._ws.state is OPEN:
            self._ws.send_close(1000)
            self._ends = self._ws.side is SERVER
            self._write()

    def _take(self, events: list[object]) -> None:
        for event in events:
            if not isinstance(event, Frame):
                continue
            if event.opcode is Opcode.TEXT:
                raise OSError(errno.EPROTO, "a text message")
            if event.opcode in (Opcode.BINARY, Opcode.CONT):
                self._came += event.data
            elif event.opcode is Opcode.CLOSE:
                self._is_over = True

    def _write(self) -> None:
        data = self._ws.data_to_send()
        self._ends |= SEND_EOF in data  # a server closes first, when both have sent a Close
        self._out += b"".join(data)
        with suppress(*NOT_NOW):
            self._flush()

    def _flush(self) -> None:
        while self._out:
            del self._out[: self._sock.send(self._out)]
        if self._ends:
            self._ends = False
            super().end()


def over_websocket(
    host: str, port: int, path: str = "/", tls: ssl.SSLContext | None = None
) -> Wrap:
    """What makes a connected socket a WebSocket, over TLS where a context is given."""
    url = f"{'wss' if tls else 'ws'}://{spelled(host, port)}{path or '/'}"
    return partial(_opened, url=url, host=host, tls=tls)


def _opened(sock: socket.socket, url: str, host: str, tls: ssl.SSLContext | None) -> Stream:
    """Ask the server for WebSocket. Raises OSError where it does not agree. EP-16.2-3."""
    if tls is not None:
        sock = tls.wrap_socket(sock, server_hostname=host)
    ws = ClientProtocol(
        parse_uri(url), subprotocols=[SUBPROTOCOL], max_size=LARGEST, logger=_SILENT
    )
    ws.send_request(ws.connect())
    sock.sendall(b"".join(ws.data_to_send()))
    response, early = _awaited(sock, ws)
    if ws.handshake_exc is not None:
        status = f"; status {response.status_code}" if isinstance(response, Response) else ""
        raise ConnectionRefusedError(errno.ECONNREFUSED, f"{ws.handshake_exc}{status}")
    if ws.subprotocol != SUBPROTOCOL:
        raise ConnectionRefusedError(errno.ECONNREFUSED, f"did not select {SUBPROTOCOL}")
    return WebSocketStream(sock, ws, early)


def accepted(sock: socket.socket) -> Stream:
    """Answer a client that asks for WebSocket. Raises OSError where it does not. EP-16.2-1."""
    ws = ServerProtocol(subprotocols=[SUBPROTOCOL], max_size=LARGEST, logger=_SILENT)
    request, early = _awaited(sock, ws)
    if isinstance(request, Request):
        ws.send_response(ws.accept(request))
    sock.sendall(b"".join(ws.data_to_send()))
    if ws.state is not OPEN:
        raise ConnectionRefusedError(errno.ECONNREFUSED, f"no handshake: {ws.handshake_exc}")
    return WebSocketStream(sock, ws, early)


def _awaited(sock: socket.socket, ws: Protocol) -> tuple[object, list[object]]:
    """The other side's half of the handshake, and what came behind it. Raises OSError."""
    events: list[object] = []
    while not events and ws.handshake_exc is None:
        if data := sock.recv(CHUNK):
            ws.receive_data(data)
        else:
            raise ConnectionResetError(errno.ECONNRESET, "it closed in the handshake")
        events += ws.events_received()
    return (events or [None])[0], events[1:]
