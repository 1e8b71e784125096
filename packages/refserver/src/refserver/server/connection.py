"""One socket, from accept to close.

Rule: only a `Connection` touches the transport of a session.

It ends a connection in stages. The server decides when it works and writes.

Layer: below `turn`, above `session`.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import socket
import sys
import termios
from collections.abc import Collection, Mapping
from typing import Any, Protocol

from eventcodec import ErrorCode

from ..session.log import SEGMENT, Log
from ..session.outbox import EntriesGone
from ..session.session import Session
from ..session.state import State
from .client_timers import Expired
from .clock import ClientClock
from .config import Config
from .logs import failure
from .metrics import ServerCounters
from .timers import NEVER, Timer

__all__ = ["BUFFER", "BUFFER_BEFORE_LOGIN", "Connection", "Owner", "fan_out"]

BUFFER = 65_536
BUFFER_BEFORE_LOGIN = 4_096
SUPERSEDED = State.SUPERSEDED


class TurnQueue(Protocol):
    """Where a connection waits for its turn."""

    def has_input(self, connection: Connection) -> None:
        """Its session has requests to handle."""
        ...

    def has_output(self, connection: Connection) -> None:
        """It may have bytes to write, or may have to pause or resume reading."""
        ...

    def has_more_output(self, connection: Connection) -> None:
        """It can be written to again, or has had its part of a turn: it comes after the others."""
        ...

    def answer_now(self, connection: Connection) -> None:
        """Handle its input now: after this, nothing can be written."""
        ...


class Owner(Protocol):
    """The events of a connection, for its server."""

    config: Config
    clock: ClientClock
    counters: ServerCounters
    read_size: int
    """The most bytes to read from one connection at a time."""

    @property
    def turns(self) -> TurnQueue: ...

    def opened(self, connection: Connection) -> None:
        """It is open, over TLS after the handshake. Sets its `session`."""
        ...

    def watch(self, connection: Connection) -> None:
        """Its next deadline can be earlier than before."""
        ...

    def linger(self, connection: Connection) -> bool:
        """Whether it may wait for the client's end. It then holds no place."""
        ...

    def logging_in(self, connection: Connection) -> None:
        """It has left the state UNAUTHENTICATED. Called again until it is a member."""
        ...

    def superseded(self, connection: Connection) -> None:
        """Another connection continues its session."""
        ...

    def lost(self, connection: Connection) -> None:
        """It is closed."""
        ...


