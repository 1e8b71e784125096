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
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace

from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.http11 import Request, Response
from websockets.protocol import OPEN, SEND_EOF, SERVER, Protocol
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol
from websockets.uri import parse_uri

from ..arguments import spelled
from ..readiness import READ, WRITE, ready
from .streams import CHUNK, NOT_NOW, NotUpgraded, Stream

__all__ = [
    "OverWebSocket",
    "WebSocketStream",
    "accepted",
    "accepted_without_subprotocol",
    "over_websocket",
]

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
        self._size = 0
        self.answers_close = True
        """Whether the peer's Close is answered by one at once."""
        self.sizes: list[int] = []
        """Bytes of each message that has come whole."""
        self._take(early)

    @property
    def close_code(self) -> int | None:
        """The code of the peer's Close, or None while none has come."""
        return None if self._ws.close_rcvd is None else int(self._ws.close_rcvd.code)

    def put(self, frames: bytes) -> None:
        """Write these bytes as they are, for example a frame that nobody may send."""
        self._out += frames
        with suppress(*NOT_NOW):
            self._flush()

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

    def end(self, code: int = 1000) -> None:
        """Send a Close: the end of both directions. A server ends its TCP stream with it."""
        if self._ws.state is OPEN:
            self._ws.send_close(code)
            self._ends = self._ws.side is SERVER
            self._write()

    def ended_in_order(self, deadline: float) -> bool:
        """Read to the end of the TCP stream. Returns False for a reset, and at the deadline."""
        try:
            while ready({self.fileno(): READ}, max(0.0, deadline - time.monotonic())):
                with suppress(*NOT_NOW):
                    if not super().receive():
                        return not self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        except OSError:
            pass
        return False

    def _take(self, events: list[object]) -> None:
        for event in events:
            if not isinstance(event, Frame):
                continue
            if event.opcode is Opcode.TEXT:
                raise OSError(errno.EPROTO, "a text message")
            if event.opcode in (Opcode.BINARY, Opcode.CONT):
                self._came += event.data
                self._size += len(event.data)
                if event.fin:
                    self.sizes.append(self._size)
                    self._size = 0
            elif event.opcode is Opcode.CLOSE:
                self._is_over = True

    def _write(self) -> None:
        data = self._ws.data_to_send()
        if self._ws.close_rcvd is not None and not self.answers_close:
            return
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


@dataclass(frozen=True, slots=True)
class OverWebSocket:
    """Makes a connected socket a WebSocket of this URL, over TLS where a context is given.

    `headers` replace those of the request; None takes one out.
    """

    url: str
    host: str
    tls: ssl.SSLContext | None = None
    headers: Mapping[str, str | None] = field(default_factory=dict)

    def asking(self, **headers: str | None) -> OverWebSocket:
        """The same with other headers; `_` in a name stands for `-`."""
        return replace(self, headers={name.replace("_", "-"): v for name, v in headers.items()})

    def __call__(self, sock: socket.socket) -> Stream:
        """Ask the server for WebSocket. Raises OSError where it does not agree. EP-16.2-3."""
        if self.tls is not None:
            sock = self.tls.wrap_socket(sock, server_hostname=self.host)
        try:
            return self._upgraded(sock)
        except OSError:
            sock.close()
            raise

    def _upgraded(self, sock: socket.socket) -> Stream:
        ws = ClientProtocol(
            parse_uri(self.url), subprotocols=[SUBPROTOCOL], max_size=LARGEST, logger=_SILENT
        )
        request = ws.connect()
        for name, value in self.headers.items():
            request.headers.pop(name, None)
            if value is not None:
                request.headers[name] = value
        ws.send_request(request)
        sock.sendall(b"".join(ws.data_to_send()))
        response, early = _awaited(sock, ws)
        status = response.status_code if isinstance(response, Response) else 0
        if ws.handshake_exc is not None:
            told = f"; status {status}" if status else ""
            raise NotUpgraded(f"{ws.handshake_exc}{told}", status)
        if ws.subprotocol != SUBPROTOCOL:
            raise NotUpgraded(f"did not select {SUBPROTOCOL}", status)
        return WebSocketStream(sock, ws, early)


def over_websocket(
    host: str, port: int, path: str = "/", tls: ssl.SSLContext | None = None
) -> OverWebSocket:
    """What makes a connected socket a WebSocket with this server."""
    url = f"{'wss' if tls else 'ws'}://{spelled(host, port)}{path or '/'}"
    return OverWebSocket(url, host, tls)


def accepted(sock: socket.socket) -> Stream:
    """Answer a client that asks for WebSocket. Raises OSError where it does not. EP-16.2-1."""
    return _accepted(sock, [SUBPROTOCOL])


def accepted_without_subprotocol(sock: socket.socket) -> Stream:
    """Answer as a server that does not know the subprotocol: it selects none. EP-16.2-3."""
    return _accepted(sock, None)


def _accepted(sock: socket.socket, subprotocols: list[Subprotocol] | None) -> Stream:
    ws = ServerProtocol(subprotocols=subprotocols, max_size=LARGEST, logger=_SILENT)
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
