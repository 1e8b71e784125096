"""Many clients in few lines, also for a process of its own, where their cost counts for nobody.

Rule: what comes is judged by its positions alone, beside docs/protocol.md as in raw.py, so
that millions of frames cost seconds.
"""

from __future__ import annotations

import os
import selectors
import signal
import struct
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress

from tests.support.raw import (
    ACK,
    DEADLINE,
    HEADER,
    PING,
    PONG,
    Client,
    ErrorReply,
    error_of,
    frame,
    message,
)

GO = b"<go>"
"""What starts the talking."""
CHUNK = 1 << 18
BOTH = selectors.EVENT_READ | selectors.EVENT_WRITE
POSITION = struct.Struct(">Q")


@contextmanager
def crowd(port: int, count: int) -> Iterator[list[Client]]:
    """So many connections."""
    with ExitStack() as stack:
        yield [stack.enter_context(Client(port)) for _ in range(count)]


def drip(clients: Sequence[Client], data: bytes, every: float) -> Iterator[list[ErrorReply]]:
    """Send a byte of this to each every so many seconds, and give how those ended that did.

    Ends with the last of them, or with the data.
    """
    with selectors.DefaultSelector() as left:
        for client in clients:
            left.register(client.sock, selectors.EVENT_READ, client)
        for byte in data:
            for key in left.get_map().values():
                key.data.send(bytes([byte]))
            ends: list[ErrorReply] = []
            until = time.monotonic() + every
            while left.get_map() and time.monotonic() < until:
                for key, _ in left.select(max(0.0, until - time.monotonic())):
                    left.unregister(key.fileobj)
                    ends.append(error_of(key.data.frame()))
            yield ends
            if not left.get_map():
                return


def keep_quiet(clients: Sequence[Client], seconds: float) -> int:
    """Answer the server's pings for so long, and say nothing else; how many they were."""
    pings = 0
    with selectors.DefaultSelector() as selector:
        for client in clients:
            selector.register(client.sock, selectors.EVENT_READ, client)
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            for key, _ in selector.select(left):
                asked = key.data.frame()
                assert asked.type == PING
                key.data.send(frame(PONG, asked.seq))
                pings += 1
    return pings


class Pace:
    """So many a second, as long as everybody keeps up."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._began = time.monotonic()
        self._never = threading.Event()

    def keep(self, done: int) -> None:
        """Wait until so many were due."""
        self._never.wait(self._began + done / self._rate - time.monotonic())


class Talker:
    """A member that says so much, all at once, when somebody says "go", and reads everything."""

    def __init__(self, client: Client, says: int) -> None:
        self.place = client.join().position
        self.sock = client.sock
        self.sock.setblocking(False)
        self._out = memoryview(b"".join(message(b"%06d" % n, n + 1) for n in range(says)))
        self._in = bytearray(client.pending)

    def write(self) -> bool:
        """Say what the socket takes; whether there is more to say."""
        with suppress(BlockingIOError):
            self._out = self._out[self.sock.send(self._out) :]
        return bool(self._out)

    def read(self) -> bool:
        """Read what is there; whether "go" was in it. Each entry must follow the one before."""
        data = self.sock.recv(CHUNK)
        assert data, "the server has ended the connection"
        self._in += data
        go = GO in data
        at, size = 0, len(self._in)
        while size - at >= HEADER.size:
            length, _, type, _, seq = HEADER.unpack_from(self._in, at)
            if size - at < 4 + length:
                break
            if type == ACK:
                (seq,) = POSITION.unpack_from(self._in, at + HEADER.size)
            assert seq == self.place + 1, (type, seq, self.place)
            self.place += 1
            at += 4 + length
        del self._in[:at]
        return go


def talk(port: int, server: int, members: int, talkers: int, says: int) -> int:
    """Let so many of the members talk; the entries that every member has read, in order.

    The server's process stands still until all have said what their sockets take: so it is
    at once.
    """
    with crowd(port, members) as clients, selectors.DefaultSelector() as selector:
        everybody = [
            Talker(client, says if number < talkers else 0) for number, client in enumerate(clients)
        ]
        for one in everybody:
            selector.register(one.sock, selectors.EVENT_READ, one)
        start = everybody[-1].place
        end = start + 1 + talkers * says
        silent = True
        while any(one.place < end for one in everybody):
            ready = selector.select(DEADLINE)
            assert ready, "nothing comes any more"
            for key, events in ready:
                one = key.data
                if events & selectors.EVENT_READ and one.read() and silent:
                    silent = False
                    os.kill(server, signal.SIGSTOP)
                    for each in everybody:
                        if each.write():
                            selector.modify(each.sock, BOTH, each)
                    os.kill(server, signal.SIGCONT)
                if events & selectors.EVENT_WRITE and not one.write():
                    selector.modify(one.sock, selectors.EVENT_READ, one)
        return end - start - 1