class Connection(asyncio.BufferedProtocol):
    """The transport of one session, from open to close.

    Over TLS there is no session before the handshake is done, and no half-close: bytes that are not
    written when the client's end of stream arrives are never written.

    It has more than twenty methods and fifteen attributes, because asyncio calls one
    protocol object for all steps of a connection. `__init__` and the methods are grouped by step.
    """

    timer: Timer[Expired]
    transport: asyncio.Transport
    sock: socket.socket
    session: Session
    has_handshake = False
    """Whether there is a step between TLS and the session."""

    def __init__(self, owner: Owner, address: str, buffer: memoryview) -> None:
        self.owner = owner
        self.address = address
        self.is_admitted = True
        self.is_authenticated = False
        self.began = NEVER  # the time of accept, if the session counts from then
        # reading
        self.buffer = buffer
        self.eof = False
        # writing
        self.writable = True
        self.descriptor = -1  # for writing without the transport; -1 if that is not possible
        self._unsent = (0, 0)  # the bytes in asyncio and in the kernel at the last check
        # ending
        self.is_open = False
        self.closed = False
        self.failed = False
        self.close_by = NEVER
        self.abort_by = NEVER
        self._discarded = 0

    # ------------------------------------------------------------- asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.attach(transport)
        if self.transport.can_write_eof():
            self.descriptor = self.sock.fileno()
        self.begin()

    def attach(self, transport: asyncio.BaseTransport) -> None:
        """The transport is open, over TLS after its handshake."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.sock = transport.get_extra_info("socket")

    async def ready(self) -> None:
        """Wait for the step between TLS and the session."""

    def begin(self) -> None:
        """Begin the session."""
        self.is_open = True
        self.owner.opened(self)
        # asyncio pauses a TLS connection at its limit, a plain one above it.
        self.transport.set_write_buffer_limits(high=0 if self.transport.can_write_eof() else 1)

    @property
    def certificate(self) -> Mapping[str, Any] | None:
        """The certificate that the client has shown, or None."""
        shown: Mapping[str, Any] | None = self.transport.get_extra_info("peercert")
        return shown

    @property
    def half_closes(self) -> bool:
        """Whether the two directions can end separately; false over TLS."""
        return self.descriptor >= 0

    def get_buffer(self, sizehint: int) -> memoryview:
        return self.buffer[: self.owner.read_size]

    def buffer_updated(self, nbytes: int) -> None:
        self.received(bytes(self.buffer[:nbytes]))

    def received(self, data: bytes) -> None:
        """Pass on received bytes. After the last frame they are counted and dropped."""
        owner, session = self.owner, self.session
        owner.counters.bytes_in += len(data)
        if self.close_by != NEVER:
            self._discarded += len(data)
            if self._discarded > owner.config.close_bytes:
                self.abort()
            return
        session.receive(data, owner.clock.now())
        owner.turns.has_input(self)
        if not session.reading:  # also before its turn
            self.update_interest()

    def eof_received(self) -> bool:
        self.eof = True
        if self.close_by != NEVER:
            self.close()
            return False
        self.session.receive_eof()
        self.owner.turns.has_input(self)
        if not self.half_closes:
            self.owner.turns.answer_now(self)
        return self.half_closes

    def pause_writing(self) -> None:
        self.writable = False
        self.made_progress()
        self.session.deadlines.write_blocked(self.owner.clock.now())
        self.owner.watch(self)

    def resume_writing(self) -> None:
        self.writable = True
        self.session.deadlines.write_unblocked()
        self.owner.turns.has_more_output(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        self.writable = False
        by_client = self.eof or exc is not None
        try:
            if by_client and self.session.client_closed():  # handle earlier requests first
                self.owner.turns.has_input(self)
            else:
                self.session.lost()
        finally:
            self.owner.lost(self)

    # ------------------------------------------------------------- reading and writing

    def write_some(self, chunks: int) -> bool:
        """Write at most so many chunks. True if there may be more.

        Nothing is written while the transport holds bytes, so it never holds much.
        """
        outbox = self.session.outbox
        try:
            while chunks > 0:
                chunks -= 1
                data = self.writable and outbox.next_chunk()
                if not data:
                    return False
                self.write(data)
                if outbox.follows and outbox.cursor == outbox.log.end:
                    return False
        except EntriesGone:
            self.session.evict()
        return True

    def write(self, data: bytes | memoryview) -> None:
        """Write while the connection is `writable`.

        A plain socket is written to directly, because the transport takes a tenth of the cost of a
        short write. The transport gets the bytes that the socket does not take, and every error.
        The descriptor stays valid: it is closed after `connection_lost`, which ends `writable`.
        """
        size = len(data)
        self.owner.counters.bytes_out += size
        try:
            taken = os.write(self.descriptor, data)
        except OSError:  # always over TLS: there is no descriptor
            taken = 0
        if taken != size:
            self.pass_on(data[taken:])

    def pass_on(self, rest: bytes | memoryview) -> None:
        """Let the transport write the bytes that the socket did not take."""
        self.transport.write(rest)
        if self.transport.is_closing():  # the client is gone: asyncio would log each further write
            self.writable = False

    def made_progress(self) -> bool:
        """Whether the client has taken bytes since the last call.

        It asks the kernel, which holds megabytes. asyncio learns only when a third of them is gone,
        and a slow client takes longer for that than the write timeout.
        """
        before = self._unsent
        self._unsent = self.transport.get_write_buffer_size(), unacknowledged(self.sock)
        return self._unsent != before

    def update_interest(self) -> None:
        """Follow the session's new state: pause or resume reading, close, set the next deadline."""
        session, transport = self.session, self.transport
        if self.closed or transport.is_closing():
            return
        if session.state >= SUPERSEDED and self.abort_by == NEVER:
            self._abort_later()
            if session.state == SUPERSEDED:
                self.owner.superseded(self)
        if session.outbox.finished:
            if self.writable and self.close_by == NEVER:
                self.shut_down()
        elif session.reading != transport.is_reading() and not self.eof:
            if session.reading:
                session.deadlines.reading_resumed(self.owner.clock.now())
                transport.resume_reading()
            else:
                session.reading_paused(self.owner.clock.now())
                transport.pause_reading()
        self.owner.watch(self)

    # ------------------------------------------------------------- the end

    def shut_down(self) -> None:
        """The last byte was written: end this side, and wait a little for the client's.
        EP-10.4-1."""
        self.limit_close()
        if not self.owner.linger(self) or self.eof:
            self.close()
            return
        try:
            self.end_output()
        except OSError:
            self.abort()  # the client has reset the connection
            return
        self.made_progress()
        if not self.transport.is_reading():
            self.transport.resume_reading()

    def end_output(self) -> None:
        """End the stream to the client. Over TLS, the last frame is the end."""
        if self.half_closes:
            self.transport.write_eof()

    def limit_close(self) -> None:
        """From now on, only wait for the client's end, up to the close timeout."""
        self.close_by = self.owner.clock.now() + self.owner.config.close_timeout
        self._abort_later()

    def _abort_later(self) -> None:
        """Set the last deadline: it does not move when the client takes bytes."""
        self.abort_by = min(self.abort_by, self.owner.clock.now() + self.owner.config.write_timeout)

    def close(self) -> None:
        """Close it when all bytes are written. A TLS transport that is closed twice cannot be
        aborted."""
        if not self.transport.is_closing():
            self.transport.close()

    def abort(self) -> None:
        """End it at once; bytes that are not written are lost."""
        self.writable = False
        self.transport.abort()

    def fail(self, error: Exception) -> None:
        """An internal error while handling this client: end only this connection."""
        failure(error)
        if self.failed or self.session.outbox.finished:
            self.abort()
            return
        self.failed = True
        try:
            self.session.goodbye(ErrorCode.INTERNAL)
        except Exception as another:
            self.fail(another)

    # ------------------------------------------------------------- time

    @property
    def due(self) -> float:
        """When to call `tick`, if no other event happens before."""
        return min(self.close_by, self.session.due)

    def tick(self, now: float) -> None:
        """Handle the deadlines that are due."""
        if now >= self.close_by:
            self._tick_close(now)
            return
        if not self.writable and self.made_progress() and now < self.abort_by:
            self.session.deadlines.write_blocked(now)
        self.session.tick(now)
        if self.session.should_abort:
            self.abort()
            return
        if self.session.has_work:
            self.owner.turns.has_input(self)
        self.owner.turns.has_output(self)

    def _tick_close(self, now: float) -> None:
        """The client did not close in time. A client that still takes bytes gets more time."""
        if self.made_progress() and self._unsent != (0, 0) and now < self.abort_by:
            self.close_by = now + self.owner.config.close_timeout
            self.owner.watch(self)
        elif self.half_closes or self.transport.is_closing():
            self.abort()
        else:
            self.close()  # over TLS it waits for the client's close_notify
            self.made_progress()  # its own close_notify is none
            self.close_by = now + self.owner.config.close_timeout
            self.owner.watch(self)


