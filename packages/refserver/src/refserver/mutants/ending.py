"""Mutants that are wrong about sizes, ends, time and load.

Rule: limits, closing, clocks and turns are changed.

Layer: above `registry`.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from eventcodec import (
    ErrorCode,
    LeftReason,
    Login,
    Message,
    Ping,
    Pong,
    ServerConnection,
    Welcome,
    encode,
)

from ..server.connection import Connection
from ..server.listener import Listeners
from ..server.server import Server
from ..server.turn import Turns
from ..session.deadlines import Deadlines
from ..session.room import Room
from ..session.session import Session
from ..session.state import State
from .registry import Patch, mutant


def limits(patch: Patch, before: int, after: Callable[[int], int]) -> None:
    def opened(original: Any, self: Any, connection: Any) -> None:
        original(self, connection)
        connection.session.conn.max_frame = before

    def answer(original: Any, self: Any, request: Any, event: Any) -> bytes:
        frame: bytes = original(self, request, event)
        if isinstance(event, Welcome):
            self.conn.max_frame = after(event.max_frame)
        return frame

    patch.around(Server, "opened", opened)
    patch.around(Session, "answer", answer)


@mutant("one-limit-for-all", "before login the limit is that for members")
def _(patch: Patch) -> None:
    limits(patch, 65_536, lambda announced: announced)


@mutant("limit-of-the-whole-frame", "limits are compared with the whole frame")
def _(patch: Patch) -> None:
    limits(patch, 4_092, lambda announced: announced - 4)


@mutant("limit-not-announced", "a member may send more than max_frame")
def _(patch: Patch) -> None:
    limits(patch, 4_096, lambda announced: announced + 1_000)


@mutant("limit-not-raised", "a member's limit stays 4,096")
def _(patch: Patch) -> None:
    limits(patch, 4_096, lambda announced: 4_000)


@mutant("refused-login-raises-the-limit", "the limit is raised by any Login")
def _(patch: Patch) -> None:
    def login(original: Any, self: Any, login: Login, now: float) -> None:
        self.conn.max_frame = 65_536
        original(self, login, now)

    patch.around(Session, "login", login)


@mutant("end-overtakes", "a client's end of stream overtakes the bytes before it")
def _(patch: Patch) -> None:
    def work(original: Any, self: Any, connection: Any, *arguments: Any) -> Any:
        owner = connection.owner
        if connection.eof and connection.session.state < State.DRAINING:
            connection.session.finish(b"", LeftReason.LOST, State.DRAINING)
            owner.turns.has_output(connection)
        elif not connection.eof and not hasattr(connection, "late"):
            connection.late = True
            owner.loop.call_later(0.01, owner.turns.has_input, connection)
            return 0
        if hasattr(connection, "late"):
            del connection.late
        return original(self, connection, *arguments)

    patch.around(Turns, "work", work)


@mutant("end-not-noticed", "a client's end of stream is not noticed")
def _(patch: Patch) -> None:
    patch.set(Session, "receive_eof", lambda self: None)


@mutant("end-answered", "an end of stream inside of a frame is MALFORMED")
def _(patch: Patch) -> None:
    def end(original: Any, self: Any) -> None:
        self.work(self.deadlines.last_byte, 1 << 20)
        if self.conn.held:
            self.goodbye(ErrorCode.MALFORMED)
        else:
            original(self)

    patch.around(Session, "receive_eof", end)


@mutant("closed-at-once", "a connection is not closed in stages")
def _(patch: Patch) -> None:
    def close(original: Any, self: Any) -> None:
        if self.eof:
            original(self)
            return
        # As where a socket is closed with unread input, without a race for the input.
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.abort()

    patch.around(Connection, "shut_down", close)


@mutant("never-asks", "a silent member gets no Ping", needs=("heartbeat",), heartbeat=1)
def _(patch: Patch) -> None:
    def silence(original: Any, self: Any, state: Any, now: float) -> Any:
        self.ping_sent = True
        return original(self, state, now)

    patch.around(Deadlines, "check_silence", silence)


@mutant(
    "asks-again", "a silent member gets Pings again and again", needs=("heartbeat",), heartbeat=1
)
def _(patch: Patch) -> None:
    def silence(original: Any, self: Any, state: Any, now: float) -> Any:
        due = list(original(self, state, now))
        if self.ping_sent:
            self.ping_sent = False
            self.last_byte = now
        return due

    patch.around(Deadlines, "check_silence", silence)


@mutant("whole-frames-only", "only whole frames end a silence", needs=("heartbeat",), heartbeat=1)
def _(patch: Patch) -> None:
    def receive(original: Any, self: Any, data: bytes, now: float) -> None:
        deadlines = self.deadlines
        before, asked = deadlines.last_byte, deadlines.ping_sent
        original(self, data, now)
        if len(data) < 16:
            deadlines.last_byte, deadlines.ping_sent = before, asked

    patch.around(Session, "receive", receive)


@mutant("pong-is-silence", "a Pong does not end a silence", needs=("heartbeat",), heartbeat=1)
def _(patch: Patch) -> None:
    def receive(original: Any, self: Any, data: bytes, now: float) -> None:
        deadlines = self.deadlines
        before, asked = deadlines.last_byte, deadlines.ping_sent
        original(self, data, now)
        if len(data) == 16 and data[5] == Pong.type:
            deadlines.last_byte, deadlines.ping_sent = before, asked

    patch.around(Session, "receive", receive)


@mutant(
    "timeout-told-as-evicted",
    "the Left of a timeout has reason 2",
    needs=("heartbeat",),
    heartbeat=1,
)
def _(patch: Patch) -> None:
    def goodbye(original: Any, self: Any, code: ErrorCode, *arguments: Any) -> None:
        if code is ErrorCode.TIMEOUT and self.member is not None:
            self.conn.goodbye(code)
            self.finish(self.conn.data_to_send(), LeftReason.EVICTED, State.DRAINING)
        else:
            original(self, code, *arguments)

    patch.around(Session, "goodbye", goodbye)


@mutant("asks-strangers", "a client without login gets a Ping", needs=("heartbeat",), heartbeat=1)
def _(patch: Patch) -> None:
    def opened(original: Any, self: Any, connection: Any) -> None:
        original(self, connection)

        def ask() -> None:
            if connection.session.member is None:
                connection.session.outbox.add_preamble(encode(Ping(seq=1)))

        self.loop.call_later(0.9, ask)

    patch.around(Server, "opened", opened)


@mutant(
    "deadline-in-silence",
    "a client that does not log in is ended without an Error",
    needs=("login-timeout",),
    login_timeout=1.0,
)
def _(patch: Patch) -> None:
    def goodbye(original: Any, self: Any, code: ErrorCode, *arguments: Any) -> None:
        if code is ErrorCode.TIMEOUT and self.member is None:
            self.finish(b"", LeftReason.LOST, State.DRAINING)
        else:
            original(self, code, *arguments)

    patch.around(Session, "goodbye", goodbye)


@mutant("waits-for-the-slowest", "no client is served while one does not read")
def _(patch: Patch) -> None:
    def work(original: Any, self: Any, connection: Any, *arguments: Any) -> Any:
        owner = connection.owner
        if any(not each.writable and not each.closed for each in owner.connections):
            owner.loop.call_later(0.02, owner.turns.has_input, connection)
            return 0
        return original(self, connection, *arguments)

    patch.around(Turns, "work", work)


@mutant("skips-for-the-slow", "a slow member loses entries", needs=("evicts",), log_bytes=1 << 20)
def _(patch: Patch) -> None:
    def evict(self: Any, ran_out: str = "log") -> None:
        self.outbox.cursor = self.room.log.end

    patch.set(Session, "evict", evict)


@mutant("reading-not-resumed", "a member whose reading was paused is never read again")
def _(patch: Patch) -> None:
    original: Any = vars(Session)["reading"].fget

    def reading(self: Any) -> bool:
        reads = original(self)
        self.was_paused = getattr(self, "was_paused", False) or (self.member and not reads)
        return reads and not self.was_paused

    patch.set(Session, "reading", property(reading))


@mutant("reads-without-limit", "all that a client sends is read, whatever waits to be answered")
def _(patch: Patch) -> None:
    def received(original: Any, self: Any, data: bytes) -> None:
        original(self, data)
        with suppress(BlockingIOError):
            while more := os.read(self.descriptor, 1 << 20):
                original(self, more)

    def lost(original: Any, self: Any, *arguments: Any) -> None:
        self.session.conn = ServerConnection()  # else it answers for seconds who is gone
        original(self, *arguments)

    patch.set(Session, "reading", property(lambda self: True))
    patch.around(Connection, "received", received)
    patch.around(Connection, "connection_lost", lost)


@mutant("stops-in-silence", "at a stop no client gets SHUTTING_DOWN", needs=("shutdown",))
def _(patch: Patch) -> None:
    def goodbye(original: Any, self: Any, code: ErrorCode, *arguments: Any) -> None:
        if code is ErrorCode.SHUTTING_DOWN:
            self.finish(b"", LeftReason.LOST, State.DRAINING)
        else:
            original(self, code, *arguments)

    patch.around(Session, "goodbye", goodbye)


@mutant("stop-overtakes", "at a stop SHUTTING_DOWN overtakes a backlog", needs=("shutdown",))
def _(patch: Patch) -> None:
    def goodbye(original: Any, self: Any, code: ErrorCode, *arguments: Any) -> None:
        if code is ErrorCode.SHUTTING_DOWN:
            self.outbox.cursor = self.room.log.end
        original(self, code, *arguments)

    patch.around(Session, "goodbye", goodbye)


@mutant("stop-told-to-members", "at a stop only members get SHUTTING_DOWN", needs=("shutdown",))
def _(patch: Patch) -> None:
    def goodbye(original: Any, self: Any, code: ErrorCode, *arguments: Any) -> None:
        if code is ErrorCode.SHUTTING_DOWN and self.member is None:
            self.finish(b"", LeftReason.LOST, State.DRAINING)
        else:
            original(self, code, *arguments)

    patch.around(Session, "goodbye", goodbye)


@mutant(
    "stop-lets-in", "a client that connects while the server stops is let in", needs=("shutdown",)
)
def _(patch: Patch) -> None:
    close = Listeners.close

    def opened(original: Any, self: Any, connection: Any) -> None:
        stopping, self.stopping = self.stopping, False
        original(self, connection)
        self.stopping = stopping

    def over(original: Any, self: Any, *arguments: Any) -> None:
        original(self, *arguments)
        if self.ended.is_set():
            close(self.listeners)

    patch.set(Listeners, "close", lambda self: None)
    patch.around(Server, "opened", opened)
    patch.around(Server, "stop", over)
    patch.around(Server, "lost", over)


@mutant("stop-enters-more", "at a stop a Message without its Ack is entered", needs=("shutdown",))
def _(patch: Patch) -> None:
    def shut(original: Any, self: Any) -> None:
        for user in self.members:
            self.log.append(encode(Message(content="more", sender=user, seq=self.log.end + 1)))
        original(self)

    patch.around(Room, "shut", shut)


@mutant("stop-told-as-departures", "at a stop everybody's Left is entered", needs=("shutdown",))
def _(patch: Patch) -> None:
    patch.set(Room, "shut", lambda self: None)


@mutant("reset-ends-all", "a reset of one connection ends every connection")
def _(patch: Patch) -> None:
    def lost(original: Any, self: Any, exc: Exception | None) -> None:
        original(self, exc)
        for connection in list(self.owner.connections) if exc is not None else ():
            connection.session.goodbye(ErrorCode.INTERNAL)

    patch.around(Connection, "connection_lost", lost)
