"""A server whose connections have a tap: `refserver serve --watch`.

Rule: it only makes other connections, of which `Server` knows nothing.

Layer: above `server`, below `process`.
"""

from __future__ import annotations

import socket

from .auth import Auth
from .config import Config
from .connection import BUFFER_BEFORE_LOGIN
from .server import Server
from .tapped import Tap, TappedConnection
from .tls import Tls

__all__ = ["WatchedServer"]


class WatchedServer(Server):
    """A server that tells `tap` what passes."""

    def __init__(self, config: Config, auth: Auth | None, tls: Tls | None, tap: Tap) -> None:
        super().__init__(config, auth, tls)
        self.tap = tap

    def accept(self, sock: socket.socket, address: str) -> None:
        """Accept a connection."""
        buffer = self._buffer[:BUFFER_BEFORE_LOGIN]
        self._begin(TappedConnection(self, address, buffer, self.tap), sock)

    def accept_websocket(self, sock: socket.socket, address: str) -> None:
        """Accept a connection that begins with the handshake of WebSocket."""
        from .websocket import TappedWebSocketConnection

        assert self._websockets is not None, "it listens for them"
        buffer = self._buffer[:BUFFER_BEFORE_LOGIN]
        about = (self, address, buffer, self._websockets, self.clock.now())
        self._begin(TappedWebSocketConnection(*about, self.tap), sock)
