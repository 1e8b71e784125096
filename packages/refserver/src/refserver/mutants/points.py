"""Parts that the mutants by kinds of mistakes are built of, each under a name of its own.

Rule: a part wraps seams, or knows what is inside a session so that no mutant has to; it is
wrong about nothing by itself.

Layer: above `replying`, below the mutants that go by kinds of mistakes.
"""

from __future__ import annotations

import secrets
import socket
import struct
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from eventcodec import (
    Ack,
    Error,
    ErrorCode,
    Event,
    InvalidRequest,
    LeftReason,
    Login,
    Logout,
    Message,
    Ping,
    Pong,
    encode,
)

from ..server.connection import Connection
from ..server.server import Server
from ..server.turn import Turns
from ..session.context import Proof
from ..session.log import Log
from ..session.outbox import Outbox, Reply
from ..session.room import LoginRefused, Room
from ..session.session import Session
from ..session.state import State
from .registry import Patch
from .replying import no_fast_path

HEADER = 16
MUCH, PAUSE = 500, 1.0
"""Bytes that come at once from a member that is busy, and the seconds for which it is."""


def frames_of(data: bytes) -> list[bytes]:
    """The whole frames at the beginning of these bytes."""
    found = []
    while len(data) >= 4 and len(data) >= (size := 4 + int.from_bytes(data[:4], "big")):
        found.append(data[:size])
        data = data[size:]
    return found


# ------------------------------------------------------------- what comes


def on_bytes(patch: Patch, seen: Callable[[Any, bytes], None]) -> None:
    """Look at what comes on a connection, also when it is closing."""

    def received(original: Any, self: Any, data: bytes) -> None:
        seen(self.session, data)
        original(self, data)

    patch.around(Connection, "received", received)


def on_frames(patch: Patch, seen: Callable[[Any, bytes], None]) -> None:
    """Look at each whole frame that comes, also when the connection is closing.

    What is shorter than a header is none. `gathered` is what has come of the frame after it.
    """

    def gathered(session: Any, data: bytes) -> None:
        session.gathered = getattr(session, "gathered", b"") + data
        for frame in frames_of(session.gathered):
            session.gathered = session.gathered[len(frame) :]
            if len(frame) >= HEADER:
                seen(session, frame)

    on_bytes(patch, gathered)


def on_received(patch: Patch, then: Callable[[Any, bytes, float], None]) -> None:
    """After bytes were taken in, do something with the session that has them."""

    def receive(original: Any, self: Any, data: Any, now: float) -> None:
        original(self, data, now)
        then(self, bytes(data), now)

    patch.around(Session, "receive", receive)


def on_request(patch: Patch, instead: Callable[[Any, Any], bool]) -> None:
    """Before a request is carried out; where `instead` says so, it is not."""

    def handle(original: Any, self: Any, request: Any, now: float) -> None:
        if not instead(self, request):
            original(self, request, now)

    patch.around(Session, "handle", handle)


def on_publish(patch: Patch, publish: Callable[[Any, Any, Any], None]) -> None:
    """How a Message or an application event is entered, one by one."""
    no_fast_path(patch)
    patch.around(Session, "publish", publish)


def serve_last(patch: Patch, concerns: Callable[[Any], bool]) -> None:
    """Let what some connections send, but for a Login, wait while a member sends much."""

    def is_busy(room: Any) -> bool:
        session, since = getattr(room, "busy", (None, 0.0))
        in_time = time.monotonic() < since + PAUSE
        return in_time and session is not None and session.state == State.MEMBER

    def work(original: Any, self: Any, connection: Any, now: float, *rest: Any) -> int:
        session = connection.session
        if concerns(connection) and session.first_type != Login.type and is_busy(session.room):
            self.loop.call_later(0.05, serve_again, self, connection)
            return 0
        entries: int = original(self, connection, now, *rest)
        return entries

    def serve_again(turns: Any, connection: Any) -> None:
        turns.scheduler.has_input(connection)
        turns.need()

    def seen(session: Any, data: bytes) -> None:
        session.first_type = data[5] if len(data) > 5 else 0
        if session.state == State.MEMBER and len(data) > MUCH:
            session.room.busy = session, time.monotonic()

    on_bytes(patch, seen)
    patch.around(Turns, "work", work)


