"""How the kit reaches a server: a TCP connection, TLS over one, or another transport's stream.

Rule: what differs between transports is here, and nowhere above. A stream does not block: it
raises one of `NOT_NOW` where it would have to wait. Another transport is another `Stream`.

Layer: the bottom layer of the kit.
"""

from __future__ import annotations

import errno
import socket
import ssl
import struct
import time
from collections.abc import Callable

from ..readiness import NOT_NOW, READ, ready

__all__ = ["CHUNK", "NOT_NOW", "NotUpgraded", "Stream", "TlsStream", "Wrap", "dial", "over_tls"]

CHUNK = 1 << 18

Wrap = Callable[[socket.socket], "Stream"]
"""Makes a connected socket a stream of another transport. Raises OSError."""


class NotUpgraded(ConnectionRefusedError):
    """The server did not agree to WebSocket; `status` is that of its answer, 0 without one."""

    def __init__(self, reason: str, status: int) -> None:
        super().__init__(errno.ECONNREFUSED, reason)
        self.status = status


class Stream:
    """A connected TCP socket."""

    half_closes = True
    """Whether one's own direction can end alone."""
    transport = "TCP"

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._sock = sock

    def fileno(self) -> int:
        return self._sock.fileno()

    def send(self, data: memoryview) -> int:
        """Write what is taken at once; returns how many bytes that was. Raises OSError."""
        return self._sock.send(data)

    def receive(self) -> bytes:
        """What has come; empty at the end of the stream. Raises OSError."""
        return self._sock.recv(CHUNK)

    @property
    def has_data(self) -> bool:
        """Whether `receive` has something, though the socket has not."""
        return False

    def wait(self, deadline: float, events: int) -> bool:
        """Wait until the stream is ready for one of these; False at the deadline."""
        if events & READ and self.has_data:
            return True
        left = max(0.0, deadline - time.monotonic())
        return bool(ready({self.fileno(): self.interest(events)}, left))

    def interest(self, events: int) -> int:
        """What the descriptor is to be ready for, where the stream is to be for these."""
        return events

    def end(self) -> None:
        """End one's own direction. Raises OSError."""
        # An SSLSocket's own shutdown would give up TLS, and nothing could be read any more.
        socket.socket.shutdown(self._sock, socket.SHUT_WR)

    def reset(self) -> None:
        """Break the connection: the other side gets a TCP reset."""
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._sock.close()

    def close(self) -> None:
        self._sock.close()


class TlsStream(Stream):
    """TLS over TCP."""

    half_closes = False
    transport = "TLS"

    def __init__(self, sock: ssl.SSLSocket) -> None:
        super().__init__(sock)
        self._tls = sock

    @property
    def has_data(self) -> bool:
        return self._tls.pending() > 0


def over_tls(context: ssl.SSLContext, host: str) -> Wrap:
    """What makes a connected socket speak TLS with this host."""
    return lambda sock: TlsStream(context.wrap_socket(sock, server_hostname=host))


def dial(
    address: tuple[str, int],
    timeout: float,
    *,
    wrap: Wrap | None = None,
    receive_buffer: int = 0,
) -> Stream:
    """Connect to this address. `receive_buffer` in bytes, 0 for the usual. Raises OSError."""
    family = socket.getaddrinfo(*address, type=socket.SOCK_STREAM)[0][0]
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        if receive_buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.settimeout(timeout)
        sock.connect(address)
        return (wrap or Stream)(sock)
    except OSError:
        sock.close()
        raise
