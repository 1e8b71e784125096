"""Mutants that lose or mix up something where a long replay goes out in several pieces.

Rule: each is right as long as everything fits into one piece.

Layer: above `points`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from eventcodec import Ack, ErrorCode, LeftReason, Login, Ping, Pong, encode

from ..session.room import Room
from . import points
from .registry import Patch, mutant

Change = Callable[[Any, list[bytes], bool], list[bytes]]


def position_of(frame: bytes) -> int:
    return int.from_bytes(frame[8:16], "big")


def replays(name: str, wrong: str, change: Change) -> None:
    """A mutant that changes what a resumed member is given of what was there before."""

    def entries(self: Any, frames: list[bytes], more: bool) -> list[bytes]:
        stop = getattr(self, "replayed", 0)
        if position_of(frames[0]) > stop:
            return frames
        return change(self, frames, more)

    def resumed(self: Any, login: Login) -> None:
        self.replayed = self.room.log.end

    def apply(patch: Patch) -> None:
        points.mark_resumed(patch, resumed)
        points.on_entries(patch, entries)

    mutant(name, wrong)(apply)


replays(
    "page-edge-lost",
    "the last entry of a page is lost if another page follows",
    lambda self, frames, more: frames[:-1] if more and len(frames) > 1 else frames,
)
replays(
    "page-edge-twice",
    "the last entry of a page is sent again if another page follows",
    lambda self, frames, more: [*frames, frames[-1]] if more and len(frames) > 1 else frames,
)


def first_page_only(self: Any, frames: list[bytes], more: bool) -> list[bytes]:
    is_first, self.has_paged = not getattr(self, "has_paged", False), True
    return frames if is_first or not more else []


replays("page-in-the-middle-lost", "of a replay the pages in the middle are lost", first_page_only)
replays(
    "page-of-one-lost",
    "an entry that fills a page is not replayed",
    lambda self, frames, more: [frame for frame in frames if len(frame) < 60_000],
)
replays(
    "replay-of-messages-only",
    "a replay has no application events",
    lambda self, frames, more: [frame for frame in frames if frame[5] < 0x80],
)
replays(
    "replay-without-empty",
    "a replay has no Message that is empty",
    lambda self, frames, more: [
        frame for frame in frames if frame[5] != 2 or len(frame) > 17 + frame[16]
    ],
)

replays(
    "large-entry-ends-page-lost",
    "an entry of some thousand bytes is lost if it ends a page",
    lambda self, frames, more: (
        frames[:-1]
        if more and len(frames) > 1 and len(frames[-1]) in range(2_000, 20_000)
        else frames
    ),
)


def own_as_acks(self: Any, frames: list[bytes], more: bool) -> list[bytes]:
    user = self.member.user.encode()
    own = bytes([len(user)]) + user
    if len(frames) < 100:
        return frames
    return [
        encode(Ack(position=position_of(frame), seq=position_of(frame)))
        if frame[5] == 2 and frame[16:].startswith(own)
        else frame
        for frame in frames
    ]


replays("page-own-as-acks", "in a long replay, a member's own Messages are Acks", own_as_acks)


def prepared_once(self: Any, frames: list[bytes], more: bool) -> list[bytes]:
    given = self.room.__dict__.setdefault("given", {})
    mine = given.setdefault(position_of(frames[-1]), self) is self
    return frames if mine or not more else frames[1:]


replays("page-for-one-reader", "the second reader of a page misses its first entry", prepared_once)


@mutant("page-then-live-lost", "the first entry after a long replay is lost")
def _(patch: Patch) -> None:
    def entries(self: Any, frames: list[bytes], more: bool) -> list[bytes]:
        lost = getattr(self, "first_live", 0)
        return [frame for frame in frames if position_of(frame) != lost]

    def resumed(self: Any, login: Login) -> None:
        if self.room.log.end - login.position > 300:
            self.first_live = self.room.log.end + 1

    points.follow_alone(patch)
    points.mark_resumed(patch, resumed)
    points.on_entries(patch, entries)


@mutant("page-150th-lost", "the 150th entry for a member is lost")
def _(patch: Patch) -> None:
    def entries(self: Any, frames: list[bytes], more: bool) -> list[bytes]:
        before = getattr(self, "were_given", 0)
        self.were_given = before + len(frames)
        return [frame for n, frame in enumerate(frames, before + 1) if n != 150]

    points.follow_alone(patch)
    points.on_entries(patch, entries)


def answered(name: str, wrong: str, answer: Callable[[Any, bytes], None]) -> None:
    """A mutant that answers the first Ping of a resumed member otherwise."""

    def instead(self: Any, request: Any) -> bool:
        is_marker = isinstance(request, Ping) and points.is_resumed(self)
        if is_marker and not getattr(self, "was_marked", False):
            self.was_marked = True
            answer(self, points.pong_of(self, request))
            return True
        return False

    def apply(patch: Patch) -> None:
        points.mark_resumed(patch, lambda self, login: setattr(self, "came_at", self.room.log.end))
        points.on_request(patch, instead)

    mutant(name, wrong)(apply)


answered("marker-first", "the Pong of a resumed member overtakes its replay", points.reply_first)
answered(
    "marker-before-own-joined",
    "the Pong of a resumed member stands before its own Joined",
    lambda self, frame: points.reply_at(self, self.came_at - 1, frame),
)


@mutant("logout-cuts-replay", "a resumed member that logs out does not get its replay")
def _(patch: Patch) -> None:
    def logout(original: Any, self: Any, request: Any) -> None:
        if points.is_resumed(self):
            points.cut_here(self)
        original(self, request)

    points.mark_resumed(patch)
    points.on_logout(patch, logout)


@mutant("end-cuts-replay", "a resumed member does not get its replay if its stream ends")
def _(patch: Patch) -> None:
    def leave(original: Any, self: Any, member: Any, reason: LeftReason) -> int:
        session = member.session
        if reason is LeftReason.LOST and points.is_resumed(session):
            points.cut_here(session)
        position: int = original(self, member, reason)
        return position

    points.mark_resumed(patch)
    points.on_leave(patch, leave)


@mutant("fault-cuts-replay", "the Error to a resumed member's fault comes before its replay")
def _(patch: Patch) -> None:
    def goodbye(original: Any, self: Any, code: ErrorCode, text: str | None) -> None:
        if points.is_resumed(self) and code is ErrorCode.UNSUPPORTED_VERSION:
            points.cut_here(self)
        original(self, code, text)

    points.mark_resumed(patch)
    points.on_goodbye(patch, goodbye)


@mutant("page-begins-at-its-edge", "a long replay begins at the last multiple of 64")
def _(patch: Patch) -> None:
    def resumed(self: Any, login: Login) -> None:
        edge = max(self.member.since, login.position // 64 * 64)
        if login.position - self.member.since > 64:
            points.move_cursor(self, edge)

    points.mark_resumed(patch, resumed)


@mutant(
    "marker-before-its-arrival", "requests after a resuming Login are answered before the replay"
)
def _(patch: Patch) -> None:
    def resume(original: Any, self: Any, member: Any, session: Any) -> None:
        request = session.conn.next_event()
        if isinstance(request, Ping):
            session.reply(session.answer(request, Pong()))
        original(self, member, session)
        if request is not None and not isinstance(request, Ping):
            session.handle(request, points.now_of(session))

    patch.around(Room, "resume", resume)
