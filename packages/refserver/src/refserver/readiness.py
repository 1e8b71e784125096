"""Wait until something can be read or written, by what every system has.

Rule: what is waited for is a socket or a descriptor that this system can wait for; a pipe or
a terminal on Windows is none, and `source` makes one of it.

Layer: the bottom layer of refserver; the client commands and the kit wait by it.
"""

from __future__ import annotations

import os
import selectors
import socket
import ssl
import threading
from collections.abc import Mapping
from contextlib import suppress
from typing import IO, Any, Protocol

__all__ = ["NOT_NOW", "READ", "WRITE", "Source", "ready", "source"]

READ, WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE
NOT_NOW = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)
"""What a socket raises that does not wait, in plain text or in TLS."""
WAITS_FOR_PIPES = hasattr(selectors, "PollSelector")
"""False on Windows, where only sockets can be waited for."""
# Unlike epoll it takes regular files too, and needs no descriptor of its own.
Selector: type[selectors.BaseSelector] = getattr(
    selectors, "PollSelector", selectors.SelectSelector
)
CHUNK = 1 << 16


def ready(wanted: Mapping[int, int], seconds: float | None) -> set[int]:
    """The descriptors that are ready, of those wanted for READ, WRITE or both of them.

    Empty after so many seconds; None waits without an end.
    """
    if not wanted and not WAITS_FOR_PIPES:  # Windows refuses to wait for nothing
        threading.Event().wait(seconds)
        return set()
    with Selector() as selector:
        for descriptor, events in wanted.items():
            selector.register(descriptor, events)
        return {key.fd for key, _ in selector.select(seconds)}


class Source(Protocol):
    """A stream of bytes that can be waited for by the descriptor `fd`."""

    fd: int

    def read(self, size: int) -> bytes:
        """At most `size` bytes; empty at the end. Waits if there are none yet."""
        ...

    def close(self) -> None:
        """Read no more."""
        ...


def source(file: IO[Any]) -> Source:
    """The bytes of a file, a pipe or a terminal, as something that can be waited for."""
    return _Descriptor(file) if WAITS_FOR_PIPES else _Pumped(file)


class _Descriptor:
    def __init__(self, file: IO[Any]) -> None:
        self.fd: int = file.fileno()
        self.close = file.close

    def read(self, size: int) -> bytes:
        return os.read(self.fd, size)


class _Pumped:
    """A thread reads, and writes into a socket that is waited for."""

    def __init__(self, file: IO[Any]) -> None:
        self._sock, end = socket.socketpair()
        self.fd = self._sock.fileno()
        self.close = self._sock.close
        threading.Thread(target=self._pump, args=(file, end), daemon=True).start()

    def read(self, size: int) -> bytes:
        return self._sock.recv(size)

    @staticmethod
    def _pump(file: IO[Any], end: socket.socket) -> None:
        # It is closed here: to close it elsewhere, while a read waits, would wait too.
        with end, file, suppress(OSError):
            while data := os.read(file.fileno(), CHUNK):
                end.sendall(data)
