"""Mutants that resume wrongly.

Rule: the room's look-up of tickets is changed, and what follows it.

Layer: above `replying`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from eventcodec import (
    ErrorCode,
    LeftReason,
    Login,
    Message,
    Welcome,
    encode,
)

from ..server.connection import Connection
from ..session import names
from ..session.deadlines import NEVER
from ..session.room import LoginRefused, Room
from ..session.session import Session
from ..session.state import State
from .registry import Patch, mutant
from .replying import on_reply


def on_find(patch: Patch, find: Callable[..., Any]) -> None:
    patch.around(Room, "find", find)


@mutant("history-gone-told", "HISTORY_GONE says why")
def _(patch: Patch) -> None:
    def find(original: Any, self: Any, user: str, ticket: int, position: int) -> Any:
        try:
            return original(self, user, ticket, position)
        except LoginRefused as refused:
            raise LoginRefused(refused.code, f"behind {position}") from refused

    on_find(patch, find)


@mutant("future-position-accepted", "a position that is not there yet is accepted")
def _(patch: Patch) -> None:
    on_find(
        patch,
        lambda original, self, user, ticket, position: original(
            self, user, ticket, min(position, self.log.end)
        ),
    )


@mutant("older-position-accepted", "a ticket can read entries from before its session")
def _(patch: Patch) -> None:
    def enter(original: Any, self: Any, *arguments: Any, **named: Any) -> Any:
        member, cursor = original(self, *arguments, **named)
        member.since = 0
        return member, cursor

    patch.around(Room, "enter", enter)


@mutant("any-name-at-resume", "a ticket is valid with any name")
def _(patch: Patch) -> None:
    on_find(
        patch,
        lambda original, self, user, ticket, position: original(self, "", ticket, position),
    )


@mutant("empty-user-at-resume-refused", "a resume needs its name")
def _(patch: Patch) -> None:
    on_find(
        patch,
        lambda original, self, user, ticket, position: original(
            self, user or "\0", ticket, position
        ),
    )


@mutant("refused-resume-ends", "a refused resume ends the older connection")
def _(patch: Patch) -> None:
    def find(original: Any, self: Any, user: str, ticket: int, position: int) -> Any:
        try:
            return original(self, user, ticket, position)
        except LoginRefused:
            holder = self.members.get(names.key_of(user))
            if holder is not None and holder.session is not None and holder.ticket == ticket:
                holder.session.goodbye(ErrorCode.USER_TAKEN)
            raise

    on_find(patch, find)


@mutant("resume-takes-the-name", "a resume takes its name from the member that has it")
def _(patch: Patch) -> None:
    def find(original: Any, self: Any, user: str, ticket: int, position: int) -> Any:
        try:
            return original(self, user, ticket, position)
        except LoginRefused as refused:
            holder = self.members.get(names.key_of(user))
            if refused.code is not ErrorCode.USER_TAKEN or holder is None:
                raise
            holder.session.goodbye(ErrorCode.USER_TAKEN)
            return original(self, user, ticket, position)

    on_find(patch, find)


@mutant("unknown-ticket-is-fresh", "an unknown ticket is treated as a fresh login")
def _(patch: Patch) -> None:
    def resume(original: Any, self: Any, login: Login, user: str, now: float) -> None:
        try:
            original(self, login, user, now)
        except LoginRefused as refused:
            if refused.code is not ErrorCode.HISTORY_GONE:
                raise
            self.join(login, user, bound=False)

    patch.around(Session, "resume", resume)


@mutant("position-alone-is-fresh", "a position without a ticket is ignored")
def _(patch: Patch) -> None:
    def resume(original: Any, self: Any, login: Login, user: str, now: float) -> None:
        if login.ticket:
            original(self, login, user, now)
        else:
            self.join(login, user, bound=False)

    patch.around(Session, "resume", resume)


@mutant("ticket-once", "a resume gets another ticket")
def _(patch: Patch) -> None:
    on_reply(
        patch,
        lambda request, event, frame: (
            encode(replace(event, ticket=event.ticket ^ 1))
            if isinstance(event, Welcome) and request.ticket
            else frame
        ),
    )


def on_resume(patch: Patch, after: Callable[[Any, Login], None]) -> None:
    def resume(original: Any, self: Any, login: Login, user: str, now: float) -> None:
        original(self, login, user, now)
        after(self, login)

    patch.around(Session, "resume", resume)


@mutant("replay-one-late", "a replay begins one entry too late")
def _(patch: Patch) -> None:
    def after(self: Any, login: Login) -> None:
        self.outbox.cursor = min(self.outbox.cursor + 1, self.room.log.end)

    on_resume(patch, after)


@mutant("replay-of-everything", "a replay begins with the session")
def _(patch: Patch) -> None:
    def after(self: Any, login: Login) -> None:
        self.outbox.cursor = self.member.since

    on_resume(patch, after)


@mutant("resume-not-told", "a resumed member's arrival is not entered")
def _(patch: Patch) -> None:
    def resume(original: Any, self: Any, *arguments: Any) -> None:
        presence, self.presence = self.presence, False
        original(self, *arguments)
        self.presence = presence

    patch.around(Room, "resume", resume)


@mutant("takeover-in-silence", "at a takeover the older connection is ended without an Error")
def _(patch: Patch) -> None:
    def goodbye(original: Any, self: Any, code: ErrorCode, *arguments: Any) -> None:
        if code is ErrorCode.USER_TAKEN:
            self.finish(b"", LeftReason.LOST, State.DRAINING)
        else:
            original(self, code, *arguments)

    patch.around(Session, "goodbye", goodbye)


@mutant("takeover-told-as-logout", "at a takeover the member leaves with reason 0")
def _(patch: Patch) -> None:
    def leave(original: Any, self: Any, member: Any, reason: LeftReason) -> int:
        is_taken_over = member.session is not None and member.session.state == State.SUPERSEDED
        position: int = original(self, member, LeftReason.LEFT if is_taken_over else reason)
        return position

    patch.around(Room, "leave", leave)


@mutant("resumed-once", "a session can be resumed once")
def _(patch: Patch) -> None:
    used: set[int] = set()

    def find(original: Any, self: Any, user: str, ticket: int, position: int) -> Any:
        if ticket in used:
            raise LoginRefused(ErrorCode.HISTORY_GONE)
        member = original(self, user, ticket, position)
        used.add(ticket)
        return member

    on_find(patch, find)


@mutant("past-connection-speaks", "after a takeover the older connection's messages are entered")
def _(patch: Patch) -> None:
    def received(original: Any, self: Any, data: bytes) -> None:
        if self.close_by != NEVER and data[5:6] == b"\x02" and self.session.member is not None:
            log, user = self.owner.room.log, self.session.member.user
            said = Message(content=data[17:].decode(), sender=user, seq=log.end + 1)
            log.append(encode(said))
            self.owner.turns.has_output(self)
        original(self, data)

    patch.around(Connection, "received", received)
