"""Write lines to stderr without waiting for whoever reads them.

Rule: a write never blocks. A line goes out whole, or not at all and is counted.

Layer: the ground of `refserver.server`, below `logs`.
"""

from __future__ import annotations

import os
import select
import socket
import stat
from collections.abc import Callable
from contextlib import suppress
from functools import partial

__all__ = ["LineWriter"]

Way = tuple[int, Callable[[bytes], int], Callable[[], None]]
"""A descriptor, how to write to it, and how to give it up."""


DESCRIPTORS = "/proc/self/fd"
"""Where Linux opens a descriptor anew, and does not only copy it."""


class LineWriter:
    """Writes lines to a descriptor; keeps at most one that is written only in part.

    `dropped` counts the lines that were not taken since `take_dropped` was last called.
    """

    def __init__(self, descriptor: int) -> None:
        self.dropped = 0
        self.is_blocked = False
        """The last write would have blocked: `flush` has work when the reader reads on."""
        self.descriptor, self._write, self.close = without_blocking(descriptor)
        self._rest = b""

    def write(self, line: bytes) -> bool:
        """Write a line, or drop it where the one before it still has to go. True: taken."""
        if not self.flush():
            self.dropped += 1
            return False
        self._rest = line
        self.flush()
        return True

    def flush(self) -> bool:
        """Write what is left of a line. True where nothing is left."""
        self.is_blocked = False
        try:
            while self._rest:
                self._rest = self._rest[self._write(self._rest) :]
        except BlockingIOError:
            self.is_blocked = True
        except OSError:  # a full disk, a reader that is gone: there is nobody to tell
            pass
        return not self._rest

    def take_dropped(self) -> int:
        """How many lines were dropped; from here on it counts anew."""
        dropped, self.dropped = self.dropped, 0
        return dropped


def without_blocking(descriptor: int) -> Way:
    """A way to the same file, whose write raises BlockingIOError instead of waiting.

    O_NONBLOCK on stderr itself would hold for everybody who shares it, the shell and its
    other programs too. A pipe and a terminal are opened a second time, a socket is asked
    with each write; a regular file has no reader to wait for.
    """
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISSOCK(mode):
        sock = socket.socket(fileno=os.dup(descriptor))
        return sock.fileno(), lambda data: sock.send(data, socket.MSG_DONTWAIT), sock.close
    if stat.S_ISFIFO(mode) or stat.S_ISCHR(mode):
        flags = os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
        with suppress(OSError):
            second = os.open(f"{DESCRIPTORS}/{descriptor}", flags)
            return second, partial(os.write, second), partial(os.close, second)
        return descriptor, partial(write_if_ready, descriptor), lambda: None
    return descriptor, partial(os.write, descriptor), lambda: None


def write_if_ready(descriptor: int, data: bytes) -> int:
    """Write if the descriptor says that it takes bytes.

    The next best: a terminal that takes some bytes and not all of them blocks.
    """
    ready = select.poll()
    ready.register(descriptor, select.POLLOUT)
    if not ready.poll(0):
        raise BlockingIOError
    return os.write(descriptor, data)