def fan_out(connections: Collection[Connection], log: Log, start: int) -> list[Connection]:
    """Write the entries after `start` to all connections that are at `start` and have no replies
    due.

    They get the same bytes, in one write each. Returns the other writable connections.
    """
    others: list[Connection] = []
    data, behind = log.segment(start) if log.holds(start) else (b"", start)
    if len(data) > SEGMENT:
        behind = start  # each gets it in pieces
    size, write, blocked = len(data), os.write, 0
    here = start if behind != start else -1  # no client's position
    oldest = log.first - 1  # only clients before it can be `is_behind`, which costs more
    for connection in connections:
        outbox = connection.session.outbox
        if outbox.cursor == here and outbox.follows and connection.writable:
            outbox.cursor = behind
            try:  # as in Connection.write; its call is a twentieth of a short write
                taken = write(connection.descriptor, data)
            except OSError:
                taken = 0
            if taken != size:
                connection.pass_on(data[taken:])
        elif connection.writable:
            others.append(connection)
        else:
            blocked += 1
            if outbox.cursor < oldest and outbox.is_behind:
                connection.session.evict()
    alike = len(connections) - blocked - len(others)
    if alike:  # so `connection` is bound
        connection.owner.counters.bytes_out += size * alike  # pyright: ignore
        if behind != log.end:
            return fan_out(connections, log, behind)
    return others


def unacknowledged(sock: socket.socket) -> int:
    """Bytes that the kernel holds for this socket's peer; 0 if it is not known."""
    try:
        return int.from_bytes(fcntl.ioctl(sock, termios.TIOCOUTQ, bytes(4)), sys.byteorder)
    except (OSError, ValueError):  # not known on this system; closed by now
        return 0