# ------------------------------------------------------------- logging in


def on_authenticate(
    patch: Patch, proved: Callable[[Callable[[str, bytes], Any], Login], Proof | None]
) -> None:
    """What a credential proves; `proved` gets what would authenticate it, and the Login."""

    def authenticate(original: Any, self: Any, login: Login) -> Proof | None:
        def ask(user: str, credential: bytes) -> Any:
            return original(self, replace(login, user=user, credential=credential))

        return proved(ask, login)

    patch.around(Session, "authenticate", authenticate)


def on_login(patch: Patch, login: Callable[[Any, Any, Login, float], None]) -> None:
    """How a Login is handled."""
    patch.around(Session, "login", login)


def is_rejected(session: Any) -> bool:
    """Whether UNAUTHORIZED is due, and not sent."""
    return bool(session.state == State.REJECTED)


MOMENT = 0.1
"""Seconds in which what was sent at one moment arrives, also on a busy machine."""


def later(session: Any, login: Login, now: float) -> None:
    """Let a Login be handled again a moment later, and nothing before it."""
    session.delay(login, now + MOMENT)


def now_of(session: Any) -> float:
    """The time at which the session had its last byte."""
    return float(session.deadlines.last_byte)


def answer(session: Any, request: Any, event: Event) -> None:
    """Answer a request after all that is in the log."""
    session.reply(session.answer(request, event))


def answer_refused(session: Any, login: Login, code: ErrorCode) -> None:
    """Answer a Login with an Error."""
    answer(session, login, Error(code=code))


def refuse(code: ErrorCode, reason: str = "") -> LoginRefused:
    """What is raised where a Login cannot be accepted."""
    return LoginRefused(code, reason)


def swallow(session: Any, request: Any) -> None:
    """Take a request as answered, and send nothing."""
    if isinstance(request, InvalidRequest):
        session.answer(request, request.error)
    elif isinstance(request, Ping):
        session.answer(request, Pong())
    else:
        session.answer(request, Ack(position=0))


def limit(session: Any, max_frame: int) -> None:
    """Accept frames of this length, whatever was announced."""
    session.conn.max_frame = max_frame


def on_enter(patch: Patch, enter: Callable[..., Any]) -> None:
    """How a fresh member is let into the room."""
    patch.around(Room, "enter", enter)


def on_tickets(patch: Patch, ticket: Callable[[], int | None]) -> None:
    """Where tickets come from; None means a new one."""

    def made(original: Any, self: Any, **named: Any) -> None:
        original(self, **(named | {"new_ticket": lambda: ticket() or secrets.randbits(64)}))

    patch.around(Room, "__init__", made)


def on_find(patch: Patch, find: Callable[[Any, Any, str, int, int], Any]) -> None:
    """How a ticket's session is found: `find` gets the original, the room, user, ticket, place."""
    patch.around(Room, "find", find)


def on_resume(patch: Patch, resume: Callable[[Any, Any, Login, str], None]) -> None:
    """How a session is resumed; `resume` gets the original, the session, Login and user."""

    def instead(original: Any, self: Any, login: Login, user: str, now: float) -> None:
        resume(lambda *arguments: original(*arguments, now), self, login, user)

    patch.around(Session, "resume", instead)


def mark_resumed(patch: Patch, then: Callable[[Any, Login], None] = lambda *_: None) -> None:
    """Let `is_resumed` know, and do something after each resume."""

    def resume(original: Any, self: Any, login: Login, user: str) -> None:
        original(self, login, user)
        if self.state == State.MEMBER:  # else the Login waits
            self.is_resumed = True
            then(self, login)

    on_resume(patch, resume)


