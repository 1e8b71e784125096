"""Mutants that decide at one time and act at a later one, or take two requests for one.

Rule: each is right as long as one client does one thing at a time.

Layer: above `points`.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

from eventcodec import Ack, LeftReason, Login, Message

from ..session import names
from . import points
from .registry import Patch, mutant


def bear_two_of_one_name(patch: Patch) -> None:
    """Let each of two members of one name leave."""

    def leave(original: Any, self: Any, member: Any, reason: LeftReason) -> int:
        holder = self.members.setdefault(names.key_of(member.user), member)
        try:
            position: int = original(self, member, reason)
        except KeyError:  # its ticket has been given back
            return 0
        if holder is not member:
            self.members[names.key_of(member.user)] = holder
        return position

    points.on_leave(patch, leave)


@mutant("name-taken-later", "a name is checked when a Login arrives, and taken a moment later")
def _(patch: Patch) -> None:
    def login(original: Any, self: Any, login: Login, now: float) -> None:
        key = names.key_of(login.user)
        was_free = getattr(self, "was_free", False)
        self.was_free = False
        if login.ticket or login.position or not login.user:
            original(self, login, now)
        elif was_free:
            self.room.members.pop(key, None)
            original(self, login, now)
        elif key in self.room.members:
            original(self, login, now)
        else:
            self.was_free = True
            points.later(self, login, now)

    bear_two_of_one_name(patch)
    points.on_login(patch, login)


@mutant(
    "chosen-name-taken-later", "a name is chosen when a Login arrives, and taken a moment later"
)
def _(patch: Patch) -> None:
    chosen: list[str] = []

    def login(original: Any, self: Any, login: Login, now: float) -> None:
        if login.user or login.ticket or login.position:
            original(self, login, now)
        elif hasattr(self, "chosen"):
            chosen[:] = [self.chosen]
            self.room.members.pop(names.key_of(self.chosen), None)
            original(self, login, now)
        else:
            free = (f"guest-{n}" for n in count(1))
            self.chosen = next(n for n in free if names.key_of(n) not in self.room.members)
            points.later(self, login, now)

    bear_two_of_one_name(patch)
    patch.set(names, "assigned", lambda numbers, taken: chosen[0])
    points.on_login(patch, login)


@mutant("chosen-names-by-size", "a name is chosen by how many members there are")
def _(patch: Patch) -> None:
    def assigned(numbers: Any, taken: Any) -> str:
        return f"guest-{len(taken) + 1}"

    def enter(original: Any, self: Any, session: Any, user: str, **named: Any) -> Any:
        if not user:
            self.members.pop(names.key_of(assigned(None, self.members)), None)
        return original(self, session, user, **named)

    bear_two_of_one_name(patch)
    patch.set(names, "assigned", assigned)
    points.on_enter(patch, enter)


@mutant("resumed-later", "a ticket's connection is looked up at once, and ended a moment later")
def _(patch: Patch) -> None:
    def resume(original: Any, self: Any, login: Login, user: str) -> None:
        if not hasattr(self, "looked_up"):
            self.looked_up = self.room.find(user, login.ticket, login.position)
            self.found = self.looked_up.session
            points.later(self, login, points.now_of(self))
            return
        key = names.key_of(self.looked_up.user)
        if self.room.members.get(key) is not self.looked_up:
            self.room.members.pop(key, None)  # a member that came meanwhile stays, with any name
        if self.looked_up.session is not self.found:
            self.looked_up.session = None  # nor is another resume ended
        original(self, login, user)

    bear_two_of_one_name(patch)
    points.on_resume(patch, resume)


@mutant(
    "position-told-twice",
    "directly after a Message of another member, an Ack has the position of that Message",
)
def _(patch: Patch) -> None:
    def ack(self: Any, position: int) -> int:
        before = points.last_entry(self.room, 1)
        user = self.member.user.encode()
        is_others = before[5:6] == b"\2" and not before[17:].startswith(user)
        return position - is_others

    points.on_ack(patch, ack)


@mutant("long-content-later", "a short content overtakes a long one before it")
def _(patch: Patch) -> None:
    def publish(original: Any, self: Any, said: Any) -> None:
        original(self, said)
        is_long = isinstance(said, Message) and len(said.content) > 2_000
        if getattr(self, "said_long", 0) == self.room.log.end - 1 and not is_long:
            points.swap_last_entries(self.room)
        self.said_long = self.room.log.end if is_long else 0

    points.tell_swapped(patch)
    points.on_publish(patch, publish)


def once(name: str, wrong: str, key: Callable[[Any, Any], object], *, elsewhere: bool) -> None:
    """A mutant that acknowledges with the first one's entry what it treats as a repetition.

    `elsewhere` says that only what another connection said is treated as the first one.
    """

    def publish(original: Any, self: Any, said: Any) -> None:
        body = getattr(said, "content", "") or getattr(said, "data", b"")
        book = self.room.__dict__.setdefault("book", {})
        which = (key(self, said), body)
        before = book.get(which)
        if body and before is not None and (before[1] is not self or not elsewhere):
            points.answer(self, said, Ack(position=before[0]))
            return
        original(self, said)
        book[which] = self.room.log.end, self

    mutant(name, wrong)(lambda patch: points.on_publish(patch, publish))


once(
    "same-content-once",
    "the same content of one member again is treated as a repetition",
    lambda self, said: self.member.ticket,
    elsewhere=False,
)
once(
    "same-request-once",
    "the same seq and content of one connection again is treated as a repetition",
    lambda self, said: (id(self), said.seq),
    elsewhere=False,
)
once(
    "same-request-of-session-once",
    "the same seq and content on another connection of a session is treated as a repetition",
    lambda self, said: (self.member.ticket, said.seq),
    elsewhere=True,
)


@mutant(
    "newcomer-misses-an-entry", "a new member does not get the fortieth entry after its Welcome"
)
def _(patch: Patch) -> None:
    def entries(self: Any, frames: list[bytes], more: bool) -> list[bytes]:
        missed = 0 if points.is_resumed(self) else self.member.since + 40
        return [frame for frame in frames if int.from_bytes(frame[8:16], "big") != missed]

    points.follow_alone(patch)
    points.mark_resumed(patch)
    points.on_entries(patch, entries)


@mutant("departures-told-together", "two losses at the same moment make one Left")
def _(patch: Patch) -> None:
    def leave(original: Any, self: Any, member: Any, reason: LeftReason) -> int:
        last = points.last_entry(self)
        together = reason is LeftReason.LOST and last[5:6] == b"\x0a" and last[-1:] == b"\1"
        presence, self.presence = self.presence, self.presence and not together
        position: int = original(self, member, reason)
        self.presence = presence
        return position

    points.on_leave(patch, leave)


@mutant("two-resumes-one-ticket", "a lost session is looked up at once, and resumed a moment later")
def _(patch: Patch) -> None:
    def resume(original: Any, self: Any, login: Login, user: str) -> None:
        if not hasattr(self, "looked_up"):
            self.looked_up = self.room.find(user, login.ticket, login.position)
            self.is_lost = self.looked_up.session is None
            if self.is_lost:
                points.later(self, login, points.now_of(self))
                return
        if self.is_lost:
            self.looked_up.session = None  # nobody had it, so nobody is ended
        original(self, login, user)

    bear_two_of_one_name(patch)
    points.on_resume(patch, resume)


@mutant(
    "two-say-one-position",
    "directly after an application event of another member, an Ack has the position of that event",
)
def _(patch: Patch) -> None:
    def ack(self: Any, position: int) -> int:
        entry, before = points.last_entry(self.room), points.last_entry(self.room, 1)
        user = self.member.user.encode()
        are_events = entry[5:6] >= b"\x80" and before[5:6] >= b"\x80"
        return position - (are_events and not before[17:].startswith(user))

    points.on_ack(patch, ack)


@mutant("stranger-served-last", "a client without login is served when members have paused")
def _(patch: Patch) -> None:
    points.serve_last(patch, lambda connection: not connection.is_authenticated)
