"""Mutants that lose what stands before a last frame, or write something after it.

Rule: each is wrong about the end of one connection.

Layer: above `points`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from eventcodec import ErrorCode, InvalidRequest, LeftReason

from . import points
from .registry import Patch, mutant


@mutant("logout-drops-acks", "a Logout drops the Acks that are due")
def _(patch: Patch) -> None:
    def logout(original: Any, self: Any, request: Any) -> None:
        points.drop_what_is_due(self)
        original(self, request)

    points.on_logout(patch, logout)


@mutant("logout-drops-replies", "a Logout drops the Pongs and Errors that are due")
def _(patch: Patch) -> None:
    def logout(original: Any, self: Any, request: Any) -> None:
        points.drop_what_is_due(self, acks=False)
        original(self, request)

    points.on_logout(patch, logout)


@mutant("logout-acknowledged-first", "the Ack of a Logout is written before due bytes")
def _(patch: Patch) -> None:
    def logout(original: Any, self: Any, request: Any) -> None:
        original(self, request)
        points.last_frame_first(self)

    points.on_logout(patch, logout)


def before_others_words(name: str, wrong: str, **settings: Any) -> None:
    def logout(original: Any, self: Any, request: Any) -> None:
        original(self, request)
        points.last_frame_first(self)
        points.cut_here(self)

    def apply(patch: Patch) -> None:
        points.entries_late(patch)
        points.on_logout(patch, logout)

    mutant(name, wrong, **settings)(apply)


before_others_words(
    "logout-before-others-words",
    "a member that logs out does not get entries that are carried late",
)
before_others_words(
    "logout-before-others-words-unseen",
    "without presence, a member that logs out does not get entries that are carried late",
    needs=("no-presence",),
    presence=False,
)


@mutant("last-words-behind-left", "a Message directly before a Logout is entered after it")
def _(patch: Patch) -> None:
    def leave(original: Any, self: Any, member: Any, reason: Any) -> int:
        position: int = original(self, member, reason)
        said = points.frames_of(points.last_entry(self, 1))[0] if position > 1 else b""
        if (
            reason is LeftReason.LEFT
            and said[5:6] == b"\2"
            and said[17:].startswith(member.user.encode())
        ):
            points.swap_last_entries(self)
        return position

    points.tell_swapped(patch)
    points.on_leave(patch, leave)


@mutant("refused-logout-kept", "a Logout that was refused is carried out after login")
def _(patch: Patch) -> None:
    def instead(self: Any, request: Any) -> bool:
        early = isinstance(request, InvalidRequest) and (
            request.error.code == ErrorCode.LOGIN_REQUIRED
        )
        self.wants_out = getattr(self, "wants_out", False) or (
            early and getattr(self, "last_type", 0) == 0x03
        )
        if self.wants_out and self.member is not None:
            points.end_in_silence(self, LeftReason.LEFT)
            return True
        return False

    points.on_frames(patch, lambda self, frame: setattr(self, "last_type", frame[5]))
    points.on_request(patch, instead)


def padded(name: str, wrong: str, concerns: Callable[[Any], bool], **needs: Any) -> None:
    """A mutant that writes a piece of a frame after the last frame of some connections."""

    def residue(session: Any) -> bytes:
        return bytes(3) if concerns(session) else b""

    def goodbye(original: Any, self: Any, code: ErrorCode, text: str | None) -> None:
        if not points.is_ending(self):
            self.ended_by = code
        original(self, code, text)

    def logout(original: Any, self: Any, request: Any) -> None:
        self.ended_by = None
        original(self, request)

    def apply(patch: Patch) -> None:
        points.on_goodbye(patch, goodbye)
        points.on_logout(patch, logout)
        points.close_with(patch, residue)

    mutant(name, wrong, **needs)(apply)


def ended_by(session: Any) -> Any:
    """The code of its last frame, None for a Logout's Ack, "" for the client's own end."""
    return getattr(session, "ended_by", "")


padded(
    "bytes-behind-logout",
    "there are bytes after the Ack of a Logout",
    lambda session: ended_by(session) is None,
)
padded(
    "bytes-behind-fault",
    "there are bytes after UNSUPPORTED_VERSION",
    lambda session: ended_by(session) == ErrorCode.UNSUPPORTED_VERSION,
)
padded(
    "bytes-behind-takeover",
    "there are bytes after the USER_TAKEN of a takeover",
    lambda session: ended_by(session) == ErrorCode.USER_TAKEN,
)
padded(
    "bytes-behind-the-end",
    "at a client's end of stream there are bytes after the last frame",
    lambda session: ended_by(session) == "",
)
padded(
    "bytes-behind-garbage",
    "there are bytes after FRAME_TOO_LARGE",
    lambda session: ended_by(session) == ErrorCode.FRAME_TOO_LARGE,
)
padded(
    "bytes-behind-unauthorized",
    "there are bytes after UNAUTHORIZED",
    lambda session: ended_by(session) == ErrorCode.UNAUTHORIZED,
    needs=("credentials",),
)


@mutant("own-left-not-replayed", "the Left of a Logout is missing in a replay of its session")
def _(patch: Patch) -> None:
    def entries(self: Any, frames: list[bytes], more: bool) -> list[bytes]:
        if not points.is_resumed(self):
            return frames
        user = self.member.user.encode()
        own = bytes([len(user)]) + user + b"\0"
        return [frame for frame in frames if frame[5] != 0x0A or frame[16:] != own]

    points.mark_resumed(patch)
    points.on_entries(patch, entries)