def is_resumed(session: Any) -> bool:
    """Whether this connection resumed its session, where `mark_resumed` is on."""
    return bool(getattr(session, "is_resumed", False))


def on_welcomed(patch: Patch, then: Callable[[Any], None]) -> None:
    """After a Welcome was queued."""

    def welcome(original: Any, self: Any, *arguments: Any) -> None:
        original(self, *arguments)
        then(self)

    patch.around(Session, "welcome", welcome)


# ------------------------------------------------------------- what goes out


def reply_first(session: Any, frame: bytes) -> None:
    """A reply in front of all that is due."""
    session.outbox.add_preamble(frame)


def reply_at(session: Any, position: int, frame: bytes) -> None:
    """A reply that comes after this entry."""
    session.outbox.add(Reply(position, position, frame))


def pong_of(session: Any, ping: Ping) -> bytes:
    """The Pong that answers it."""
    frame: bytes = session.answer(ping, Pong())
    return frame


def on_ack(patch: Patch, change: Callable[[Any, int], int]) -> None:
    """Change the position in the Acks of what a member says."""
    no_fast_path(patch)

    def answer(original: Any, self: Any, request: Any, event: Any) -> bytes:
        if isinstance(event, Ack) and event.position and not isinstance(request, Logout):
            event = Ack(position=change(self, event.position))
        frame: bytes = original(self, request, event)
        return frame

    patch.around(Session, "answer", answer)


def drop_preamble(session: Any) -> None:
    """Throw away the replies from before the Login."""
    session.outbox.preamble.clear()


def welcome_first(session: Any) -> None:
    """Put the Welcome in front of all replies that wait."""
    preamble = session.outbox.preamble
    preamble.insert(0, preamble.pop())


def drop_what_is_due(session: Any, *, acks: bool = True) -> None:
    """Throw away the replies that wait: all, or only those that made no entry."""
    replies = session.outbox.replies
    kept = [] if acks else [reply for reply in replies if reply.start != reply.stop]
    replies.clear()
    replies.extend(kept)


def drop_pongs(session: Any) -> None:
    """Throw away the Pongs that wait."""
    replies = session.outbox.replies
    kept = [reply for reply in replies if reply.data[5:6] != bytes([Pong.type])]
    replies.clear()
    replies.extend(kept)


def skip(session: Any, start: int, stop: int) -> None:
    """Leave out the entries after `start` up to `stop`."""
    session.outbox.add(Reply(start, stop, b""))


def last_frame_behind_everything(session: Any) -> None:
    """Put the last frame that waits after the end of the log."""
    outbox = session.outbox
    last = outbox.replies.pop()
    outbox.replies.append(Reply(outbox.log.end, outbox.log.end, last.data))


def last_frame_first(session: Any) -> None:
    """Put the last frame that waits in front of everything."""
    session.outbox.preamble.append(session.outbox.replies.pop().data)


def cursor_of(session: Any) -> int:
    """The last entry that the session was given."""
    return int(session.outbox.cursor)


def move_cursor(session: Any, cursor: int) -> None:
    """Go on after this entry."""
    session.outbox.cursor = cursor


def cut_here(session: Any) -> None:
    """Give the member nothing of what is in the log by now."""
    move_cursor(session, session.room.log.end)


def _know_session(patch: Patch) -> None:
    """Let an outbox know whose it is."""

    def receive(original: Any, self: Any, data: Any, now: float) -> None:
        self.outbox.session = self
        original(self, data, now)

    patch.around(Session, "receive", receive)


