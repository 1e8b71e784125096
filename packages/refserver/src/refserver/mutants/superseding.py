"""Mutants that mix up the connections of a session after a takeover.

Rule: what the older connection's end, or its last bytes, do to the newer one.

Layer: above `points`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from eventcodec import (
    ErrorCode,
    InvalidRequest,
    Left,
    LeftReason,
    Login,
    encode,
)

from ..session import names
from . import points
from .registry import Patch, mutant
from .replying import no_fast_path
from .ticketing import known, of


def is_superseded(session: Any) -> bool:
    """Whether its session has another connection by now."""
    return session.member is not None and session.member.session not in (None, session)


def at_old_end(name: str, wrong: str, then: Callable[[Any], None]) -> None:
    """A mutant that does something when a superseded connection is closed."""

    def lost(session: Any) -> None:
        if is_superseded(session):
            then(session)

    def leave(original: Any, self: Any, member: Any, reason: Any) -> int:
        self.members.setdefault(names.key_of(member.user), member)
        position: int = original(self, member, reason)
        return position

    def apply(patch: Patch) -> None:
        points.on_leave(patch, leave)
        points.on_lost(patch, lost)

    mutant(name, wrong)(apply)


at_old_end(
    "old-end-frees-the-name",
    "the end of a connection that was taken over frees the name",
    lambda self: self.room.members.pop(names.key_of(self.member.user), None),
)
at_old_end(
    "old-end-told",
    "the end of a connection that was taken over makes a Left",
    lambda self: self.room.log.append(
        encode(Left(user=self.member.user, reason=LeftReason.LOST, seq=self.room.log.end + 1))
    ),
)
at_old_end(
    "old-end-ends-the-new",
    "the end of a connection that was taken over ends the newer one",
    lambda self: self.member.session.goodbye(ErrorCode.INTERNAL),
)


@mutant("old-end-forgets-the-session", "the end of the older connection forgets its session")
def _(patch: Patch) -> None:
    gone: set[int] = set()

    def find(original: Any, self: Any, user: str, ticket: int, position: int) -> Any:
        if ticket in gone:
            raise points.refuse(ErrorCode.HISTORY_GONE)
        return original(self, user, ticket, position)

    def lost(session: Any) -> None:
        if is_superseded(session):
            gone.add(session.member.ticket)

    points.on_find(patch, find)
    points.on_lost(patch, lost)


def at_takeover(name: str, wrong: str, then: Callable[[Any, Any, int], None], **needs: Any) -> None:
    """A mutant that does something after a takeover: to the older one, and the newer one.

    `then` gets both, and the end of the log before.
    """

    def resume(original: Any, self: Any, login: Login, user: str) -> None:
        found = of(self.room, login.ticket)
        old = None if found is None else found.session
        before = self.room.log.end
        original(self, login, user)
        if old is not None:
            then(old, self, before)

    def apply(patch: Patch) -> None:
        known(patch)
        points.on_resume(patch, resume)

    mutant(name, wrong, **needs)(apply)


at_takeover(
    "old-reads-on",
    "a connection that was taken over reads its own Left and later entries",
    lambda old, new, before: points.last_frame_behind_everything(old),
)
at_takeover(
    "takeover-not-carried",
    "the Left and the Joined of a takeover are not carried to the newer connection",
    lambda old, new, before: points.skip(new, before, new.room.log.end),
)


def from_the_older_place(old: Any, new: Any, before: int) -> None:
    points.move_cursor(new, max(points.cursor_of(new), points.cursor_of(old)))


at_takeover(
    "replay-from-the-older-place",
    "a takeover continues at the position of the older connection",
    from_the_older_place,
)


@mutant("takeover-with-a-reset", "a connection that was taken over is not closed in stages")
def _(patch: Patch) -> None:
    points.reset_instead(patch, is_superseded)


@mutant("second-takeover-in-silence", "the second takeover of a session sends no USER_TAKEN")
def _(patch: Patch) -> None:
    def goodbye(original: Any, self: Any, code: ErrorCode, text: str | None) -> None:
        again = code is ErrorCode.USER_TAKEN and points.is_resumed(self)
        points.end_in_silence(self) if again else original(self, code, text)

    points.mark_resumed(patch)
    points.on_goodbye(patch, goodbye)


@mutant("resumed-stays-small", "a resumed member may send no more than before its login")
def _(patch: Patch) -> None:
    points.mark_resumed(patch, lambda self, login: points.limit(self, 4_096))


def leaves(name: str, wrong: str, how: Callable[[Any, Any, Any, LeftReason], int]) -> None:
    """A mutant that lets resumed members leave otherwise."""

    def leave(original: Any, self: Any, member: Any, reason: LeftReason) -> int:
        session = member.session
        if points.is_resumed(session):
            return how(original, self, member, reason)
        position: int = original(self, member, reason)
        return position

    def apply(patch: Patch) -> None:
        points.mark_resumed(patch)
        points.on_leave(patch, leave)

    mutant(name, wrong)(apply)


leaves(
    "resumed-logout-told-as-lost",
    "a resumed member's Logout has reason 1",
    lambda original, room, member, reason: original(room, member, LeftReason.LOST),
)


def untold(original: Any, room: Any, member: Any, reason: LeftReason) -> int:
    presence, room.presence = room.presence, reason is not LeftReason.LOST
    position: int = original(room, member, reason)
    room.presence = presence
    return position


leaves("resumed-end-not-told", "the loss of a resumed member makes no Left", untold)


@mutant("resumed-reads-its-replay-only", "a resumed member gets only its replay")
def _(patch: Patch) -> None:
    def entries(self: Any, frames: list[bytes], more: bool) -> list[bytes]:
        stop = getattr(self, "replayed", None)
        if stop is None:
            return frames
        return [frame for frame in frames if int.from_bytes(frame[8:16], "big") <= stop]

    def resumed(self: Any, login: Login) -> None:
        self.replayed = self.room.log.end

    points.follow_alone(patch)
    points.mark_resumed(patch, resumed)
    points.on_entries(patch, entries)


@mutant("second-login-takes-over", "a member's Login with a ticket ends the ticket's connection")
def _(patch: Patch) -> None:
    def seen(self: Any, frame: bytes) -> None:
        if frame[5] == 0x01:
            self.named = int.from_bytes(frame[-16:-8], "big")

    def instead(self: Any, request: Any) -> bool:
        again = isinstance(request, InvalidRequest) and (
            request.error.code == ErrorCode.ALREADY_LOGGED_IN
        )
        member = of(self.room, getattr(self, "named", 0)) if again else None
        if member is not None and member.session is not None:
            member.session.goodbye(ErrorCode.USER_TAKEN)
        return member is not None and points.is_ending(self)

    known(patch)
    points.on_frames(patch, seen)
    points.on_request(patch, instead)


@mutant("behind-a-resume-dropped", "requests after a resuming Login are dropped")
def _(patch: Patch) -> None:
    def instead(self: Any, request: Any) -> bool:
        dropping = getattr(self, "dropping", False)
        if dropping:
            points.swallow(self, request)
        return dropping

    no_fast_path(patch)
    points.mark_resumed(patch, lambda self, login: setattr(self, "dropping", True))
    points.on_received(patch, lambda self, data, now: setattr(self, "dropping", False))
    points.on_request(patch, instead)


@mutant("past-frame-completed", "a frame that a takeover cut in two is completed, and entered")
def _(patch: Patch) -> None:
    def seen(self: Any, frame: bytes) -> None:
        if frame[5] == 0x02 and is_superseded(self) and getattr(self, "was_inside", False):
            points.enter_fact(self, frame[17:].decode())

    def inside(self: Any, data: bytes) -> None:
        if not is_superseded(self):
            self.was_inside = bool(getattr(self, "gathered", b""))

    points.on_bytes(patch, inside)
    points.on_frames(patch, seen)


@mutant("past-logout-logs-out", "a Logout on the older connection logs the newer one out")
def _(patch: Patch) -> None:
    def seen(self: Any, frame: bytes) -> None:
        if frame[5] == 0x03 and is_superseded(self):
            points.end_in_silence(self.member.session, LeftReason.LEFT)

    points.on_frames(patch, seen)


@mutant("resume-without-welcome-first", "a resume drops the replies that wait")
def _(patch: Patch) -> None:
    def resume(original: Any, self: Any, login: Login, user: str) -> None:
        points.drop_preamble(self)
        original(self, login, user)

    points.on_resume(patch, resume)


@mutant("welcome-overtakes", "a Welcome is written before the replies that wait")
def _(patch: Patch) -> None:
    points.on_welcomed(patch, points.welcome_first)


at_takeover(
    "old-loses-its-pongs",
    "at a takeover the Pongs that wait are dropped",
    lambda old, new, before: points.drop_pongs(old),
)


@mutant("resumed-not-reading-live", "a resume with nothing to replay makes no reader")
def _(patch: Patch) -> None:
    def entries(self: Any, frames: list[bytes], more: bool) -> list[bytes]:
        stop = getattr(self, "reads_until", None)
        if stop is None:
            return frames
        return [frame for frame in frames if int.from_bytes(frame[8:16], "big") <= stop]

    def resume(original: Any, self: Any, login: Login, user: str) -> None:
        is_at_end = login.position == self.room.log.end
        original(self, login, user)
        if is_at_end:
            self.reads_until = self.room.log.end

    points.follow_alone(patch)
    points.on_entries(patch, entries)
    points.on_resume(patch, resume)
