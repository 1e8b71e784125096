"""Listening sockets, and the sockets that they accept.

Rule: accepting never stops.

After an error it waits and tries again; `logs` limits the lines about it to one in a second.

Layer: below `server`; knows no connection once it is handed over.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from collections.abc import Callable
from contextlib import suppress

from .config import ConfigError
from .logs import log_event

__all__ = ["Listeners", "resolve"]

LOOPBACK = ("127.0.0.1", "::1")
BACKLOG = 1024
ACCEPTS = 16
"""The most connections to accept before other work has its turn."""

RETRY_FIRST, RETRY_MOST = 0.01, 1.0
"""Seconds until the next try after an error, doubling: the first and the longest."""

Accepted = Callable[[socket.socket, str], None]


class Listeners:
    """Listen, and hand over each accepted socket with its peer's address.

    At most `accepts` in one turn of the loop.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, accepted: Accepted, accepts: int = ACCEPTS
    ) -> None:
        self._accepts = accepts
        self._loop = loop
        self._accepted = accepted
        self._sockets: list[socket.socket] = []
        self._retry = RETRY_FIRST

    def open(self, addresses: list[str], port: int) -> int:
        """Listen at all these addresses, and return the port. Raises OSError."""
        self._sockets = listen(addresses, port)
        for listener in self._sockets:
            self._loop.add_reader(listener, self._accept, listener)
        return int(self._sockets[0].getsockname()[1])

    def close(self) -> None:
        """Accept no more."""
        for listener in self._sockets:
            self._loop.remove_reader(listener)
            listener.close()
        self._sockets.clear()

    def _accept(self, listener: socket.socket) -> None:
        for _ in range(self._accepts):
            try:
                sock, address = listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                self._accept_later(listener, error)
                return
            self._retry = RETRY_FIRST
            sock.setblocking(False)
            self._accepted(sock, str(address[0]))

    def _accept_later(self, listener: socket.socket, error: OSError) -> None:
        log_event("accept", level=logging.WARNING, error=error.strerror, retry=self._retry)
        self._loop.remove_reader(listener)
        self._loop.call_later(self._retry, self._accept_again, listener)
        self._retry = min(RETRY_MOST, self._retry * 2)

    def _accept_again(self, listener: socket.socket) -> None:
        if listener in self._sockets:
            self._loop.add_reader(listener, self._accept, listener)


def resolve(host: str) -> list[str]:
    """The addresses to listen on. For `localhost` they are 127.0.0.1 and ::1, if the machine has
    them.

    Raises OSError, or ConfigError if it cannot be the name of a host.
    """
    if host != "localhost":
        try:
            infos = socket.getaddrinfo(
                host or None, 0, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )
        except UnicodeError:  # a part of it is empty, too long, or has no form in DNS
            raise ConfigError("--host: no machine can have such a name") from None
        return list(dict.fromkeys(str(info[4][0]) for info in infos))
    return [address for address in LOOPBACK if is_there(address)] or [LOOPBACK[0]]


def is_there(address: str) -> bool:
    """Whether this machine has the address, and can listen on it."""
    with suppress(OSError):
        socket.create_server((address, 0), family=family_of(address)).close()
        return True
    return False


def family_of(address: str) -> socket.AddressFamily:
    """The family of an address without brackets."""
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def listen(addresses: list[str], port: int) -> list[socket.socket]:
    """Listening sockets. Port 0 takes a port that is free on all addresses. Raises OSError."""
    tries = 1 if port else 16
    for attempt in range(tries):
        sockets: list[socket.socket] = []
        chosen = port
        try:
            for address in addresses:
                sock = socket.create_server(
                    (address, chosen), family=family_of(address), backlog=BACKLOG
                )
                sock.setblocking(False)
                # Accepted sockets inherit it. asyncio sets it only if `proto` is TCP.
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                sockets.append(sock)
                chosen = sock.getsockname()[1]
            return sockets
        except OSError as error:
            for sock in sockets:
                sock.close()
            if error.errno != errno.EADDRINUSE or attempt == tries - 1:
                raise
    raise AssertionError("unreachable: the last try returns or raises")