def on_entries(patch: Patch, change: Callable[[Any, list[bytes], bool], list[bytes]]) -> None:
    """Change the entries that a member is given by itself, page by page.

    `change` gets the session, the frames, and whether more are waiting after them.
    """

    def read_log(original: Any, self: Any, stop: int | None = None) -> bytes:
        data: bytes = original(self, stop)
        more = self.cursor < (self.log.end if stop is None else stop)
        return b"".join(change(self.session, frames_of(data), more)) if data else data

    _know_session(patch)
    patch.around(Outbox, "read_log", read_log)


def follow_alone(patch: Patch) -> None:
    """Let nobody be given what all others are given, so that `on_entries` sees everything."""

    def send_entries(original: Any, self: Any, *arguments: Any) -> None:
        for member in self.room.members.values():
            member.session.outbox.follows = False
        original(self, *arguments)

    patch.around(Turns, "send_entries", send_entries)


def entries_late(patch: Patch) -> None:
    """Entries are written a moment later than what is written for one member."""

    def send_entries(original: Any, self: Any, *arguments: Any) -> None:
        if hasattr(self, "late"):
            self.late.cancel()  # else what is told late would take along what came since
        self.late = self.loop.call_later(0.1, original, self, *arguments)

    patch.around(Turns, "send_entries", send_entries)


# ------------------------------------------------------------- the end


def on_logout(patch: Patch, logout: Callable[[Any, Any, Any], None]) -> None:
    """How a Logout is handled."""
    patch.around(Session, "logout", logout)


def on_goodbye(patch: Patch, goodbye: Callable[[Any, Any, ErrorCode, str | None], None]) -> None:
    """How a connection is ended with an Error."""

    def instead(original: Any, self: Any, code: ErrorCode, text: str | None = None) -> None:
        goodbye(original, self, code, text)

    patch.around(Session, "goodbye", instead)


def is_ending(session: Any) -> bool:
    """Whether its last frame is decided."""
    return bool(session.state >= State.DRAINING)


def end_in_silence(session: Any, reason: LeftReason = LeftReason.LOST) -> None:
    """End a connection without a last frame."""
    session.finish(b"", reason, State.DRAINING)


def on_gone(patch: Patch, then: Callable[[Any], None]) -> None:
    """After the transport of any connection is gone."""

    def lost(original: Any, self: Any, connection: Any) -> None:
        original(self, connection)
        then(connection.session)

    patch.around(Server, "lost", lost)


def on_lost(patch: Patch, then: Callable[[Any], None]) -> None:
    """After the transport of a connection that was a member's is gone."""
    on_gone(patch, lambda session: None if session.member is None else then(session))


def on_leave(patch: Patch, leave: Callable[[Any, Any, Any, Any], int]) -> None:
    """How a member leaves the room: `leave` gets the original, the room, member and reason."""
    patch.around(Room, "leave", leave)


def close_with(patch: Patch, residue: Callable[[Any], bytes]) -> None:
    """Write some bytes after the last frame of a connection."""

    def next_chunk(original: Any, self: Any) -> bytes:
        data: bytes = original(self)
        if self.finished and not hasattr(self, "is_padded"):
            self.is_padded = True
            return bytes(data) + residue(self.session)
        return data

    _know_session(patch)
    patch.around(Outbox, "next_chunk", next_chunk)


def reset_instead(patch: Patch, concerns: Callable[[Any], bool]) -> None:
    """Reset the connections of some sessions where they are to be closed in stages."""

    def shut_down(original: Any, self: Any) -> None:
        if concerns(self.session):
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.abort()
        else:
            original(self)

    patch.around(Connection, "shut_down", shut_down)


# ------------------------------------------------------------- the log


def enter_fact(session: Any, content: str) -> None:
    """Enter a Message of this session's member, whatever its state."""
    log = session.room.log
    log.append(encode(Message(content=content, sender=session.member.user, seq=log.end + 1)))


def last_entry(room: Any, before: int = 0) -> bytes:
    """The frame of the last entry, or of one so many before it; empty where there is none."""
    place = room.log.end - 1 - before
    return frames_of(room.log.segment(place)[0])[0] if place >= 0 else b""


