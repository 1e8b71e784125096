"""Connections that tell what passes over them: what `refserver serve --watch` makes.

Rule: a tap is told of bytes before their receiver can have read them.

Nothing waits for the tap. A server without a tap makes none of these connections, and its own
connections know nothing of them.

Layer: above `connection`, below `websocket` and `server`.
"""

from __future__ import annotations

from typing import Protocol

from ..arguments import spelled
from .connection import Connection, Owner

__all__ = ["Tap", "Tapped", "TappedConnection"]


class Tap(Protocol):
    """Who is told what passes."""

    def listening(self, host: str, port: int, *, secure: bool) -> None:
        """The server listens there; `secure` with TLS."""
        ...

    def opened(self, client: str, *, secure: bool) -> int:
        """A session begins; `client` is HOST:PORT. Returns the number of the connection."""
        ...

    def received(self, number: int, data: bytes) -> None:
        """The client has sent these bytes."""
        ...

    def sent(self, number: int, data: bytes) -> None:
        """The server sends these bytes."""
        ...

    def ended(self, number: int, *, of_client: bool, reset: bool) -> None:
        """The stream of one side has ended."""
        ...


class Tapped(Connection):
    """A connection with a tap; over WebSocket the tap gets the payloads.

    All that is written goes through `pass_on`: there is no descriptor to write to directly.
    """

    tap: Tap
    number = 0
    _halves = False
    _aborted = False
    _told_of_client = _told_of_server = False

    def begin(self) -> None:
        self._halves = super().half_closes
        self.descriptor = -1
        peer = self.transport.get_extra_info("peername")
        secure = self.transport.get_extra_info("sslcontext") is not None
        client = spelled(self.address, peer[1] if isinstance(peer, tuple) else 0)
        self.number = self.tap.opened(client, secure=secure)
        super().begin()

    @property
    def half_closes(self) -> bool:
        return self._halves

    def received(self, data: bytes) -> None:
        self.tap.received(self.number, data)
        super().received(data)

    def pass_on(self, rest: bytes | memoryview) -> None:
        self.tap.sent(self.number, bytes(rest))
        super().pass_on(rest)

    def eof_received(self) -> bool:
        if self.number:
            self._client_ended(reset=False)
        return super().eof_received()

    def end_output(self) -> None:
        super().end_output()
        if self.number:
            self._server_ended(reset=False)

    def abort(self) -> None:
        self._aborted = True
        super().abort()

    def connection_lost(self, exc: Exception | None) -> None:
        if self.number:
            self._client_ended(reset=exc is not None)
            self._server_ended(reset=exc is not None or self._aborted)
        super().connection_lost(exc)

    def _client_ended(self, *, reset: bool) -> None:
        if not self._told_of_client:
            self._told_of_client = True
            self.tap.ended(self.number, of_client=True, reset=reset)

    def _server_ended(self, *, reset: bool) -> None:
        if not self._told_of_server:
            self._told_of_server = True
            self.tap.ended(self.number, of_client=False, reset=reset)


class TappedConnection(Tapped):
    """A connection over TCP or TLS with a tap."""

    def __init__(self, owner: Owner, address: str, buffer: memoryview, tap: Tap) -> None:
        super().__init__(owner, address, buffer)
        self.tap = tap
