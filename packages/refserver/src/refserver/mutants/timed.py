"""Mutants whose clocks check something else than the client's own bytes.

Rule: each is right in a quiet room.

Layer: above `points`.
"""

from __future__ import annotations

from typing import Any

from eventcodec import ErrorCode, Pong

from ..session import names
from . import points
from .registry import Patch, mutant

HEARTBEAT: dict[str, Any] = {"needs": ("heartbeat",), "heartbeat": 1}
LOGIN: dict[str, Any] = {"needs": ("login-timeout",), "login_timeout": 1.0}


@mutant("login-deadline-for-members", "the deadline for logging in ends members", **LOGIN)
def _(patch: Patch) -> None:
    points.login_deadline_for_members(patch, lambda session: True)


@mutant("login-deadline-for-resumed", "the deadline for logging in ends resumed members", **LOGIN)
def _(patch: Patch) -> None:
    points.mark_resumed(patch)
    points.login_deadline_for_members(patch, points.is_resumed)


@mutant("login-deadline-renewed", "every byte renews the deadline for logging in", **LOGIN)
def _(patch: Patch) -> None:
    def then(self: Any, data: bytes, now: float) -> None:
        points.renew_login_deadline(self, now)

    points.on_received(patch, then)


@mutant("anybodys-byte-renews", "the bytes of any client end the silence of all", **HEARTBEAT)
def _(patch: Patch) -> None:
    def then(self: Any, data: bytes, now: float) -> None:
        for member in self.room.members.values():
            points.last_byte(member.session, now)

    points.on_received(patch, then)


@mutant("output-renews", "entries that a member is sent end its silence", **HEARTBEAT)
def _(patch: Patch) -> None:
    points.on_told(patch, points.last_byte)


@mutant("asked-again-behind-a-pong", "only a Pong lets the server ask again", **HEARTBEAT)
def _(patch: Patch) -> None:
    points.keep_asked(patch, lambda data: data[5:6] != bytes([Pong.type]))


@mutant("resumed-not-asked", "a resumed member gets no Ping", **HEARTBEAT)
def _(patch: Patch) -> None:
    points.mark_resumed(patch)
    points.no_silence_of(patch, points.is_resumed)


@mutant("not-asked-inside-a-frame", "a client in the middle of a frame gets no Ping", **HEARTBEAT)
def _(patch: Patch) -> None:
    points.no_silence_of(patch, points.is_inside_frame)


@mutant("timeout-keeps-the-name", "a member that timed out keeps its name", **HEARTBEAT)
def _(patch: Patch) -> None:
    def goodbye(original: Any, self: Any, code: ErrorCode, text: str | None) -> None:
        member = None if points.is_ending(self) else self.member
        original(self, code, text)
        if code is ErrorCode.TIMEOUT and member is not None:
            self.room.members[names.key_of(member.user)] = member

    points.on_goodbye(patch, goodbye)


@mutant("timeout-ends-the-session", "a member that timed out cannot resume", **HEARTBEAT)
def _(patch: Patch) -> None:
    gone: set[int] = set()

    def goodbye(original: Any, self: Any, code: ErrorCode, text: str | None) -> None:
        if code is ErrorCode.TIMEOUT and self.member is not None:
            gone.add(self.member.ticket)
        original(self, code, text)

    def find(original: Any, self: Any, user: str, ticket: int, position: int) -> Any:
        if ticket in gone:
            raise points.refuse(ErrorCode.HISTORY_GONE)
        return original(self, user, ticket, position)

    points.on_goodbye(patch, goodbye)
    points.on_find(patch, find)


@mutant("pong-of-another-seq-is-silence", "a Pong counts only under the right seq", **HEARTBEAT)
def _(patch: Patch) -> None:
    points.ignore_pongs(patch)


@mutant("timeout-before-what-is-due", "a timeout comes before due entries", **HEARTBEAT)
def _(patch: Patch) -> None:
    def goodbye(original: Any, self: Any, code: ErrorCode, text: str | None) -> None:
        if code is ErrorCode.TIMEOUT and self.member is not None:
            points.cut_here(self)
        original(self, code, text)

    points.entries_late(patch)
    points.on_goodbye(patch, goodbye)


@mutant("timeout-drops-entries", "a timeout drops what a member has not read", **HEARTBEAT)
def _(patch: Patch) -> None:
    def goodbye(original: Any, self: Any, code: ErrorCode, text: str | None) -> None:
        if code is ErrorCode.TIMEOUT and self.member is not None and self.outbox.backlog > 1:
            points.cut_here(self)
        original(self, code, text)

    points.on_goodbye(patch, goodbye)