def swap_last_entries(room: Any) -> None:
    """Let the last two entries of the log change their places, where `tell_swapped` is on."""
    room.log.swapped = [*getattr(room.log, "swapped", ()), room.log.end - 1]


def tell_swapped(patch: Patch) -> None:
    """Let the log tell swapped entries, each under the number of the other."""

    def segment(original: Any, self: Any, cursor: int, stop: int | None = None) -> Any:
        data, last = original(self, cursor, stop)
        frames = frames_of(data)
        for at in getattr(self, "swapped", ()):
            for place, other in ((at, at + 1), (at + 1, at)):
                if cursor < place <= last and self.holds(other - 1):
                    frame = original(self, other - 1, other)[0]
                    frames[place - cursor - 1] = frame[:8] + place.to_bytes(8, "big") + frame[16:]
        return b"".join(frames), last

    patch.around(Log, "segment", segment)


# ------------------------------------------------------------- time


def last_byte(session: Any, at: float) -> None:
    """Take the silence of a client as begun at this time."""
    session.deadlines.received(at)


def on_told(patch: Patch, then: Callable[[Any, float], None]) -> None:
    """After new entries were written, do something with each member, at this time."""
    times = [0.0]

    def work(original: Any, self: Any, connection: Any, now: float, *rest: Any) -> int:
        times[0] = now
        entries: int = original(self, connection, now, *rest)
        return entries

    def send_entries(original: Any, self: Any, *arguments: Any) -> None:
        original(self, *arguments)
        for member in self.room.members.values():
            then(member.session, times[0])

    patch.around(Turns, "work", work)
    patch.around(Turns, "send_entries", send_entries)


def keep_asked(patch: Patch, concerns: Callable[[bytes], bool]) -> None:
    """Let some bytes not allow the server to ask again."""

    def receive(original: Any, self: Any, data: Any, now: float) -> None:
        asked = self.deadlines.ping_sent
        original(self, data, now)
        self.deadlines.ping_sent = asked and concerns(bytes(data))

    patch.around(Session, "receive", receive)


def ignore_pongs(patch: Patch) -> None:
    """Let a Pong under another seq than the last Ping's be no sign of life."""

    def receive(original: Any, self: Any, data: Any, now: float) -> None:
        deadlines = self.deadlines
        before, asked = deadlines.last_byte, deadlines.ping_sent
        original(self, data, now)
        is_pong = len(data) == 16 and data[5] == Pong.type
        if is_pong and int.from_bytes(data[8:16], "big") != self.pings:
            deadlines.last_byte, deadlines.ping_sent = before, asked

    patch.around(Session, "receive", receive)


def no_silence_of(patch: Patch, concerns: Callable[[Any], bool]) -> None:
    """Do not judge the silence of some members."""

    def tick(original: Any, self: Any, now: float) -> None:
        if self.state == State.MEMBER and concerns(self):
            last_byte(self, now)
            self.deadlines.ping_sent = True
        original(self, now)

    patch.around(Session, "tick", tick)


def is_inside_frame(session: Any) -> bool:
    """Whether a frame has begun and is not whole."""
    return bool(session.conn.held)


def login_deadline_for_members(patch: Patch, concerns: Callable[[Any], bool]) -> None:
    """Let the deadline of logging in end members too."""

    def opened(original: Any, self: Any, connection: Any) -> None:
        original(self, connection)

        def end() -> None:
            session = connection.session
            if session.state == State.MEMBER and concerns(session):
                session.goodbye(ErrorCode.TIMEOUT)

        self.loop.call_later(self.config.login_timeout, end)

    patch.around(Server, "opened", opened)


def renew_login_deadline(session: Any, now: float) -> None:
    """Count the time to log in from now on."""
    session.deadlines.login_by = now + session.context.settings.login_timeout
