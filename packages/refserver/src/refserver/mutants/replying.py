"""Mutants that answer wrongly: replies, errors, and the Welcome.

Rule: a reply is changed when it is made, or where it is queued.

Layer: above `registry`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from eventcodec import (
    Ack,
    ApplicationEvent,
    Error,
    ErrorCode,
    InvalidRequest,
    Logout,
    Message,
    Ping,
    Pong,
    ServerConnection,
    Unknown,
    Welcome,
    encode,
)

from ..server.server import Server
from ..server.turn import Turns
from ..session.outbox import Reply
from ..session.session import Session
from ..session.state import State
from .registry import Patch, mutant


def on_reply(patch: Patch, change: Callable[[Any, Any, bytes], bytes]) -> None:
    """Change the frames of replies: `change` gets the request, the event and its frame."""
    no_fast_path(patch)

    def answer(original: Any, self: Any, request: Any, event: Any) -> bytes:
        return change(request, event.with_seq(request.seq), original(self, request, event))

    patch.around(Session, "answer", answer)


def on_goodbye(patch: Patch, change: Callable[[int, bytes], bytes]) -> None:
    """Change the last frame: `change` gets its code and the frame."""

    def finish(original: Any, self: Any, last: bytes, *arguments: Any) -> None:
        code = int.from_bytes(last[16:18], "big")
        original(self, change(code, last) if last else last, *arguments)

    patch.around(Session, "finish", finish)


def no_fast_path(patch: Patch) -> None:
    """Let messages be handled one by one, as events."""
    patch.set(ServerConnection, "relay", lambda self, position, count: [])


def welcome_mutant(name: str, wrong: str, **change: Callable[[Any], Any]) -> None:
    def changed(request: Any, event: Any, frame: bytes) -> bytes:
        if not isinstance(event, Welcome):
            return frame
        values = {each: how(event) for each, how in change.items()}
        return encode(replace(event, **values))

    mutant(name, wrong)(lambda patch: on_reply(patch, changed))


welcome_mutant("ticket-zero", "the ticket is 0", ticket=lambda event: 0)
welcome_mutant("max-frame-zero", "max_frame is 100", max_frame=lambda event: 100)
welcome_mutant(
    "welcome-one-early",
    "Welcome's position is one less than it is",
    position=lambda event: max(0, event.position - 1),
)
welcome_mutant("name-cut", "the granted name is cut", user=lambda event: event.user[:8])


@mutant("ack-without-position", "the Ack of a Message has position 0")
def _(patch: Patch) -> None:
    def changed(request: Any, event: Any, frame: bytes) -> bytes:
        said = isinstance(request, Message | ApplicationEvent) and isinstance(event, Ack)
        return encode(Ack(position=0, seq=event.seq)) if said else frame

    on_reply(patch, changed)


@mutant("ack-of-logout-zero", "the Ack of a Logout has position 0")
def _(patch: Patch) -> None:
    def changed(request: Any, event: Any, frame: bytes) -> bytes:
        out = isinstance(request, Logout) and isinstance(event, Ack)
        return encode(Ack(position=0, seq=event.seq)) if out else frame

    on_reply(patch, changed)


@mutant("reply-twice", "an unknown type is answered twice")
def _(patch: Patch) -> None:
    def changed(request: Any, event: Any, frame: bytes) -> bytes:
        unknown = isinstance(event, Error) and event.code == ErrorCode.UNKNOWN_TYPE
        return frame * 2 if unknown else frame

    on_reply(patch, changed)


@mutant("code-of-its-own", "LOGIN_REQUIRED has an unknown number")
def _(patch: Patch) -> None:
    def changed(request: Any, event: Any, frame: bytes) -> bytes:
        early = isinstance(event, Error) and event.code == ErrorCode.LOGIN_REQUIRED
        return encode(Error(code=999, text="", seq=event.seq)) if early else frame

    on_reply(patch, changed)


@mutant("stray-byte-in-error", "an Error has a byte after its text")
def _(patch: Patch) -> None:
    def changed(request: Any, event: Any, frame: bytes) -> bytes:
        if not (isinstance(event, Error) and event.code == ErrorCode.UNKNOWN_TYPE):
            return frame
        return (len(frame) - 3).to_bytes(4, "big") + frame[4:] + b"\0"

    on_reply(patch, changed)


@mutant("reserved-in-acks", "an Ack has bits in reserved")
def _(patch: Patch) -> None:
    def changed(request: Any, event: Any, frame: bytes) -> bytes:
        return frame[:6] + b"\0\1" + frame[8:] if isinstance(event, Ack) else frame

    on_reply(patch, changed)


@mutant("echo-in-error", "an Error before login repeats the received bytes, with any length")
def _(patch: Patch) -> None:
    def changed(request: Any, event: Any, frame: bytes) -> bytes:
        if isinstance(event, Error) and event.code == ErrorCode.LOGIN_REQUIRED:
            return (5_000).to_bytes(4, "big") + frame[4:] + bytes(5_004 - len(frame))
        return frame

    on_reply(patch, changed)


@mutant("fatal-under-a-seq", "a fatal error has seq 1")
def _(patch: Patch) -> None:
    on_goodbye(patch, lambda code, frame: frame[:15] + b"\1" + frame[16:])


@mutant("answered-in-its-version", "UNSUPPORTED_VERSION is written in version 2")
def _(patch: Patch) -> None:
    def changed(code: int, frame: bytes) -> bytes:
        other = code == ErrorCode.UNSUPPORTED_VERSION
        return frame[:4] + b"\2" + frame[5:] if other else frame

    on_goodbye(patch, changed)


def on_refused(patch: Patch, answer: Callable[[Any, InvalidRequest], bool]) -> None:
    """Answer refused requests otherwise; `answer` says whether it did."""

    def instead(original: Any, self: Any, request: Any, now: float) -> None:
        if not (isinstance(request, InvalidRequest) and answer(self, request)):
            original(self, request, now)

    patch.around(Session, "handle", instead)


@mutant("unknown-type-ends", "an unknown type ends the connection")
def _(patch: Patch) -> None:
    def answer(self: Any, request: InvalidRequest) -> bool:
        unknown = request.error.code == ErrorCode.UNKNOWN_TYPE
        if unknown:
            self.goodbye(ErrorCode.MALFORMED)
        return unknown

    on_refused(patch, answer)


def refuse_as(self: Any, request: InvalidRequest, code: ErrorCode) -> None:
    self.reply(self.answer(request, Error(code=code)))


@mutant("unknown-type-after-state", "before login an unknown type is LOGIN_REQUIRED")
def _(patch: Patch) -> None:
    def answer(self: Any, request: InvalidRequest) -> bool:
        early = request.error.code == ErrorCode.UNKNOWN_TYPE and self.member is None
        if early:
            refuse_as(self, request, ErrorCode.LOGIN_REQUIRED)
        return early

    on_refused(patch, answer)


@mutant("way-after-state", "before login an event that only servers send is LOGIN_REQUIRED")
def _(patch: Patch) -> None:
    def answer(self: Any, request: InvalidRequest) -> bool:
        early = request.error.code == ErrorCode.UNEXPECTED_EVENT and self.member is None
        if early:
            refuse_as(self, request, ErrorCode.LOGIN_REQUIRED)
        return early

    on_refused(patch, answer)


@mutant("early-request-ends", "a request before login ends the connection")
def _(patch: Patch) -> None:
    def answer(self: Any, request: InvalidRequest) -> bool:
        early = request.error.code == ErrorCode.LOGIN_REQUIRED
        if early:
            self.goodbye(ErrorCode.MALFORMED)
        return early

    on_refused(patch, answer)


@mutant("second-login-passed-over", "a member's Login is answered with an Ack")
def _(patch: Patch) -> None:
    def answer(self: Any, request: InvalidRequest) -> bool:
        again = request.error.code == ErrorCode.ALREADY_LOGGED_IN
        if again:
            self.answer(request, request.error)
            self.reply(encode(Ack(position=0, seq=request.seq)))
        return again

    on_refused(patch, answer)


@mutant("unexpected-passed-over", "an event that only servers send is silently ignored")
def _(patch: Patch) -> None:
    def answer(self: Any, request: InvalidRequest) -> bool:
        unexpected = request.error.code == ErrorCode.UNEXPECTED_EVENT
        if unexpected:
            self.answer(request, request.error)
        return unexpected

    on_refused(patch, answer)


@mutant("refused-takes-a-position", "a refused request of a member makes an entry")
def _(patch: Patch) -> None:
    def answer(self: Any, request: InvalidRequest) -> bool:
        if self.member is not None and request.error.code == ErrorCode.UNKNOWN_TYPE:
            body = encode(Unknown(type=0x0B, body=b"", seq=self.room.log.end + 1))
            self.room.log.append(body)
        return False

    on_refused(patch, answer)


@mutant("ping-refused-before-login", "a Ping before login is LOGIN_REQUIRED")
def _(patch: Patch) -> None:
    def instead(original: Any, self: Any, request: Any, now: float) -> None:
        if isinstance(request, Ping) and self.member is None:
            self.reply(self.answer(request, Error(code=ErrorCode.LOGIN_REQUIRED)))
        else:
            original(self, request, now)

    patch.around(Session, "handle", instead)


@mutant("greeting", "the server speaks first")
def _(patch: Patch) -> None:
    def opened(original: Any, self: Any, connection: Any) -> None:
        original(self, connection)
        connection.session.outbox.add_preamble(encode(Ping(seq=1)))

    patch.around(Server, "opened", opened)


@mutant("replies-overtake", "replies are written before Acks and replies that are due")
def _(patch: Patch) -> None:
    def reply(original: Any, self: Any, data: bytes) -> None:
        # Only before its own: whether others' entries are still due is the machine's to say.
        self.outbox.add_preamble(data) if self.outbox.replies else original(self, data)

    patch.around(Session, "reply", reply)


@mutant("entries-told-late", "entries are carried a moment later, replies and errors at once")
def _(patch: Patch) -> None:
    def send_entries(original: Any, self: Any, *arguments: Any) -> None:
        if hasattr(self, "late"):
            self.late.cancel()  # else what is told late would take along what came since
        self.late = self.loop.call_later(0.1, original, self, *arguments)

    patch.around(Turns, "send_entries", send_entries)
    patch.around(Session, "reply", lambda original, self, data: self.outbox.add_preamble(data))


@mutant("goodbye-overtakes", "a fatal error drops the replies that are due")
def _(patch: Patch) -> None:
    def goodbye(original: Any, self: Any, *arguments: Any) -> None:
        if self.state < State.DRAINING:
            self.outbox.replies.clear()
            self.outbox.preamble.clear()
        original(self, *arguments)

    patch.around(Session, "goodbye", goodbye)


@mutant("welcome-under-seq-one", "a Welcome has seq 1, whatever its Login had")
def _(patch: Patch) -> None:
    on_reply(
        patch,
        lambda request, event, frame: (
            encode(event.with_seq(1)) if isinstance(event, Welcome) else frame
        ),
    )


@mutant("pong-seq-of-6-bits", "a Pong has only six bits of its Ping's seq")
def _(patch: Patch) -> None:
    on_reply(
        patch,
        lambda request, event, frame: (
            encode(event.with_seq(event.seq & 0x3F or 1)) if isinstance(event, Pong) else frame
        ),
    )


@mutant("word-after-logout", "the Ack of a Logout is not the last frame")
def _(patch: Patch) -> None:
    on_reply(
        patch,
        lambda request, event, frame: (
            frame + encode(Pong(seq=event.seq)) if isinstance(request, Logout) else frame
        ),
    )


@mutant("unknown-relayed", "an unknown type is refused, and relayed to the others")
def _(patch: Patch) -> None:
    def answer(self: Any, request: InvalidRequest) -> bool:
        if self.member is not None and request.error.code == ErrorCode.UNKNOWN_TYPE:
            before = self.room.log.end
            self.room.log.append(encode(Unknown(type=0x0B, seq=before + 1)))
            self.outbox.add(Reply(before, before + 1, b""))
        return False

    on_refused(patch, answer)
