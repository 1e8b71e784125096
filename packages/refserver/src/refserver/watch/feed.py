"""Items as bytes, from the process that forwards to the one that judges.

Rule: the process that forwards never waits. What does not fit is dropped, and becomes a gap.

Layer: above `conversation`, below `proxy`'s commands.
"""

from __future__ import annotations

import json
import os
import struct
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from typing import IO

from .conversation import Bytes, Did, Ended, Item, Missing, Opened, Side
from .recording import item_of, written

__all__ = ["Feed", "items_fed"]

HEAD = struct.Struct(">BdII")
"""What it is, when, the connection's number, and the size of what follows."""
CLIENT_BYTES, SERVER_BYTES, OTHER = 0, 1, 2
MOST = 64 << 20
"""Bytes that wait for the judge; more are dropped."""
AT_ONCE = 64
PIPE = 1 << 20
"""Bytes that the pipe is to hold, where the system lets it: fewer wakes of both processes."""


class Feed:
    """Writes items into a pipe that does not block.

    `write` is to be called again when the pipe is writable, as long as `is_waiting`.
    """

    def __init__(self, fd: int) -> None:
        self.dropped = 0
        """Bytes of conversations that the judge was not given."""
        self.fd = fd
        os.set_blocking(fd, False)
        # Other systems have no such size, or no such module; and this user may not have so much.
        with suppress(ImportError, AttributeError, OSError):
            import fcntl

            fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, PIPE)
        self._waiting: deque[bytes] = deque()
        self._size = 0
        self._gaps: dict[tuple[int, Side], int] = {}
        self._broken = False

    @property
    def is_waiting(self) -> bool:
        """Whether something is to be written."""
        return bool(self._waiting)

    def take(self, item: Item) -> None:
        """An item, if there is room for it."""
        if isinstance(item, Bytes):
            key = item.connection, item.side
            if self._size > MOST or key in self._gaps:
                if self._size > MOST:
                    self._gaps[key] = self._gaps.get(key, 0) + len(item.data)
                    self.dropped += len(item.data)
                    return
                gap = Missing(item.at, item.connection, item.side, self._gaps.pop(key))
                self._put(OTHER, gap.at, gap.connection, _encoded(gap))
            kind = CLIENT_BYTES if item.side is Side.CLIENT else SERVER_BYTES
            self._put(kind, item.at, item.connection, item.data)
            return
        if isinstance(item, Ended) and (item.connection, item.side) in self._gaps:
            size = self._gaps.pop((item.connection, item.side))
            gap = Missing(item.at, item.connection, item.side, size)
            self._put(OTHER, gap.at, gap.connection, _encoded(gap))
        # The others are few and small, and without them nothing could be understood.
        self._put(OTHER, item.at, item.connection, _encoded(item))

    def _put(self, kind: int, at: float, connection: int, data: bytes) -> None:
        self._waiting.append(HEAD.pack(kind, at, connection, len(data)))
        self._waiting.append(data)
        self._size += HEAD.size + len(data)

    def write(self) -> None:
        """Write what the pipe takes now."""
        if self._broken:
            self._waiting.clear()
            self._size = 0
        while self._waiting:
            pieces = [self._waiting[n] for n in range(min(AT_ONCE, len(self._waiting)))]
            try:
                taken = os.writev(self.fd, pieces)
            except BlockingIOError:
                return
            except BrokenPipeError:
                self._broken = True  # the judge has ended; forwarding goes on
                self._waiting.clear()
                self._size = 0
                return
            self._size -= taken
            while self._waiting and taken >= len(self._waiting[0]):
                taken -= len(self._waiting.popleft())
            if taken:
                self._waiting[0] = self._waiting[0][taken:]


def _encoded(item: Opened | Missing | Ended | Did) -> bytes:
    return json.dumps(written(item)).encode()


def items_fed(file: IO[bytes]) -> Iterator[Item]:
    """The items that a feed wrote, to its end."""
    while len(head := file.read(HEAD.size)) == HEAD.size:
        kind, at, connection, size = HEAD.unpack(head)
        data = file.read(size)
        if len(data) < size:
            return
        if kind == OTHER:
            yield item_of(json.loads(data))
        else:
            side = Side.CLIENT if kind == CLIENT_BYTES else Side.SERVER
            yield Bytes(at, connection, side, data)
