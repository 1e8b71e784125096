"""Stand between clients and a server, and tell what passes.

Rule: bytes go on as they come, both ways, and so do the ends of streams. What is told is told
before it goes on, so that nobody can have read it earlier; nothing here waits for who is told.

Layer: above `conversation`, below the commands.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import Callable
from typing import Any, cast

from ..arguments import spelled
from .conversation import Bytes, Ended, How, Item, Opened, Side

__all__ = ["Proxy"]

BUFFER = 1 << 18
"""Bytes that one read may take."""
HIGH_WATER = 1 << 20
"""Bytes that wait for a reader before its peer is not read any more."""

Tell = Callable[[Item], None]


class Proxy:
    """Listens, and connects each client with the server at `to`.

    `tell` gets what passes, `clock` says when, in seconds. `tls` is what the clients see,
    `tls_to` how the server is reached.
    """

    def __init__(
        self,
        to: tuple[str, int],
        tell: Tell,
        clock: Callable[[], float],
        *,
        tls: ssl.SSLContext | None = None,
        tls_to: ssl.SSLContext | None = None,
    ) -> None:
        self.to = to
        self.tell = tell
        self.clock = clock
        self.tls = tls
        self.tls_to = tls_to
        self.connections = 0
        self._server: asyncio.Server | None = None
        self._open: set[_Pair] = set()

    async def start(self, host: str, port: int) -> int:
        """Listen; gives the port. Raises OSError where that is not possible."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: _Pair(self).client, host, port, ssl=self.tls, backlog=1024
        )
        address: tuple[str, int] = self._server.sockets[0].getsockname()[:2]
        return address[1]

    async def stop(self) -> None:
        """Listen no more, and break the connections that are open."""
        if self._server is not None:
            self._server.close()
        for pair in list(self._open):
            pair.abort()
        await asyncio.sleep(0)

    def opened(self, pair: _Pair) -> int:
        """A client has come; gives its connection's number."""
        self.connections += 1
        self._open.add(pair)
        return self.connections

    def closed(self, pair: _Pair) -> None:
        """Both of its ends are closed."""
        self._open.discard(pair)


class _Pair:
    """A client's connection and the one to the server that was made for it."""

    def __init__(self, proxy: Proxy) -> None:
        self.proxy = proxy
        self.number = 0
        self.client = _End(self, Side.CLIENT)
        self.server = _End(self, Side.SERVER)
        self._connecting: asyncio.Task[None] | None = None

    def other(self, end: _End) -> _End:
        return self.server if end is self.client else self.client

    def begin(self, transport: asyncio.Transport) -> None:
        """The client is there: connect with the server before anything is read of it."""
        proxy = self.proxy
        self.number = proxy.opened(self)
        transport.pause_reading()
        proxy.tell(
            Opened(
                proxy.clock(),
                self.number,
                _spelled(transport.get_extra_info("peername")),
                spelled(*proxy.to),
                secure=proxy.tls is not None,
            )
        )
        self._connecting = asyncio.ensure_future(self._connect())

    async def _connect(self) -> None:
        proxy = self.proxy
        host, port = proxy.to
        loop = asyncio.get_running_loop()
        name = host if proxy.tls_to is not None else None
        try:
            await loop.create_connection(
                lambda: self.server, host, port, ssl=proxy.tls_to, server_hostname=name
            )
        except OSError:
            self.server.ended(How.RESET)
            self.client.reset()
            return
        if self.client.transport is None or self.client.transport.is_closing():
            self.server.reset()
        else:
            self.client.transport.resume_reading()

    def abort(self) -> None:
        """Break both connections."""
        if self._connecting is not None:
            self._connecting.cancel()
        self.client.reset()
        self.server.reset()

    def lost(self) -> None:
        if self.client.is_gone and (self.server.is_gone or self.server.transport is None):
            self.proxy.closed(self)


class _End(asyncio.BufferedProtocol):
    """One of the two connections; what is read of it is its side's stream."""

    def __init__(self, pair: _Pair, side: Side) -> None:
        self.pair = pair
        self.side = side
        self.transport: asyncio.Transport | None = None
        self.is_gone = False
        self._has_ended = False
        self._buffer = memoryview(bytearray(BUFFER))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.transport.set_write_buffer_limits(high=HIGH_WATER)
        sock = transport.get_extra_info("socket")
        if sock.family in (socket.AF_INET, socket.AF_INET6):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.side is Side.CLIENT:
            self.pair.begin(self.transport)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        data = bytes(self._buffer[:nbytes])
        proxy = self.pair.proxy
        proxy.tell(Bytes(proxy.clock(), self.pair.number, self.side, data))
        self.pair.other(self).write(data)

    def write(self, data: bytes) -> None:
        if self.transport is not None and not self.transport.is_closing():
            self.transport.write(data)

    def eof_received(self) -> bool:
        self.ended(How.FIN)
        other = self.pair.other(self).transport
        if other is None:
            return False
        if other.can_write_eof():
            other.write_eof()
            return self.transport is not None and self.transport.can_write_eof()
        other.close()
        return False

    def ended(self, how: How) -> None:
        """Tell that this side's stream has ended; once."""
        if not self._has_ended:
            self._has_ended = True
            proxy = self.pair.proxy
            proxy.tell(Ended(proxy.clock(), self.pair.number, self.side, how))

    def pause_writing(self) -> None:
        source = self.pair.other(self).transport
        if source is not None and not source.is_closing():
            source.pause_reading()

    def resume_writing(self) -> None:
        source = self.pair.other(self).transport
        if source is not None and not source.is_closing():
            source.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_gone = True
        other = self.pair.other(self)
        self.ended(How.FIN if exc is None else How.RESET)
        if exc is not None:
            other.reset()
        elif other.transport is not None and not other.is_gone:
            other.transport.close()
        self.pair.lost()

    def reset(self) -> None:
        """Break this connection, so that its peer sees a reset."""
        if self.transport is None or self.is_gone:
            return
        sock: Any = self.transport.get_extra_info("socket")
        if sock is not None and sock.fileno() >= 0:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()


def _spelled(address: object) -> str:
    if isinstance(address, tuple):
        return spelled(str(address[0]), int(address[1]))
    return str(address or "")
