"""Stand between clients and a server, tell what passes, and disturb it where that is asked for.

Rule: bytes and the ends of streams go on as they come, both ways, except where a `Disturber`
changes them. `tell` gets each piece before it goes on, so that nobody can have read it earlier;
nothing here waits for who is told.

Where it disturbs, the two connections differ, and each is a conversation of its own: the judge
judges only the client on the client's connection, and only the server on the server's.

Layer: above `conversation` and `disturbing`, below the commands.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import struct
import sys
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, cast

from ..arguments import spelled
from .conversation import Bytes, Did, Ended, How, Item, Opened, Side
from .disturbing import Action, Disturber, End

__all__ = ["Proxy"]

BUFFER = 1 << 18
"""Bytes that one read may take."""
HIGH_WATER = 1 << 20
"""Bytes that wait for a reader before its peer is not read any more."""
ACCEPTED = 16
"""Connections that asyncio accepts in one turn of the loop, before any of them is counted."""
BACKLOG = 1024
"""Connections that wait in the kernel to be accepted."""
TURNS = 10
"""Turns of the loop in which asyncio has made a connection that it has accepted, or that was being
made, and has closed it."""

Tell = Callable[[Item], None]
FIN, CLOSE = End("fin"), End("end")
"""The end of a side's own stream, and the end of its connection."""


class Proxy:
    """Listens, and connects each client with the server at `to`.

    `tell` gets what passes, `clock` says when, in seconds. `tls` is what the clients see,
    `tls_to` how the server is reached. `disturb` gives what disturbs a connection, by its number
    from 1, or None. A connection that is disturbed is two conversations, and has two numbers
    there. With `most` connections open, another one is closed; `refused` counts these.
    """

    def __init__(
        self,
        to: tuple[str, int],
        tell: Tell,
        clock: Callable[[], float],
        *,
        tls: ssl.SSLContext | None = None,
        tls_to: ssl.SSLContext | None = None,
        disturb: Callable[[int], Disturber | None] = lambda connection: None,
        most: int = sys.maxsize,
    ) -> None:
        self.to = to
        self.tell = tell
        self.clock = clock
        self.tls = tls
        self.tls_to = tls_to
        self.disturb = disturb
        self.most = most
        self.connections = self.conversations = self.refused = 0
        self._server: asyncio.Server | None = None
        self._open: set[_Pair] = set()

    async def start(self, host: str, port: int) -> int:
        """Listen. Returns the port. Raises OSError where that is not possible."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            self._protocol, host, port, ssl=self.tls, backlog=ACCEPTED
        )
        for listener in self._server.sockets:
            with socket.socket(fileno=os.dup(listener.fileno())) as same:
                same.listen(BACKLOG)
        address: tuple[str, int] = self._server.sockets[0].getsockname()[:2]
        return address[1]

    def _protocol(self) -> asyncio.BaseProtocol:
        """For a client that comes. asyncio prints a traceback for each that has no descriptor."""
        if self.open < self.most:
            return _Pair(self).client
        self.refused += 1
        return _TooMuch()

    @property
    def open(self) -> int:
        """Connections that are open."""
        return len(self._open)

    def refuse(self) -> None:
        """Listen no more; the connections that are open go on."""
        if self._server is not None:
            self._server.close()

    async def stop(self) -> None:
        """Listen no more, and break the connections that are open or just accepted. None of them
        is left behind, also if the loop ends after this."""
        loop = asyncio.get_running_loop()
        for listener in self._server.sockets if self._server is not None else ():
            with suppress(NotImplementedError):  # Windows
                loop.remove_reader(listener)
        broken: set[_Pair] = set()
        for _ in range(TURNS):
            for pair in self._open - broken:
                pair.abort()
            broken |= self._open
            await asyncio.sleep(0)
        self.refuse()  # asyncio forgets what it has accepted and not made by now

    def opened(self, pair: _Pair) -> None:
        """A client has come: give its connection what disturbs it, and the next number."""
        self.connections += 1
        self._open.add(pair)
        pair.disturber = self.disturb(self.connections)
        pair.number = self.conversations + 1
        self.conversations += 1 if pair.disturber is None else 2

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
        self.disturber: Disturber | None = None
        self._connecting: asyncio.Task[None] | None = None

    def other(self, end: _End) -> _End:
        return self.server if end is self.client else self.client

    def leg(self, side: Side) -> int:
        """The number of the conversation with a side; without disturbance there is one."""
        if self.disturber is None:
            return self.number
        return self.number + (side is Side.SERVER)

    def begin(self, transport: asyncio.Transport) -> None:
        """The client is there: connect with the server before anything is read of it."""
        proxy = self.proxy
        proxy.opened(self)
        self.client.pause("the server is not there yet")
        asyncio.get_running_loop().call_soon(self.client.pause_again)
        for side in (None,) if self.disturber is None else Side:
            proxy.tell(
                Opened(
                    proxy.clock(),
                    self.number if side is None else self.leg(side),
                    _spelled(transport.get_extra_info("peername")),
                    spelled(*proxy.to),
                    secure=proxy.tls is not None,
                    only=side,
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
            self.client.resume("the server is not there yet")

    def abort(self) -> None:
        """Break both connections."""
        if self._connecting is not None:
            self._connecting.cancel()
        self.client.reset()
        self.server.reset()

    def reset_both(self) -> None:
        """Both sides see a reset."""
        for end in (self.client, self.server):
            end.ended(How.RESET)
            end.reset()

    def lost(self) -> None:
        if self.client.is_gone and (self.server.is_gone or self.server.transport is None):
            self.proxy.closed(self)


class _TooMuch(asyncio.Protocol):
    """A connection for which there is no room."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast("asyncio.Transport", transport).abort()


