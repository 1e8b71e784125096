"""Write lines to stderr without waiting for its reader.

Rule: a write never blocks.

Layer: the bottom layer of `refserver.server`, below `logs`.
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
"""A descriptor, the function to write to it, and the function to close it."""


DESCRIPTORS = "/proc/self/fd"
"""On Linux, the path that opens a descriptor again instead of copying it."""


class LineWriter:
    """Writes lines to a descriptor, and keeps at most one that is written in part.

    A line is written whole, or dropped and counted.

    `dropped` counts the dropped lines since the last `take_dropped`.
    """

    def __init__(self, descriptor: int) -> None:
        self.dropped = 0
        self.is_blocked = False
        """The last write would have blocked: call `flush` when the reader continues."""
        self.descriptor, self._write, self.close = without_blocking(descriptor)
        self._rest = b""

    def write(self, line: bytes) -> bool:
        """Write a line, or drop it if the line before it is not finished. True if it was taken."""
        if not self.flush():
            self.dropped += 1
            return False
        self._rest = line
        self.flush()
        return True

    def flush(self) -> bool:
        """Write the rest of a line. True if nothing is left."""
        self.is_blocked = False
        try:
            while self._rest:
                self._rest = self._rest[self._write(self._rest) :]
        except BlockingIOError:
            self.is_blocked = True
        except OSError:  # a full disk, or a reader that is gone: it cannot be reported
            pass
        return not self._rest

    def take_dropped(self) -> int:
        """The number of dropped lines. Restarts the count."""
        dropped, self.dropped = self.dropped, 0
        return dropped


def without_blocking(descriptor: int) -> Way:
    """Another way to the same file: its write raises BlockingIOError instead of waiting.

    O_NONBLOCK on stderr itself would affect all programs that share it, for example the shell. A
    pipe and a terminal are opened a second time. A socket gets a flag with each write. A regular
    file has no reader to wait for.
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
    """Write if the descriptor reports that it takes bytes.

    This is not perfect: a terminal that takes only some of the bytes blocks.
    """
    ready = select.poll()
    ready.register(descriptor, select.POLLOUT)
    if not ready.poll(0):
        raise BlockingIOError
    return os.write(descriptor, data)