class _End(asyncio.BufferedProtocol):
    """One of the two connections; what is read of it is its side's stream.

    It has more than twenty methods: asyncio calls one protocol object for both directions.
    """

    def __init__(self, pair: _Pair, side: Side) -> None:
        self.pair = pair
        self.side = side
        self.transport: asyncio.Transport | None = None
        self.is_gone = False
        self._is_over = self._is_shut = False
        """Its peer has ended its stream; ours to it was ended."""
        self._has_ended = False
        self._paused: set[str] = set()
        self._due: deque[Action] = deque()
        self._size = 0
        self._timer: asyncio.TimerHandle | None = None
        self._end_told = False
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
        pair = self.pair
        proxy = pair.proxy
        proxy.tell(Bytes(proxy.clock(), pair.leg(self.side), self.side, data))
        if pair.disturber is None:
            pair.other(self).write(data)
        else:
            self._perform(pair.disturber.take(self.side, data))
            if pair.disturber.is_answered:
                pair.disturber.is_answered = False
                pair.other(self).hurry()

    def write(self, data: bytes) -> None:
        if self.transport is not None and not self.transport.is_closing():
            self.transport.write(data)

    def eof_received(self) -> bool:
        self.ended(How.FIN)
        self._is_over = True
        pair = self.pair
        other = pair.other(self)
        if pair.disturber is not None:
            self._perform([*pair.disturber.eof(self.side), Action(0.0, FIN)])
        elif other.transport is None:
            return False
        elif other.transport.can_write_eof():
            other.shut()
        else:
            other.transport.close()
            return False
        # asyncio closes no connection of which both streams have ended.
        return not self._is_shut and self.transport is not None and self.transport.can_write_eof()

    def shut(self) -> None:
        """End our stream to its peer; that is the end of the connection if its own has ended."""
        transport = self.transport
        if transport is None or transport.is_closing():
            return
        self._is_shut = True
        if self._is_over:
            transport.close()
        else:
            with suppress(OSError):  # the peer has broken it, and says so when it is read
                transport.write_eof()

    def ended(self, how: How) -> None:
        """Tell that this side's stream has ended; once."""
        if not self._has_ended:
            self._has_ended = True
            proxy = self.pair.proxy
            proxy.tell(Ended(proxy.clock(), self.pair.leg(self.side), self.side, how))

    def pause_writing(self) -> None:
        self.pair.other(self).pause("the other does not read")

    def resume_writing(self) -> None:
        self.pair.other(self).resume("the other does not read")

    def pause(self, why: str) -> None:
        """Read no more of this connection, for as long as there is a reason."""
        if not self._paused and self.transport is not None and not self.transport.is_closing():
            self.transport.pause_reading()
        self._paused.add(why)

    def pause_again(self) -> None:
        """Pause if there is a reason: Python 3.11.2 forgets a pause in `connection_made`."""
        if self._paused and self.transport is not None and not self.transport.is_closing():
            self.transport.resume_reading()
            self.transport.pause_reading()

    def resume(self, why: str) -> None:
        """This reason is gone."""
        self._paused.discard(why)
        if not self._paused and self.transport is not None and not self.transport.is_closing():
            self.transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_gone = True
        other = self.pair.other(self)
        self.ended(How.FIN if exc is None else How.RESET)
        if exc is not None:
            self._stop()
            other.reset()
        elif self._is_over and self._is_shut:
            pass  # the other one ends in the same way
        elif self.pair.disturber is not None:
            self._perform([Action(0.0, CLOSE)])
        elif other.transport is not None and not other.is_gone:
            other.transport.close()
        self.pair.lost()

    # ------------------------------------------------------------- where it is disturbed

    def _perform(self, actions: Iterable[Action]) -> None:
        """Let these go on, each in its time, behind what waits."""
        pair = self.pair
        if pair.disturber is not None and pair.disturber.did:
            for side, what in pair.disturber.did:
                pair.proxy.tell(Did(pair.proxy.clock(), pair.leg(side.other), side, what))
            pair.disturber.did.clear()
        for action in actions:
            self._due.append(action)
            self._size += len(action.what) if isinstance(action.what, bytes) else 0
        if self._timer is None:
            self._go_on()
        if self._size > HIGH_WATER and self._due:
            self.pause("much is held")

    def _go_on(self) -> None:
        while self._due:
            delay, what = self._due[0]
            if delay > 0:
                self._due[0] = Action(0.0, what)
                self._timer = asyncio.get_running_loop().call_later(delay, self._in_time)
                return
            self._due.popleft()
            if isinstance(what, bytes):
                self._size -= len(what)
                self._tell(what)
                self.pair.other(self).write(what)
            else:
                self._end(what)
        if self._paused:
            self.resume("much is held")

    def hurry(self) -> None:
        """Let what waits go on now."""
        if self._timer is not None:
            self._timer.cancel()
            self._in_time()

    def _in_time(self) -> None:
        self._timer = None
        self._go_on()

    def _stop(self) -> None:
        """Let nothing go on that waits."""
        self._due.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _tell(self, data: bytes) -> None:
        pair = self.pair
        proxy = pair.proxy
        proxy.tell(Bytes(proxy.clock(), pair.leg(self.side.other), self.side, data))

    def _end(self, end: End) -> None:
        """End something, and tell it to the conversation with the other side."""
        pair = self.pair
        other = pair.other(self)
        if end.how == "reset":
            for each in (self, other):
                each._tell_end(How.RESET)  # neither side has ended it
            pair.reset_both()
            return
        self._tell_end(How.FIN)
        if other.transport is None or other.is_gone:
            return
        if end.how in ("fin", "half-close") and other.transport.can_write_eof():
            other.shut()
            return
        other.transport.close()
        if end.how == "close" and self.transport is not None:
            self.transport.close()

    def _tell_end(self, how: How) -> None:
        """The other side sees this side's stream end; once."""
        if not self._end_told:
            self._end_told = True
            pair = self.pair
            leg = pair.leg(self.side.other)
            pair.proxy.tell(Ended(pair.proxy.clock(), leg, self.side, how))

    def reset(self) -> None:
        """Break this connection, so that its peer sees a reset."""
        self._stop()
        if self.pair.disturber is not None:
            self._tell_end(How.RESET)
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
